// A small shop: the server of the walk in infra/docs/your-own-agent.md. It needs Node and nothing else.
//
//   node shop.mjs PORT FOLDER
//
// GET /orders/{number} and POST /orders/{number}/refund are tools, POST /webhooks receives events. Each request must have the
// signature (Standard Webhooks) of the secret in FOLDER/lookup_order.secret, refund_order.secret or webhook.secret, which are read
// for each request. Each request is a line of the output.

import { createHmac, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';

/** Seconds by which the time of a message may differ from ours. */
const TOLERANCE = 300;

const [port, folder] = process.argv.slice(2);
const orders = { 17: { status: 'shipped', arrives: 'Thursday' }, 18: { status: 'packed', arrives: 'Monday' } };
/** The answers to requests that have an effect, by their Idempotency-Key: a repeated request has no second effect. */
const done = new Map();

/** Returns true if one of the signatures is that of the message. */
function isSigned(headers, body, name) {
  const secret = readFileSync(join(folder, `${name}.secret`), 'utf8').trim();
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const { 'webhook-id': id, 'webhook-timestamp': time, 'webhook-signature': signatures = '' } = headers;
  if (!(Math.abs(Date.now() / 1000 - Number(time)) <= TOLERANCE)) return false;
  const expected = createHmac('sha256', key).update(`${id}.${time}.${body}`).digest();
  return signatures.split(' ').some(signature => {
    const [version, text = ''] = signature.split(',');
    const given = Buffer.from(text, 'base64');
    return version === 'v1' && given.length === expected.length && timingSafeEqual(given, expected);
  });
}

/** The routes: the name of the secret, and a function that returns the JSON of the answer. */
const routes = [
  ['GET', /^\/orders\/(\d+)$/, 'lookup_order', ({ order }) => ({ order, ...orders[order] })],
  ['POST', /^\/orders\/(\d+)\/refund$/, 'refund_order', ({ order }) => ({ order, refunded: true })],
  ['POST', /^\/webhooks$/, 'webhook', ({ body }) => {
    console.log(`verified ${JSON.parse(body).type}`);
    return {};
  }],
];

/** Returns the status and the JSON of the answer. */
function answer(method, path, headers, body) {
  const route = routes.find(([of, pattern]) => of === method && pattern.test(path));
  if (!route) return [404, { error: 'not found' }];
  const [, pattern, secret, act] = route;
  if (!isSigned(headers, body, secret)) return [401, { error: 'wrong signature' }];
  const order = path.match(pattern)[1];
  if (order && !orders[order]) return [404, { error: `there is no order ${order}` }];
  const key = headers['idempotency-key'] ?? headers['webhook-id'];
  if (!done.has(key)) done.set(key, act({ order, body }));
  return [200, done.get(key)];
}

createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const path = request.url.split('?')[0];
  const [status, json] = answer(request.method, path, request.headers, Buffer.concat(parts).toString());
  console.log(`${request.method} ${path} ${status}`);
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(json));
}).listen(Number(port), '127.0.0.1', () => console.log(`listening on ${port}`));
