#!/usr/bin/env node
// Reads a finished run once for every byte of its stream, with the connection cut after that byte. Fails if a result
// differs from the result without a cut.
//
//   every-byte.mjs --base URL --run run_... --client native             sse-client.mjs
//   every-byte.mjs --base URL --run run_... --client 5|6|7|workflow     ui-client.mjs
//   ... --cuts 1,400    only after these bytes
//   ... --how error     resets the connection, so that the client loses bytes it has received but not yet read
//   ... --recorded      sends each distinct request once, and cuts the recorded responses

import assert from 'node:assert/strict';

import { command } from './command.mjs';
import { recordingFetch } from './cutting-fetch.mjs';
import { follow } from './sse-client.mjs';
import { converse } from './ui-client.mjs';

/// Job: `{base, token?, run, client, cuts?, how?, recorded?}`.
/// Result: `{run, client, how, bytes, cuts, requests, questions, shown}`: the length of the uncut stream, the number of
/// cuts, of requests and of distinct requests, and the result that all readings had.
export async function cutEverywhere({ base, token, run, client, cuts, how = 'close', recorded = false }) {
  // The workflow transport logs every cut, but this program must only print its result.
  console.error = () => {};
  const via = recorded ? recordingFetch() : undefined;
  const read = async cut => {
    const job = { base, token, how, cuts: cut && [cut], via };
    const { requests, ...result } =
      client === 'native' ? await follow({ ...job, run }) : await converse({ ...job, chat: run, sdk: client });
    return { requests, shown: client === 'native' ? native(result) : ui(result) };
  };

  const { requests, shown } = await read();
  const questions = new Set();
  const note = made => made.forEach(({ url, after }) => questions.add(`${url} ${after}`));
  note(requests);
  const total = { run, client, how, bytes: requests[0].bytes, cuts: 0, requests: requests.length, shown };
  for (const cut of cuts ?? Array.from({ length: total.bytes - 1 }, (_, before) => before + 1)) {
    const again = await read(cut);
    const behind = `${client} cut behind byte ${cut}`;
    assert.deepEqual(again.shown, shown, behind);
    assert.equal(again.requests[0].bytes, cut, behind);
    total.cuts += 1;
    total.requests += again.requests.length;
    note(again.requests);
  }
  return { ...total, questions: questions.size };
}

const native = ({ events, after_end }) => ({ events, after_end });

const ui = ({ text, message, messages, finish, error }) => ({ text, message, messages, finish, error });

await command(
  import.meta.url,
  { run: { type: 'string' }, client: { type: 'string' }, recorded: { type: 'boolean' } },
  cutEverywhere,
);
