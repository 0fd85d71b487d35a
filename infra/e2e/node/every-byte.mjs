#!/usr/bin/env node
// Reads a finished run once for every byte of its stream, with the connection cut behind that byte, and fails unless
// every reading gives what an uncut one gives.
//
//   every-byte.mjs --base URL --run run_... --client native             sse-client.mjs
//   every-byte.mjs --base URL --run run_... --client 5|6|7|workflow     ui-client.mjs
//   ... --cuts 1,400    only behind these bytes
//   ... --how error     resets the connection, which takes from the client what it has received but not yet read
//   ... --recorded      asks the server each question once, and cuts its recorded answers

import assert from 'node:assert/strict';

import { command } from './command.mjs';
import { recordingFetch } from './cutting-fetch.mjs';
import { follow } from './sse-client.mjs';
import { converse } from './ui-client.mjs';

/// Job: `{base, token?, run, client, cuts?, how?, recorded?}`. Result: `{run, client, how, bytes, cuts, requests, questions,
/// shown}`: the length of the uncut stream, how often it was cut, the requests made for it and the different ones among
/// them, and what every reading gave.
export async function cutEverywhere({ base, token, run, client, cuts, how = 'close', recorded = false }) {
  // The workflow transport tells of every cut; this program's output is its result.
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
