// A fetch whose connections break at scheduled places, as a mobile connection does in a tunnel.

/// `cuts[n]` is the number of body bytes after which the nth response breaks. Responses past the end of the list stay
/// whole. A cut is `error`, a connection reset, or `close`, a body that ends too early (as behind a proxy if a function
/// is killed). `requests` records every exchange: `{at, method, url, after, status, bytes, cut}`, where `at` is its start
/// in milliseconds and `after` its `Last-Event-ID`. `via` is the underlying fetch. Each cut is reported to `cutUrl`.
export function cuttingFetch({ cuts = [], how = 'error', via = globalThis.fetch, cutUrl } = {}) {
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
            if (cutUrl) await globalThis.fetch(cutUrl, { method: 'POST' });
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
      // Pull only on demand: an error discards queued bytes, so the cut would come too early.
      { highWaterMark: 0 },
    );
    return new Response(body, { status: response.status, headers: response.headers });
  }

  return { fetch, requests };
}

/// A fetch that sends each distinct request once and repeats its response, for reading a finished run many times.
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
    // Without a pause, the other jobs of the process would not run.
    await new Promise(resolve => setImmediate(resolve));
    const { body, init: answer } = answers.get(question);
    return new Response(body, answer);
  };
}

/// Waits before another attempt, longer each time. Throws after `deadline` (milliseconds since the epoch).
export async function backOff(attempt, deadline, reason) {
  const wait = Math.min(50 * 2 ** attempt, 1000);
  if (Date.now() + wait > deadline) throw new Error(`gave up: ${reason}`);
  await new Promise(resolve => setTimeout(resolve, wait));
}
