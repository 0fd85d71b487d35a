#!/usr/bin/env node
// A signed-in user opens untrusted pages in a real browser: alone, and in a frame of the app.
//
//   preview.mjs --base URL --browser /usr/bin/chromium --email E --password P --attack FILE URL...
//
// Prints one JSON value: the loot of the same attack from a page of the app itself, and for each URL the loot of the
// page alone and in a frame, its appearance, and every response of the app meanwhile.

import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';

import { PATIENCE, withBrowser } from './chromium.mjs';

const { values: flags, positionals: urls } = parseArgs({
  allowPositionals: true,
  options: {
    base: { type: 'string' },
    browser: { type: 'string' },
    email: { type: 'string' },
    password: { type: 'string' },
    attack: { type: 'string' },
  },
});
await withBrowser(flags.browser, async context => {
  const app = new URL(flags.base).origin;
  const home = await context.newPage();
  await home.goto(`${app}/`);
  await home.evaluate(signIn, { email: flags.email, password: flags.password });
  await home.evaluate("localStorage.secret = 'of the app'");
  const attack = await readFile(flags.attack, 'utf8');
  await home.evaluate(`globalThis.control = true;\nconst APP = '${app}';\n${attack}`);
  const control = await looted(home.mainFrame());
  await home.close(); // from here on, every request to the app comes from an untrusted page

  const answers = [];
  context.on('response', response => {
    if (response.url().startsWith(app)) answers.push(`${response.request().method()} ${response.url()}`);
  });
  const seen = [];
  for (const url of urls) {
    const alone = await context.newPage();
    const content = alone.waitForResponse(isContent);
    const shell = (await alone.goto(url)).headers()['content-security-policy'];
    const response = await content;
    const inner = await until(() => alone.frames().find(isContent));
    const page = { loot: await looted(inner), headers: response.headers() };
    page.shell = shell.split('; ').find(directive => directive.startsWith('frame-src'));
    page.color = await inner.evaluate('getComputedStyle(document.documentElement).backgroundColor');
    page.cookies = (await context.cookies(url)).length;
    page.sent = (await response.request().allHeaders()).cookie ?? null;
    page.answers = answers.splice(0);
    await alone.close();

    const around = await context.newPage();
    await around.goto(`${app}/`);
    await around.evaluate("document.cookie = 'visible=1'");
    answers.splice(0);
    await around.evaluate(src => {
      const frame = document.createElement('iframe');
      frame.src = src;
      document.documentElement.append(frame);
    }, url);
    const frame = await until(() => around.frames().find(isContent));
    page.framed = { loot: await looted(frame), stays: around.url() === `${app}/`, answers: answers.splice(0) };
    await around.close();
    seen.push(page);
  }
  process.stdout.write(`${JSON.stringify({ control, seen })}\n`);
});

/// Returns `true` for the page in the frame of the shell, and for its response.
function isContent(one) {
  return /\/content\/[^/]+\/$/.test(one.url());
}

/// Returns the loot of the attack in a frame, once it has finished.
async function looted(frame) {
  return until(async () => {
    const loot = await frame.evaluate('globalThis.loot');
    return loot?.done ? loot : undefined;
  });
}

async function until(look) {
  const patience = Date.now() + PATIENCE;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > patience) throw new Error('it does not come');
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}

// Runs in the page: it is sent there by itself.
async function signIn(account) {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(account) };
  const response = await fetch('/api/auth/login', init);
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
}
