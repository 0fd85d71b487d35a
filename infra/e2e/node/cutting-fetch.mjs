// A fetch whose connections break where a schedule says, as a train entering a tunnel would.

/// `cuts[n]` is the number of body bytes after which the nth response breaks; responses past the end of the list are
/// left whole. A cut is `error`, a connection reset, or `close`, a body that ends too soon (what a killed function
/// behind a proxy looks like). `requests` records every exchange: `{at, method, url, after, status, bytes, cut}`, where `at`
/// is when it began, in milliseconds, and `after` its `Last-Event-ID`. `via` is the fetch underneath.
export function cuttingFetch({ cuts = [], how = 'error', via = globalThis.fetch } = {}) {
  const requests = [];

  async function fetch(input, init = {}) {
    const limit = cuts[requests.length] ?? Infinity;
    const { method = 'GET', headers } = init;
    const after = new Headers(headers).get('last-event-id');
    const record = { at: Date.now(), method, url: String(input), after, status: 0, bytes: 0, cut: false };
    requests.push(record);
    const response = await via(input, init);
    record.status = response.status;
    if (!response.body) return response;

    const reader = response.body.getReader();
    const body = new ReadableStream(
      {
        async pull(controller) {
          if (record.bytes >= limit) {
            record.cut = true;
            await reader.cancel();
            if (how === 'close') controller.close();
            else controller.error(new TypeError('terminated'));
            return;
          }
          const { done, value } = await reader.read();
          if (done) return controller.close();
          const kept = value.subarray(0, limit - record.bytes);
          record.bytes += kept.length;
          if (kept.length > 0) controller.enqueue(kept);
        },
        cancel: reason => reader.cancel(reason),
      },
      // Pull only what is asked for: an error discards what waits in a queue, and the cut would come early.
      { highWaterMark: 0 },
    );
    return new Response(body, { status: response.status, headers: response.headers });
  }

  return { fetch, requests };
}

/// A fetch that asks the server each question once and repeats its answer: for reading a finished run over and over.
export function recordingFetch() {
  const answers = new Map();

  return async function fetch(input, init = {}) {
    if ((init.method ?? 'GET') !== 'GET') throw new Error('only what changes nothing can be asked once for all');
    const question = `${input} ${new Headers(init.headers).get('last-event-id')}`;
    if (!answers.has(question)) {
      const { status, headers, body } = await globalThis.fetch(input, init);
      const whole = body && new Uint8Array(await new Response(body).arrayBuffer());
      answers.set(question, { body: whole, init: { status, headers } });
    }
    // Answers without a pause would leave other jobs of the process without their turn.
    await new Promise(resolve => setImmediate(resolve));
    const { body, init: answer } = answers.get(question);
    return new Response(body, answer);
  };
}

/// Waits before another attempt, longer each time, until `deadline` (milliseconds since the epoch) forbids it.
export async function backOff(attempt, deadline, reason) {
  const wait = Math.min(50 * 2 ** attempt, 1000);
  if (Date.now() + wait > deadline) throw new Error(`gave up: ${reason}`);
  await new Promise(resolve => setTimeout(resolve, wait));
}
