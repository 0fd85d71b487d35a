// Streams of the projections, written by the Rust test that runs these tests (`cargo test -p sequent-protocol`). They
// are the same as our servers send.

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const folder = process.env.SEQUENT_FIXTURES;
if (!folder) {
  throw new Error('SEQUENT_FIXTURES is not set: run `cargo test -p sequent-protocol`, which makes the fixtures');
}

export const fixtures = readdirSync(folder)
  .filter(name => name.endsWith('.json'))
  .map(name => JSON.parse(readFileSync(join(folder, name), 'utf8')));

/// The fixtures whose stream a server would close: their log is closed exactly once.
export const closed = fixtures.filter(({ closed, terminals }) => closed && terminals === 1);

export const named = name => fixtures.find(fixture => fixture.name === name);
