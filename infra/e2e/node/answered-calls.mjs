#!/usr/bin/env node
// Answers that wait in a real browser: for a tool of the page, for an approval and for a denial, each without and with a reload
// before the answer, and once in another tab.
//
//   answered-calls.mjs --browser /usr/bin/chromium --base http://127.0.0.1:8080
//
// Prints a result for each major version of the SDK. One line is one JSON value.

import assert from 'node:assert/strict';
import { parseArgs } from 'node:util';

import { answers, say, screen, serveChat, settled, shows, signIn } from './chat.mjs';
import { withBrowser } from './chromium.mjs';

const { values: flags } = parseArgs({ options: { browser: { type: 'string' }, base: { type: 'string' } } });

const CALL = '/demo tokens=2 rate=0 tool=get_place args={"for":"tides"}\n/demo rate=0';
/// The slashes are escaped, so the person has not written the address, and the page must be approved.
const FETCH =
  '/demo tokens=2 rate=0 tool=web_fetch args={"url":"https:\\u002f\\u002fcomposed.invalid\\u002fsecret"}\n/demo rate=0';

/// The cases: the message, the state in which the call waits, the button, the state at the end, and a text of the answer.
const CASES = [
  ['client tool', CALL, 'get_place input-available', 'locate', 'get_place output-available', '{"city":"Bern"}'],
  ['approved', FETCH, 'web_fetch approval-requested', 'approve', 'web_fetch output-error', 'The tool answered'],
  ['denied', FETCH, 'web_fetch approval-requested', 'deny', 'web_fetch output-denied', 'Not this one.'],
];

for (const major of [7, 6]) {
  const seen = await withBrowser(flags.browser, context => all(context, major));
  process.stdout.write(`${JSON.stringify({ major, seen })}\n`);
}

async function all(context, major) {
  const address = await serveChat(context, flags.base, major);
  const first = await context.newPage();
  await first.goto(new URL('/', flags.base).href);
  const { token } = await first.evaluate(signIn);
  const seen = [];
  for (const [name, text, waits, button, ends, answer] of CASES) {
    for (const how of ['at once', 'after a reload', 'in another tab']) {
      const page = await context.newPage();
      const chat = `${address(await first.evaluate(createProject, token))}&tools`;
      await page.goto(chat);
      await say(page, text);
      await shows(page, [waits]);
      await settled(page, 2);
      let answering = page;
      if (how === 'after a reload') await page.reload();
      if (how === 'in another tab') await (answering = await context.newPage()).goto(chat);
      await shows(answering, [waits]);
      await settled(answering, 2);
      const sent = watch(answering);
      await answering.click(`[name=${button}]`);
      await shows(answering, [ends, 'The tool answered']);
      assert.deepEqual(await settled(answering, 2), [2, 'ready'], `${name} ${how}`);
      assert.match(await answers(answering), new RegExp(answer.replace(/[{}.]/g, '\\$&')), `${name} ${how}`);
      assert.deepEqual(sent, ['/api/chat'], `${name} ${how}: one request, whose stream continues the message`);
      const shown = await screen(answering, flags.base);
      await answering.reload();
      await shows(answering, [ends]);
      assert.deepEqual(await settled(answering, 2), [2, 'ready']);
      assert.equal(await screen(answering, flags.base), shown, `${name} ${how}: the history shows the same`);
      if (answering !== page) await answering.close();
      await page.close();
      seen.push(`${name} ${how}`);
    }
  }
  return seen;
}

/// Runs in a page of a person who has signed in. Creates a conversation.
async function createProject(token) {
  const headers = { 'content-type': 'application/json', 'x-csrf-token': token };
  const response = await fetch('/api/projects', { method: 'POST', headers, body: JSON.stringify({ name: 'Waits' }) });
  return (await response.json()).id;
}

/// The paths of the requests with which the page changes something from now on.
function watch(page) {
  const sent = [];
  page.on('request', request => request.method() === 'POST' && sent.push(new URL(request.url()).pathname));
  return sent;
}
