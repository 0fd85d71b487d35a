#!/usr/bin/env node
// A page in a real browser. It uses only the platform (`fetch`, HttpOnly cookies and `EventSource`) or, for `reload`,
// the AI SDK's `useChat`.
//
//   browser.mjs --base URL --browser /usr/bin/chromium --act ask      a message and its answer by one EventSource
//   browser.mjs --base URL --browser /usr/bin/chromium --act follow   a run's events, while its process is killed
//   browser.mjs --base URL --browser /usr/bin/chromium --act reload   a chat that is reloaded in the middle of an answer
//
// Prints one JSON value per line. When the answer has begun, `follow` prints `{"middle": id}`, so that the test can kill
// the process. The last line is the result.

import { parseArgs } from 'node:util';

import { answers, say, screen, serveChat, settled, signIn, until } from './chat.mjs';
import { withBrowser } from './chromium.mjs';

const { values: flags } = parseArgs({
  options: {
    base: { type: 'string' },
    browser: { type: 'string' },
    act: { type: 'string' },
    message: { type: 'string' },
  },
});
const print = line => process.stdout.write(`${JSON.stringify(line)}\n`);

await withBrowser(flags.browser, async context => {
  const page = await context.newPage();
  // Only the origin of this page matters. (The API's own responses forbid pages to do anything.)
  await page.goto(new URL('/', flags.base).href);
  const { project, token } = await page.evaluate(signIn);
  const cookies = (await context.cookies()).map(({ name, httpOnly, sameSite }) => ({ name, httpOnly, sameSite }));
  const scripts_see = await page.evaluate('document.cookie');
  const { message } = flags;
  let seen;
  if (flags.act === 'ask') {
    seen = await page.evaluate(ask, { project, message });
  } else if (flags.act === 'reload') {
    seen = await reload(context, page, project, message);
  } else {
    await page.exposeFunction('reached', id => print({ middle: id }));
    seen = await page.evaluate(follow, { project, token, message });
  }
  print({ project, cookies, scripts_see, ...seen });
});

/// Sends a message with `useChat`, reloads the page while it is answered, and waits until the page has the answer.
async function reload(context, page, project, message) {
  const address = await serveChat(context, flags.base, 7);
  await page.goto(address(project));
  await say(page, message);
  await until(page, () => document.querySelector('.assistant [data-part=text]')?.innerText, text => text?.length > 30);
  let resumed = 0;
  page.on('request', request => void (resumed += /\/stream(\?|$)/.test(request.url())));
  await page.reload();
  const [, status] = await settled(page, 2);
  const shown = { status, text: await answers(page), resumed };
  const before = await screen(page, flags.base);
  await page.reload();
  await settled(page, 2);
  const reloaded = (await screen(page, flags.base)) === before;
  const stored = await page.evaluate(async path => (await fetch(path)).json(), `/api/projects/${project}/messages`);
  return { ...shown, reloaded, messages: stored.items };
}

// The functions below run in the page. Each is sent there by itself.

/// Sends a message through an EventSource's URL. `text` is the text of a page that appends each delta.
async function ask({ project, message }) {
  const content = encodeURIComponent(message);
  const source = new EventSource(`/api/projects/${project}/messages/stream?content=${content}`);
  const seen = { text: '', deltas: 0, run: undefined };
  const end = await new Promise((resolve, reject) => {
    source.onmessage = ({ data }) => {
      seen.text += JSON.parse(data).delta;
      seen.deltas += 1;
    };
    source.addEventListener('start', ({ data }) => (seen.run = JSON.parse(data).run_id));
    source.addEventListener('end', ({ data }) => resolve(JSON.parse(data)));
    source.onerror = ({ data }) => reject(new Error(data ?? 'the connection failed'));
  });
  source.close();
  const messages = await (await fetch(`/api/projects/${project}/messages`)).json();
  return { ...seen, content: end.content, messages: messages.items ?? messages };
}

/// Starts a run, leaves its stream, and follows its log by an EventSource, which reconnects by itself when it is cut.
async function follow({ project, token, message }) {
  const started = await fetch('/api/chat/send', {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-csrf-token': token },
    body: JSON.stringify({ project_id: project, message: { content: message } }),
  });
  const run = started.headers.get('x-run-id');
  if (!started.ok || !run) throw new Error(`${started.status} ${await started.text()}`);
  await started.body.cancel();

  const source = new EventSource(`/api/runs/${run}/events`);
  const events = [];
  let cuts = 0;
  let begun = false;
  await new Promise((resolve, reject) => {
    const heard = ({ type, data, lastEventId }) => {
      events.push({ id: lastEventId, event: type, data: JSON.parse(data) });
      if (type === 'TEXT_MESSAGE_CONTENT' && !begun) globalThis.reached(lastEventId);
      begun ||= type === 'TEXT_MESSAGE_CONTENT';
      if (type === 'RUN_FINISHED' || type === 'RUN_ERROR') resolve();
    };
    // An EventSource reports only events that have a listener. If a name is missing here, an event is missing below.
    for (const name of [
      'USER_MESSAGE',
      'RUN_CONFIGURED',
      'RUN_CLAIMED',
      'RUN_STARTED',
      'TEXT_MESSAGE_START',
      'TEXT_MESSAGE_CONTENT',
      'TEXT_MESSAGE_END',
      'MESSAGE_ABANDONED',
      'USAGE_RECORDED',
      'RUN_FINISHED',
      'RUN_ERROR',
    ]) {
      source.addEventListener(name, heard);
    }
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) return reject(new Error('the browser gave the stream up'));
      cuts += 1;
    };
  });
  source.close();

  const log = [];
  for (let after = 0; after !== undefined && after !== null; ) {
    const path = `/api/runs/${run}/events?after=${after}&limit=1000`;
    const response = await fetch(path, { headers: { accept: 'application/json' } });
    const answer = await response.json();
    log.push(...answer.events);
    after = answer.next_after;
  }
  return { run, events, cuts, log };
}
