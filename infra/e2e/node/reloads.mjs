#!/usr/bin/env node
// Reloads a chat at random moments while its answer is written, and compares what it shows with what a chat shows that is
// never reloaded.
//
//   reloads.mjs --browser /usr/bin/chromium --seed 1
//
// Prints the address of its model server as the first line, and reads the address of the API from standard input. Then it
// prints a result for each major version of the SDK. One line is one JSON value.

import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { compare, picture, say, screen, serveChat, settled, shows, signIn } from './chat.mjs';
import { PATIENCE, withBrowser } from './chromium.mjs';
import { scriptedModel } from './scripted-model.mjs';

const RELOADS = 10;
/// The model goes on by at most as many steps while a page is loaded.
const MEANWHILE = 3;
/// Requests of a page that is loaded. While one of them is sent, the model may go on.
const REQUESTS = ['/page', '/api/auth/csrf-token', '/messages', '/stream'];

const { values: flags } = parseArgs({ options: { browser: { type: 'string' }, seed: { type: 'string' } } });
const random = generator(Number(flags.seed));
const print = line => process.stdout.write(`${JSON.stringify(line)}\n`);

const model = await scriptedModel();
print({ address: model.address });
const input = createInterface({ input: process.stdin });
const { value: base } = await input[Symbol.asyncIterator]().next();
for (const major of [7, 6]) {
  print({ major, ...(await withBrowser(flags.browser, context => reloaded(context, major))) });
}
input.close();
model.close();

/// Asks the question in one page, and reloads another one that shows the same conversation.
async function reloaded(context, major) {
  model.restart();
  const address = await serveChat(context, base, major);
  const still = await context.newPage();
  const files = await attachments(still);
  await still.goto(new URL('/', base).href);
  const { project } = await still.evaluate(signIn);
  await still.goto(address(project));
  await say(still, `What does ${model.page} say of my picture and my document?`, files);
  model.allow(1);
  await shows(still, model.steps[0].shows);
  const moved = await context.newPage();
  await moved.goto(address(project));
  const pages = [still, moved];
  await agreed(pages, 1);

  const moments = [];
  // The last step is left for the page that is loaded while the answer ends.
  const last = model.steps.length - 1;
  for (const at of sample(RELOADS, 1, last)) {
    const later = Math.min(at + Math.floor(random() * (MEANWHILE + 1)), last);
    const during = REQUESTS[Math.floor(random() * REQUESTS.length)];
    model.allow(at);
    await agreed(pages, at);
    const goesOn = moved.waitForRequest(request => new URL(request.url()).pathname.endsWith(during));
    await Promise.all([moved.reload(), goesOn.then(() => model.allow(later))]);
    await agreed(pages, later);
    moments.push({ at, later, during });
  }

  model.allow(last);
  await agreed(pages, last);
  await reloadAsItEnds(still, moved);
  const shown = await agreed(pages, model.steps.length);
  await moved.reload();
  assert.equal(await settled(moved, 2).then(([, status]) => status), 'ready');
  assert.equal(await screen(moved, base), shown, 'the history shows what the stream has shown');
  const { pixels, different } = await compare(moved, await picture(still), await picture(moved));
  const parts = await still.evaluate(() => [...document.querySelectorAll('[data-part]')].map(part => part.dataset.part));
  return { moments, parts, pixels, different };
}

/// Reloads the page, and lets the answer end after the history was read and before the stream is asked for.
async function reloadAsItEnds(still, moved) {
  await moved.route(
    url => url.pathname.endsWith('/stream'),
    async route => {
      model.allow(model.steps.length);
      await settled(still, 2);
      await route.continue();
    },
    { times: 1 },
  );
  await moved.reload();
  for (const page of [still, moved]) await shows(page, model.steps.at(-1).shows);
  for (const page of [still, moved]) {
    assert.equal(await settled(page, 2).then(([, status]) => status), 'ready');
  }
}

/// Waits until both pages show the step before `count`, and the same. The results of tools come by themselves.
async function agreed(pages, count) {
  for (const page of pages) await shows(page, model.steps[count - 1].shows);
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const [still, moved] = await Promise.all(pages.map(page => screen(page, base)));
    if (still === moved) return still;
    if (Date.now() > deadline) assert.equal(moved, still, `after ${count} steps`);
    await delay(50);
  }
}

/// Makes the picture and the document that the question has with it.
async function attachments(page) {
  await page.setContent('<body style="background: linear-gradient(to right, teal, gold)"><h1>Tides</h1>');
  const image = await page.screenshot({ clip: { x: 0, y: 0, width: 160, height: 90 } });
  const document = await page.pdf();
  return [
    { name: 'harbour.png', mimeType: 'image/png', buffer: image },
    { name: 'tides.pdf', mimeType: 'application/pdf', buffer: document },
  ];
}

/// Returns `count` different numbers from `from` to before `to`, in order.
function sample(count, from, to) {
  const numbers = Array.from({ length: to - from }, (_, n) => from + n);
  const picked = Array.from({ length: count }, () => numbers.splice(Math.floor(random() * numbers.length), 1)[0]);
  return picked.sort((one, other) => one - other);
}

/// A linear congruential generator with the constants of Numerical Recipes.
function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
