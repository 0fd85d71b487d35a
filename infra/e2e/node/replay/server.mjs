// A server that replays one fixture as ours would: the log is complete, and every request gets the rest of it.

import { createServer } from 'node:http';
import { once } from 'node:events';

const SSE = { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' };

/// Serves `fixture` on a free port until the end of the test `t`. `requests` are the paths and cursors seen. With
/// `limit`, the first streams of chunks end after that many, as streams of an invocation that ends.
export async function serve(fixture, t, { limit, cuts = 0 } = {}) {
  const requests = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url, 'http://localhost');
    const cursor = request.headers['last-event-id'];
    requests.push({ method: request.method, path: url.pathname, cursor, search: url.search });
    if (request.headers.authorization !== 'Bearer secret') return void response.writeHead(401).end();
    if (url.pathname === '/api/chat' || /^\/api\/chat\/[^/]+\/stream$/.test(url.pathname)) {
      return ui(fixture, url, response, cuts-- > 0 ? limit : Infinity);
    }
    const simple = url.pathname.endsWith('/messages/stream');
    const frames = simple ? fixture.simple : fixture.native;
    const after = Number(simple ? (cursor?.split(':')[1] ?? 0) : (cursor ?? 0));
    if (after >= fixture.events.length) return void response.writeHead(204).end();
    const rest = frames.filter(({ seq }) => seq > after).map(({ frame }) => frame);
    send(response, fixture, rest, { 'x-run-id': fixture.run });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const base = `http://127.0.0.1:${server.address().port}`;
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { base, requests };
}

function ui(fixture, url, response, limit) {
  const index = url.searchParams.get('startIndex');
  const start = Number(index ?? 0);
  const from = start < 0 ? Math.max(0, fixture.ui.length + start) : start;
  const rest = fixture.ui.slice(from);
  const end = rest.length <= limit ? [fixture.done] : index === null ? [fixture.cut] : [];
  send(response, fixture, [...rest.slice(0, limit), ...end], {
    'x-workflow-run-id': fixture.run,
    'x-workflow-stream-tail-index': fixture.ui.length - 1,
    'x-vercel-ai-ui-message-stream': 'v1',
  });
}

/// Inserts heartbeats, which must not change the result.
function send(response, { heartbeat }, frames, headers) {
  response.writeHead(200, { ...SSE, ...headers });
  response.end(frames.flatMap((frame, n) => (n % 3 === 0 ? [heartbeat, frame] : [frame])).join(''));
}
