// The command line that the clients share: flags, or with `--jobs` one JSON job per line on standard input. Prints one
// JSON result per line, in the order of the jobs. Jobs run concurrently.

import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const COMMON = {
  base: { type: 'string' }, // http://localhost:8080
  token: { type: 'string' }, // or SEQUENT_TOKEN, which process lists do not show
  cuts: { type: 'string' }, // 120,4000: cut the first response after 120 bytes, the second after 4000
  how: { type: 'string' }, // error | close
  timeout: { type: 'string' }, // seconds for the whole job
  jobs: { type: 'boolean' }, // read jobs from standard input
};

/// Runs `perform(job)` for every job if `url` is the program that was started.
export async function command(url, options, perform) {
  if (process.argv[1] !== fileURLToPath(url)) return;
  const { values: flags } = parseArgs({ options: { ...COMMON, ...options } });
  const { jobs, cuts, timeout, ...rest } = flags;
  const defaults = {
    token: process.env.SEQUENT_TOKEN,
    ...rest,
    ...(cuts && { cuts: cuts.split(',').map(Number) }),
    ...(timeout && { timeout: Number(timeout) }),
  };
  const running = [];
  if (!jobs) running.push(outcome(defaults, perform));
  else {
    for await (const line of createInterface({ input: process.stdin })) {
      if (line.trim()) running.push(outcome({ ...defaults, ...JSON.parse(line) }, perform));
    }
  }
  for (const result of running) process.stdout.write(`${JSON.stringify(await result)}\n`);
}

async function outcome(job, perform) {
  try {
    return await perform(job);
  } catch (error) {
    process.exitCode = 1;
    return { failed: error.message };
  }
}
