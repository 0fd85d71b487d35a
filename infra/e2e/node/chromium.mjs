// A real browser for a test.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { chromium } from 'playwright-core';

/// Milliseconds for anything that must happen eventually, also on a busy machine.
export const PATIENCE = 180_000;

const ARGUMENTS = [
  '--no-sandbox', // tests run as root in containers
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  // No request may leave the machine.
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/// Starts a browser with a profile of its own, and stops it when `perform(context)` has ended.
export async function withBrowser(executablePath, perform) {
  const profile = await mkdtemp(join(tmpdir(), 'sequent-browser-'));
  const options = { executablePath, args: ARGUMENTS, timeout: PATIENCE };
  const context = await chromium.launchPersistentContext(profile, options);
  context.setDefaultTimeout(PATIENCE);
  try {
    return await perform(context);
  } finally {
    await context.close();
    await rm(profile, { recursive: true, force: true });
  }
}
