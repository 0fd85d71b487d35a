#!/usr/bin/env node
// A page in a real browser. It uses only the platform (`fetch`, HttpOnly cookies and `EventSource`) or, for `reload`,
// the AI SDK's `useChat`.
//
//   browser.mjs --base URL --browser /usr/bin/chromium --act ask      a message and its answer by one EventSource
//   browser.mjs --base URL --browser /usr/bin/chromium --act follow   a run's events, while its process is killed
//   browser.mjs --base URL --browser /usr/bin/chromium --act reload   a chat that is reloaded in the middle of an answer
//
// Prints one JSON value per line. In the middle of the run, `follow` prints `{"middle": id}`, so that the test can
// kill the process. The last line is the result.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { build } from 'esbuild';
import { chromium } from 'playwright-core';

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
/// Number of events after which the run is in its middle.
const MIDDLE = 12;

const { values: flags } = parseArgs({
  options: {
    base: { type: 'string' },
    browser: { type: 'string' },
    act: { type: 'string' },
    message: { type: 'string' },
  },
});
const print = line => process.stdout.write(`${JSON.stringify(line)}\n`);
const profile = await mkdtemp(join(tmpdir(), 'sequent-browser-'));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: flags.browser,
  args: ARGUMENTS,
});
try {
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
    seen = await reload(page, { project, token, message });
  } else {
    await page.exposeFunction('reached', id => print({ middle: id }));
    seen = await page.evaluate(follow, { project, token, message, middle: MIDDLE });
  }
  print({ project, cookies, scripts_see, ...seen });
} finally {
  await context.close();
  await rm(profile, { recursive: true, force: true });
}

/// Sends a message with `useChat`, reloads the page while it is answered, and waits until the page has the answer.
async function reload(page, { project, token, message }) {
  const entryPoints = [fileURLToPath(new URL('chat-page.jsx', import.meta.url))];
  const define = { 'process.env.NODE_ENV': '"production"' };
  const { outputFiles } = await build({ entryPoints, define, bundle: true, write: false, jsx: 'automatic' });
  const open = async () => {
    await page.evaluate(outputFiles[0].text);
    await page.evaluate('globalThis.show(' + JSON.stringify({ project, token }) + ')');
  };
  await open();
  await page.waitForFunction('globalThis.send !== undefined');
  await page.evaluate('globalThis.send(' + JSON.stringify(message) + ')');
  await page.waitForFunction('globalThis.shown.text.length > 30');
  let resumed = 0;
  page.on('request', request => void (resumed += request.url().endsWith('/stream')));
  await page.reload();
  await open();
  const ended = `globalThis.shown?.text !== '' && ['ready', 'error'].includes(globalThis.shown?.status)`;
  await page.waitForFunction(ended, undefined, { timeout: 120_000 });
  const { screen, ...shown } = await page.evaluate('globalThis.shown');
  shown.resumed = resumed;
  await page.reload();
  await open();
  await page.waitForFunction(`globalThis.shown?.status === 'ready'`);
  const reloaded = (await page.evaluate('globalThis.shown.screen')) === screen;
  const stored = await page.evaluate(async path => (await fetch(path)).json(), `/api/projects/${project}/messages`);
  return { ...shown, reloaded, messages: stored.items };
}

// The functions below run in the page. Each is sent there by itself.

/// Signs up, signs in again as a returning user does, and creates a conversation. Only the cookies remain.
async function signIn() {
  const call = async (path, body, headers = {}) => {
    const init = body && {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    };
    const response = await fetch(path, init);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  };
  const account = { email: 'page@example.com', password: 'correct horse battery staple' };
  await call('/api/auth/register', account);
  await call('/api/auth/login', account);
  const { csrf_token: token } = await call('/api/auth/csrf-token');
  const { id } = await call('/api/projects', { name: 'From a page' }, { 'x-csrf-token': token });
  return { project: id, token };
}

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
async function follow({ project, token, message, middle }) {
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
  await new Promise((resolve, reject) => {
    const heard = ({ type, data, lastEventId }) => {
      events.push({ id: lastEventId, event: type, data: JSON.parse(data) });
      if (events.length === middle) globalThis.reached(lastEventId);
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
