#!/usr/bin/env node
// A browser opens pages that try to reach a server, clicks where they ask for it, and reaches the server itself after each.
//
//   escape.mjs --browser /usr/bin/chromium --sentinel URL PREVIEW...
//
// Prints one JSON value: the number of previews whose page was loaded in the frame of its shell.

import { parseArgs } from 'node:util';

import { withBrowser } from './chromium.mjs';

const { values: flags, positionals: urls } = parseArgs({
  allowPositionals: true,
  options: { browser: { type: 'string' }, sentinel: { type: 'string' } },
});
await withBrowser(flags.browser, async context => {
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
});
