#!/usr/bin/env node
// A browser opens pages that try to reach a server, clicks where they ask for it, and reaches the server itself after each.
//
//   escape.mjs --browser /usr/bin/chromium --sentinel URL PREVIEW...
//
// Prints one JSON value: the number of previews whose page was loaded in the frame of its shell.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { chromium } from 'playwright-core';

const { values: flags, positionals: urls } = parseArgs({
  allowPositionals: true,
  options: { browser: { type: 'string' }, sentinel: { type: 'string' } },
});
const profile = await mkdtemp(join(tmpdir(), 'sequent-browser-'));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: flags.browser,
  args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-sync'],
});
try {
  const control = await context.newPage();
  let shown = 0;
  for (const url of urls) {
    const page = await context.newPage();
    const content = page.waitForResponse(response => response.url().includes('/content/'));
    await page.goto(url);
    if ((await content).ok()) shown += 1;
    const frame = page.frames().at(-1);
    // A page that navigates at once has no such element any more.
    const target = await frame.$('#go').catch(() => null);
    // A click with Control opens a new tab in every page: the browser obeys the person, and no policy of the page counts.
    await target?.click({ timeout: 5_000 }).catch(() => {});
    // What the page has begun comes before this on the same network.
    await control.goto(`${flags.sentinel}/control`);
  }
  process.stdout.write(`${JSON.stringify({ shown })}\n`);
} finally {
  await context.close();
  await rm(profile, { recursive: true, force: true });
}
