// Every chunk passes the schema of every version of the SDK, and each version builds the log's message from them.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as ai7 from 'ai';
import * as ai5 from 'ai-v5';
import * as ai6 from 'ai-v6';

import { isAnswer } from '../ui-client.mjs';
import { fixtures, named } from '../replay/fixtures.mjs';

const READERS = [
  ['5', ai5],
  ['6', ai6],
  ['7', ai7],
];

async function read(ai, { heartbeat, done }, frames) {
  const bytes = new TextEncoder().encode([heartbeat, ...frames, done].join(''));
  const parsed = ai.parseJsonEventStream({
    stream: new ReadableStream({
      start(controller) {
        // In pieces that ignore all boundaries, also those of UTF-8 characters.
        for (let at = 0; at < bytes.length; at += 7) controller.enqueue(bytes.subarray(at, at + 7));
        controller.close();
      },
    }),
    schema: ai.uiMessageChunkSchema,
  });
  const chunks = [];
  const stream = parsed.pipeThrough(
    new TransformStream({
      transform(result, controller) {
        if (!result.success) throw result.error;
        chunks.push(result.value);
        controller.enqueue(result.value);
      },
    }),
  );
  const errors = [];
  let message;
  for await (const next of ai.readUIMessageStream({ stream, onError: error => errors.push(error.message) })) {
    message = next;
  }
  return { chunks, message, errors };
}

/// The frames for this version. Version 5 has no chunks for approvals.
const framesFor = (version, { ui, ui5 }) => (version === '5' ? ui5 : ui);

for (const [version, ai] of READERS) {
  test(`ai ${version} reads every stream`, async () => {
    for (const fixture of fixtures) {
      const frames = framesFor(version, fixture);
      const { chunks, message, errors } = await read(ai, fixture, frames);
      const told = fixture.events.filter(({ type }) => type === 'RUN_ERROR').map(error => error.message);
      assert.deepEqual(errors, told, fixture.name);
      assert.equal(chunks.length, frames.length, fixture.name);
      const answers = fixture.open === null ? fixture.answers : [...fixture.answers, fixture.open];
      const shown = message?.parts.filter(isAnswer).map(part => part.text) ?? [];
      assert.deepEqual(shown, answers, fixture.name);
      if (message) assert.equal(message.id, fixture.run);
    }
  });
}

/// Versions 5 and 6 keep the input of a call that failed while it was written in another field, and lose it if a result
/// comes even so, which only random logs do.
const comparable = (part, { input }) => {
  const { rawInput, ...rest } = part;
  if (part.state === 'output-error' && rawInput !== undefined) return { input: rawInput, ...rest };
  return part.state === 'output-available' ? { input, ...part } : part;
};

/// The SDK does not write a step that nothing follows.
const written = parts => parts.slice(0, parts.findLastIndex(part => part.type !== 'step-start') + 1);

/// The history as a client has it: the client knows the decisions about calls only if it has made them, and version 5 knows of
/// no approval.
const known = (version, { approval, ...part }) => {
  if (approval === undefined) return part;
  if (version !== '5') return { ...part, approval: { id: approval.id } };
  const { type, toolCallId, input } = part;
  return { type, toolCallId, input };
};

for (const [version, ai] of READERS) {
  test(`ai ${version} builds the message that the history shows from the stream of every run that has ended`, async () => {
    for (const fixture of fixtures.filter(fixture => fixture.closed)) {
      const { message } = await read(ai, fixture, framesFor(version, fixture));
      const { id, metadata, parts } = JSON.parse(JSON.stringify(message));
      const history = fixture.history.parts.map(part => known(version, part));
      const shown = parts.map((part, at) => {
        const { type, toolCallId, input } = part;
        if (version === '5' && fixture.history.parts[at]?.approval) return { type, toolCallId, input };
        return version === '7' ? part : comparable(part, fixture.history.parts[at] ?? {});
      });
      const expected = { ...fixture.history, parts: written(history) };
      assert.deepEqual({ id, metadata, parts: written(shown) }, expected, fixture.name);
    }
  });
}

test('the message carries its run, tool results and totals, and nothing is pending after the end', async () => {
  const { message } = await read(ai7, named('representative'), named('representative').ui);
  assert.deepEqual(message.metadata, {
    runId: named('representative').run,
    projectId: named('representative').events[2].threadId,
    model: 'demo',
    demo: true,
    provider: 'demo',
    usage: { inputTokens: 12, outputTokens: 7, costMicroUsd: 3 },
  });
  const tool = message.parts.find(part => part.type === 'tool-weather');
  assert.equal(tool.state, 'output-available');
  assert.deepEqual([tool.input, tool.output], [{ city: 'Bern' }, { sky: 'clear' }]);
  const answer = message.parts.slice(message.parts.findLastIndex(part => part.type === 'step-start') + 1);
  assert.deepEqual(answer.map(part => part.text), ['Clear sky\nover Bern.'], 'the last step is the answer');
});

test('no part is left open by a log that is closed', async () => {
  for (const fixture of fixtures.filter(fixture => fixture.closed)) {
    const { message } = await read(ai7, fixture, fixture.ui);
    const open = message.parts.filter(part => ['streaming', 'input-streaming'].includes(part.state));
    assert.deepEqual(open, [], fixture.name);
  }
});
