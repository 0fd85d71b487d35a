// A model server that advances only as far as the test allows, and the page of the web that its answer reads.

import { EventEmitter, once } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

const PAGE = '/tides';
/// Milliseconds after which the page comes in any case: the tool that reads it waits for 20 seconds.
const LATEST_PAGE = 8_000;

/// Starts the server. `address` is its host and port, and `page` the URL of the page, which the question has to name.
/// `steps` are the pieces of the one answer, each with the texts that a chat shows after it. `allow(n)` lets the first `n`
/// of them happen, and `restart()` none.
export async function scriptedModel() {
  const server = createServer((request, response) => void respond(request, response).catch(() => response.destroy()));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = `127.0.0.1:${server.address().port}`;
  const page = `http://${address}${PAGE}`;
  const steps = script(page);
  const progress = new EventEmitter().setMaxListeners(0);
  let allowed = 0;

  const reached = async step => {
    while (allowed <= step) await once(progress, 'more');
  };

  async function respond(request, response) {
    if (request.url === PAGE) {
      const at = steps.findIndex(({ turn }) => turn === undefined);
      await Promise.race([reached(at), delay(LATEST_PAGE)]);
      return void response.writeHead(200, { 'content-type': 'text/plain' }).end(steps[at].content);
    }
    const { messages } = JSON.parse(await text(request));
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const send = frame => response.write(`data: ${frame}\n\n`);
    const chunk = (choices, more) =>
      send(JSON.stringify({ id: 'c', object: 'chat.completion.chunk', model: 'gpt-4o', choices, ...more }));
    let called = false;
    if (JSON.stringify(messages).includes('You name conversations.')) {
      chunk([{ index: 0, delta: { content: 'Tides' } }]);
    } else {
      const turn = messages.filter(message => message.tool_calls).length;
      for (const [at, step] of steps.entries()) {
        if (step.turn !== turn) continue;
        await reached(at);
        called ||= step.delta.tool_calls !== undefined;
        chunk([{ index: 0, delta: step.delta }]);
      }
    }
    chunk([{ index: 0, delta: {}, finish_reason: called ? 'tool_calls' : 'stop' }]);
    chunk([], { usage: { prompt_tokens: 100, completion_tokens: 20, total_tokens: 120 } });
    send('[DONE]');
    response.end();
  }

  return {
    address,
    page,
    steps,
    allow(count) {
      allowed = Math.max(allowed, count);
      progress.emit('more');
    },
    restart: () => void (allowed = 0),
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/// Three responses with reasoning, text and calls of three tools, and after the first one the page that it reads. Every
/// piece has a word of its own.
function script(page) {
  const steps = [];
  const word = () => `step-${steps.length}.`;
  const add = (turn, delta, ...shows) => steps.push({ turn, delta, shows });
  const think = turn => add(turn, { reasoning_content: `${word()} ` }, word());
  const say = turn => add(turn, { content: `${word()} ` }, word());
  const call = (turn, index, name, first, ...shows) => {
    const start = { index, id: `call_${name}`, type: 'function', function: { name, arguments: first } };
    add(turn, { tool_calls: [start] }, ...shows);
  };
  const rest = (turn, index, piece, ...shows) =>
    add(turn, { tool_calls: [{ index, function: { arguments: piece } }] }, ...shows);
  const times = (count, act) => Array.from({ length: count }, act);

  times(3, () => think(0));
  times(3, () => say(0));
  think(0);
  say(0);
  call(0, 0, 'web_fetch', '{"url":', 'web_fetch input-streaming');
  rest(0, 0, `"${page}"}`, 'web_fetch input-available');
  steps.push({ content: `High tide: ${word()}`, shows: [word(), 'web_fetch output-available'] });
  times(2, () => think(1));
  times(2, () => say(1));
  call(1, 0, 'cite_source', `{"url":"https://tides.example/","title":"Tides, ${word()} `, word());
  rest(1, 0, `${word()}"}`, word());
  call(1, 1, 'save_artifact', `{"title":"High tides","content":"${word()} `, word());
  rest(1, 1, `${word()}"}`, word(), 'cite_source output-available', 'save_artifact output-available');
  times(2, () => think(2));
  times(9, () => say(2));
  return steps;
}

async function text(request) {
  let body = '';
  for await (const piece of request.setEncoding('utf8')) body += piece;
  return body;
}
