#!/usr/bin/env node
// Sends a message, or resumes a chat, with the AI SDK's own chat and transports, through every cut, and prints the final
// message.
//
//   ui-client.mjs --base URL --chat prj_... --message 'Hi'                 ai 7, DefaultChatTransport
//   ui-client.mjs --base URL --chat prj_... --message 'Hi' --sdk workflow  WorkflowChatTransport, which resumes by itself
//   ui-client.mjs --base URL --chat run_... --sdk 5                        resume only
//
// `useChat` is this chat with React around it.

import * as ai7 from 'ai';
import * as ai5 from 'ai-v5';
import * as ai6 from 'ai-v6';
import { WorkflowChatTransport } from '@ai-sdk/workflow/client';
import { createParser } from 'eventsource-parser';

import { command } from './command.mjs';
import { backOff, cuttingFetch } from './cutting-fetch.mjs';

const SDKS = { 5: ai5, 6: ai6, 7: ai7, workflow: ai7 };

/// Job: `{base, token?, chat, message?, then?, sdk?: '5'|'6'|'7'|'workflow', bare?, body?, cuts?, how?, cutUrl?,
/// timeout?}`.
/// `then` is a second message, sent after the first answer. `body` has further fields of the request. With `bare`, the
/// transport builds its requests without our settings, except for the token.
/// Result: `{run, projects, text, message, chunks, data, finish, error, requests}`. `text` omits abandoned parts, and
/// `chunks` counts the chunks of all requests.
export async function converse(job) {
  const { base, token, chat: id, message, then, sdk = '7', bare, body: extra, timeout = 300 } = job;
  const deadline = Date.now() + timeout * 1000;
  const { fetch, requests } = cuttingFetch(job);
  const seen = watch(fetch);
  const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) };
  const api = new URL('/api/chat', base).href;
  const prepare = {
    api,
    fetch: seen.fetch,
    prepareSendMessagesRequest: ({ messages, trigger, messageId }) => ({
      headers,
      body: { id, messages, trigger, messageId, ...(typeof extra === 'string' ? JSON.parse(extra) : extra) },
    }),
    // By run as soon as it is known, because the chat may have another run by now.
    prepareReconnectToStreamRequest: () => ({ headers, api: `${api}/${seen.run ?? id}/stream` }),
  };
  const signed = (input, init) => seen.fetch(input, { ...init, headers: { authorization: headers.authorization } });
  const settings = bare ? { api, fetch: signed } : prepare;
  const transport =
    sdk === 'workflow' ? new WorkflowChatTransport(settings) : new SDKS[sdk].DefaultChatTransport(settings);
  const data = [];
  const chat = memoryChat(SDKS[sdk], { id, transport, onData: part => data.push(part), onError: () => {} });

  if (message !== undefined) await chat.sendMessage({ text: message });
  else await chat.resumeStream();
  // The workflow transport guarantees everything up to `finish`. The others guarantee it only if the stream ended in
  // order: when a connection breaks, the last bytes may not reach the chat.
  const ended = () => (sdk === 'workflow' ? seen.finish !== undefined : seen.whole);
  const failed = () => seen.error !== undefined && chat.error?.message === seen.error;
  for (let attempt = 0; !ended() && !failed(); attempt++) {
    const refused = requests.at(-1);
    if (refused.status === 204) break; // nothing to resume
    if (refused.status >= 400 && refused.status < 500) throw new Error(`${refused.status} ${chat.error?.message}`);
    if (attempt > 2 * (job.cuts?.length ?? 0)) {
      await backOff(attempt, deadline, chat.error?.message ?? 'the stream ended without an end');
    }
    // Version 5 appends a replay to the message it has. Later versions replace the message themselves.
    if (sdk === '5') chat.messages = chat.messages.filter(({ role }) => role !== 'assistant');
    await chat.resumeStream();
  }

  if (then !== undefined) await chat.sendMessage({ text: then });

  const shown = chat.messages.at(-1);
  const parts = shown?.role === 'assistant' ? shown.parts : [];
  return {
    run: seen.run,
    projects: [...seen.projects],
    text: parts.filter(isAnswer).map(part => part.text).join('\n\n'),
    message: shown,
    messages: chat.messages.length,
    chunks: seen.chunks,
    data,
    finish: seen.finish,
    error: seen.error,
    status: chat.status,
    requests,
  };
}

/// Returns the text without parts that a crash has cut off.
export function isAnswer(part) {
  return part.type === 'text' && !part.providerMetadata?.sequent?.abandoned;
}

/// Observes the bytes on the wire, because the chat does not report whether a stream ended or was cut.
function watch(fetch) {
  const seen = { run: undefined, projects: new Set(), chunks: 0, finish: undefined, error: undefined, whole: false };
  seen.fetch = async (input, init) => {
    const response = await fetch(input, init);
    seen.run ??= response.headers.get('x-workflow-run-id') ?? undefined;
    if (!response.ok || !response.body) return response;
    seen.projects.add(response.headers.get('x-project-id'));
    const decoder = new TextDecoder();
    let announced = false;
    const parser = createParser({
      onEvent: ({ data }) => {
        if (data === '[DONE]') return void (announced = true);
        const chunk = JSON.parse(data);
        seen.chunks += 1;
        if (chunk.type === 'finish') seen.finish = chunk.finishReason;
        if (chunk.type === 'error') seen.error = chunk.errorText;
      },
    });
    const reader = response.body.getReader();
    const body = new ReadableStream(
      {
        async pull(controller) {
          const { done, value } = await reader.read();
          if (done) {
            seen.whole = announced;
            return controller.close();
          }
          parser.feed(decoder.decode(value, { stream: true }));
          controller.enqueue(value);
        },
        cancel: reason => reader.cancel(reason),
      },
      { highWaterMark: 0 },
    );
    return new Response(body, { status: response.status, headers: response.headers });
  };
  return seen;
}

/// The SDK's chat, with plain variables in place of a framework's reactive ones.
export function memoryChat({ AbstractChat }, init) {
  const state = {
    status: 'ready',
    error: undefined,
    messages: [],
    pushMessage: message => void (state.messages = [...state.messages, message]),
    popMessage: () => void (state.messages = state.messages.slice(0, -1)),
    replaceMessage: (index, message) => void (state.messages = state.messages.with(index, message)),
    snapshot: value => structuredClone(value),
  };
  return new (class extends AbstractChat {})({ ...init, state });
}

await command(
  import.meta.url,
  {
    chat: { type: 'string' },
    message: { type: 'string' },
    sdk: { type: 'string' },
    body: { type: 'string' },
  },
  converse,
);
