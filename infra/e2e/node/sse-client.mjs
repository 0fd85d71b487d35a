#!/usr/bin/env node
// Reads a stream of events to its end through every cut, with `eventsource-parser`, and prints the events.
//
//   sse-client.mjs --base URL --run run_...                      follow a run
//   sse-client.mjs --base URL --send '{"message":{...}}'         send a message and follow its run
//   sse-client.mjs --base URL --form simple --path '/api/projects/prj_.../messages/stream?content=Hi'
//
// After the end it sends one more request, as `EventSource` does. `after_end` is its status, which should be 204.

import { EventSourceParserStream } from 'eventsource-parser/stream';

import { command } from './command.mjs';
import { backOff, cuttingFetch } from './cutting-fetch.mjs';

const TERMINAL = new Set(['RUN_FINISHED', 'RUN_ERROR']);

/// Job: `{base, token?, run? | path? | send?, form?: 'native'|'simple', after?, cuts?, how?, cutUrl?,
/// timeout?}`.
/// Result: `{run, events: [{id, event, data}], requests, after_end}`. The simple form also has `text` and `content`.
export async function follow(job) {
  const { base, token, form = 'native', timeout = 300 } = job;
  const deadline = Date.now() + timeout * 1000;
  const { fetch, requests } = cuttingFetch(job);
  const reader = form === 'simple' ? simpleReader() : nativeReader();
  const events = [];
  let run = job.run;
  let lastId = job.after;
  let comments = 0;
  let fruitless = 0;

  const request = () => {
    const headers = { accept: 'text/event-stream' };
    if (token) headers.authorization = `Bearer ${token}`;
    if (lastId !== undefined) headers['last-event-id'] = String(lastId);
    const signal = AbortSignal.timeout(Math.max(1, deadline - Date.now()));
    if (job.send && !run) {
      headers['content-type'] = 'application/json';
      const body = typeof job.send === 'string' ? job.send : JSON.stringify(job.send);
      return fetch(new URL('/api/chat/send', base), { method: 'POST', headers, body, signal });
    }
    return fetch(new URL(job.path ?? `/api/runs/${run}/events`, base), { headers, signal });
  };

  while (!reader.ended()) {
    const before = events.length;
    let reason = 'the stream ended without an end';
    try {
      const response = await request();
      run ??= response.headers.get('x-run-id') ?? undefined;
      if (response.status === 204) throw new Fatal('204 before the end');
      if (response.status >= 400 && response.status < 500 && response.status !== 429) {
        throw new Fatal(`${response.status} ${await response.text()}`);
      }
      if (response.ok) {
        const stream = response.body
          .pipeThrough(new TextDecoderStream())
          .pipeThrough(new EventSourceParserStream({ onComment: () => comments++ }));
        for await (const { id, event, data } of stream) {
          if (id !== undefined) lastId = id;
          events.push({ id, event, data: JSON.parse(data) });
          reader.read(events.at(-1));
        }
      } else {
        reason = `${response.status} ${await response.text()}`;
      }
    } catch (error) {
      if (error instanceof Fatal) throw error;
      reason = error.cause?.message ?? error.message;
    }
    // After at least one event, reconnects at once. After a fruitless attempt, waits for the server to come back.
    fruitless = events.length > before ? 0 : fruitless + 1;
    if (!reader.ended() && fruitless > 1) await backOff(fruitless, deadline, reason);
  }

  const last = await request();
  await last.body?.cancel();
  return { run, events, comments, requests, after_end: last.status, ...reader.result() };
}

class Fatal extends Error {}

/// Decides by the last event, because a closed log may have been reopened.
function nativeReader() {
  let ended = false;
  return {
    read: ({ event }) => (ended = TERMINAL.has(event)),
    ended: () => ended,
    result: () => ({}),
  };
}

/// Collects the text that a page with an `EventSource` would show.
function simpleReader() {
  let text = '';
  let end;
  let error;
  return {
    read: ({ event, data }) => {
      if (event === undefined) text += data.delta;
      if (event === 'reset') text = data.content;
      if (event === 'error') error = data;
      if (event === 'end') end = data;
    },
    ended: () => end !== undefined,
    result: () => ({ text, content: end.content, cancelled: end.cancelled ?? false, error }),
  };
}

await command(
  import.meta.url,
  {
    run: { type: 'string' },
    path: { type: 'string' },
    send: { type: 'string' },
    form: { type: 'string' },
    after: { type: 'string' },
  },
  follow,
);
