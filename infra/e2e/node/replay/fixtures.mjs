// Streams that the projections made, written by the Rust test that runs these tests
// (`cargo test -p sequent-protocol`): what is read here is what our servers send.

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const folder = process.env.SEQUENT_FIXTURES;
if (!folder) {
  throw new Error('SEQUENT_FIXTURES is not set: run `cargo test -p sequent-protocol`, which makes the fixtures');
}

export const fixtures = readdirSync(folder)
  .filter(name => name.endsWith('.json'))
  .map(name => JSON.parse(readFileSync(join(folder, name), 'utf8')));

/// Those a server would close: the log is closed, once.
export const closed = fixtures.filter(({ closed, terminals }) => closed && terminals === 1);

export const named = name => fixtures.find(fixture => fixture.name === name);
