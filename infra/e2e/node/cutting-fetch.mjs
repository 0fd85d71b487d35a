// A fetch whose connections break where a schedule says, as a train entering a tunnel would.

/// `cuts[n]` is the number of body bytes after which the nth response breaks; responses past the end of the list are
/// left whole. A cut is `error`, a connection reset, or `close`, a body that ends too soon (what a killed function
/// behind a proxy looks like). `requests` records every exchange: `{method, url, status, bytes, cut}`.
export function cuttingFetch({ cuts = [], how = 'error' } = {}) {
  const requests = [];

  async function fetch(input, init = {}) {
    const limit = cuts[requests.length] ?? Infinity;
    const record = { method: init.method ?? 'GET', url: String(input), status: 0, bytes: 0, cut: false };
    requests.push(record);
    const response = await globalThis.fetch(input, init);
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

/// Waits before another attempt, longer each time, until `deadline` (milliseconds since the epoch) forbids it.
export async function backOff(attempt, deadline, reason) {
  const wait = Math.min(50 * 2 ** attempt, 1000);
  if (Date.now() + wait > deadline) throw new Error(`gave up: ${reason}`);
  await new Promise(resolve => setTimeout(resolve, wait));
}
