// The two clients get every event exactly once, at whatever byte the connection breaks.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import * as ai7 from 'ai';
import * as ai5 from 'ai-v5';
import * as ai6 from 'ai-v6';

import { cutEverywhere } from '../every-byte.mjs';
import { follow } from '../sse-client.mjs';
import { converse, isAnswer, memoryChat } from '../ui-client.mjs';
import { closed, named } from '../replay/fixtures.mjs';
import { serve } from '../replay/server.mjs';

const token = 'secret';

/// Returns the texts of the parts, one below the other. The answer joins them as the model wrote them.
const shownText = ({ answers }) => answers.join('\n\n');

/// Returns evenly spread places to cut a body, so that they fall on boundaries and inside of frames.
const spread = (bytes, count) => Array.from({ length: count }, (_, n) => Math.floor(((n + 1) * bytes) / (count + 1)));

test('native: the events are the log, at whatever byte it is cut', async t => {
  for (const fixture of closed) {
    const server = await serve(fixture, t);
    for (const how of ['error', 'close']) {
      const result = await follow({ base: server.base, token, run: fixture.run, cuts: [1, 150, 400, 333], how });
      assert.deepEqual(result.events.map(({ data }) => data), fixture.events, fixture.name);
      assert.deepEqual(result.events.map(({ id }) => Number(id)), fixture.events.map(({ seq }) => seq));
      assert.equal(result.after_end, 204);
    }
  }
});

test('native: a cut at every byte of a frame loses and repeats nothing', async t => {
  const fixture = named('representative');
  const server = await serve(fixture, t);
  for (let cut = 1; cut <= 400; cut++) {
    const { events, requests } = await follow({ base: server.base, token, run: fixture.run, cuts: [cut] });
    assert.deepEqual(events.map(({ data }) => data), fixture.events, `cut at ${cut}`);
    assert.equal(requests[0].bytes, cut);
  }
});

test('native: a message is sent once and its run followed', async t => {
  const fixture = named('long');
  const server = await serve(fixture, t);
  const send = { message: { content: 'Count.' } };
  const { run, events } = await follow({ base: server.base, token, send, cuts: [500, 10, 2000] });
  assert.equal(run, fixture.run);
  assert.equal(events.length, fixture.events.length);
  const methods = server.requests.map(({ method, path }) => `${method} ${path}`);
  assert.equal(methods[0], 'POST /api/chat/send');
  assert.deepEqual([...new Set(methods.slice(1))], [`GET /api/runs/${run}/events`]);
});

test('simple: the text shown is the answer, at whatever byte it is cut', async t => {
  for (const fixture of closed) {
    const server = await serve(fixture, t);
    const path = '/api/projects/prj_1/messages/stream?content=Hi';
    const result = await follow({ base: server.base, token, form: 'simple', path, cuts: [30, 160, 90, 120] });
    assert.equal(result.text, fixture.answer_text, fixture.name);
    assert.equal(result.content, fixture.answer_text, fixture.name);
    assert.equal(result.after_end, 204);
    assert.equal(result.error !== undefined, fixture.failed, fixture.name);
  }
});

for (const sdk of ['5', '6', '7', 'workflow']) {
  test(`ui message, sdk ${sdk}: the message is the answer, whatever is cut`, async t => {
    t.mock.method(console, 'error', () => {}); // the workflow transport logs every cut
    for (const fixture of closed) {
      const server = await serve(fixture, t);
      for (const how of ['error', 'close']) {
        const job = { base: server.base, token, chat: 'prj_1', message: 'Hi', sdk, how };
        const whole = await converse(job);
        const cuts = spread(whole.requests[0].bytes, 3);
        const result = await converse({ ...job, cuts });
        assert.equal(result.text, shownText(fixture), `${fixture.name} cut at ${cuts}`);
        assert.deepEqual(result.message.parts, whole.message.parts, fixture.name);
        assert.equal(result.error !== undefined, fixture.failed, fixture.name);
        assert.equal(result.messages, 2, 'the question and one answer');
      }
    }
  });
}

test('workflow: asks for the chunks after the number it has', async t => {
  t.mock.method(console, 'error', () => {});
  const fixture = named('long');
  const server = await serve(fixture, t);
  const job = { base: server.base, token, chat: 'prj_1', message: 'Hi', sdk: 'workflow', cuts: [5000, 5000] };
  const result = await converse(job);
  assert.equal(result.text, fixture.answer_text);
  const [, ...resumed] = server.requests;
  assert.equal(resumed.length, 2);
  assert.ok(resumed.every(({ path }) => path === `/api/chat/${fixture.run}/stream`));
  assert.ok(resumed.every(({ search }) => /^\?startIndex=[1-9]/.test(search)));
});

const SDKS = { 5: ai5, 6: ai6, 7: ai7 };

for (const [version, ai] of Object.entries(SDKS)) {
  test(`default transport, sdk ${version}: an answer whose stream was cut is not shown as complete`, async t => {
    const fixture = named('long');
    const server = await serve(fixture, t, { limit: 20, cuts: 1 });
    const headers = { authorization: `Bearer ${token}` };
    const transport = new ai.DefaultChatTransport({ api: `${server.base}/api/chat`, headers });
    const finished = [];
    const chat = memoryChat(ai, { id: 'prj_1', transport, onError: () => {}, onFinish: end => finished.push(end) });
    await chat.sendMessage({ text: 'Hi' });
    assert.equal(chat.status, 'error');
    const begun = chat.messages.at(-1).parts.filter(isAnswer).map(part => part.text).join('');
    assert.ok(begun.length > 0 && fixture.answer_text.startsWith(begun), 'what has arrived stays');
    if (version === '5') chat.messages = chat.messages.slice(0, 1); // version 5 appends a replay to what it has
    await chat.resumeStream();
    assert.equal(chat.status, 'ready');
    const shown = chat.messages.at(-1).parts.filter(isAnswer).map(part => part.text).join('');
    assert.equal(shown, fixture.answer_text);
  });
}

test('workflow: continues an answer whose streams were cut, however often', async t => {
  t.mock.method(console, 'error', () => {});
  const fixture = named('long');
  const server = await serve(fixture, t, { limit: 20, cuts: 6 });
  const result = await converse({ base: server.base, token, chat: 'prj_1', message: 'Hi', sdk: 'workflow' });
  assert.equal(result.text, fixture.answer_text);
  assert.equal(server.requests.length, 7);
});

test('a recorded run is read whole through every cut, and each distinct request is sent once', async t => {
  t.mock.method(console, 'error', () => {});
  const fixture = named('representative');
  const { base, requests } = await serve(fixture, t);
  const job = { base, token, run: fixture.run, recorded: true };
  const { bytes } = await cutEverywhere({ ...job, client: 'native', cuts: [] });
  requests.length = 0;
  const cuts = Array.from({ length: Math.floor(bytes / 17) }, (_, n) => 17 * n + 1); // several in each frame
  const { questions, shown } = await cutEverywhere({ ...job, client: 'native', cuts });
  assert.deepEqual(shown.events.map(({ data }) => data), fixture.events);
  assert.equal(shown.after_end, 204);
  assert.equal(questions, fixture.events.length + 1, 'from the start, and behind every event');
  assert.equal(requests.length, questions);
  for (const client of ['5', '6', '7', 'workflow']) {
    const result = await cutEverywhere({ ...job, client, cuts: [1, 150, 151, 152] });
    assert.equal(result.cuts, 4);
    assert.equal(result.shown.text, shownText(fixture), client);
  }
});

test('the programs print one result per line', async t => {
  const fixture = named('representative');
  const server = await serve(fixture, t);
  const start = (program, ...flags) =>
    promisify(execFile)(process.execPath, [fileURLToPath(new URL(`../${program}`, import.meta.url)), ...flags], {
      env: { ...process.env, SEQUENT_TOKEN: token },
    });
  const [sse, ui] = await Promise.all([
    start('sse-client.mjs', '--base', server.base, '--run', fixture.run, '--cuts', '200,50'),
    start('ui-client.mjs', '--base', server.base, '--chat', 'prj_1', '--message', 'Hi', '--cuts', '700'),
  ]);
  assert.equal(JSON.parse(sse.stdout).events.length, fixture.events.length);
  assert.equal(JSON.parse(ui.stdout).text, fixture.answer_text);
});

test('a refusal is reported at once', async t => {
  const server = await serve(named('representative'), t);
  await assert.rejects(follow({ base: server.base, run: 'run_1' }), /401/);
  await assert.rejects(converse({ base: server.base, chat: 'prj_1', message: 'Hi' }), /401/);
});
