// The command line both clients share: flags, or one job in JSON a line on standard input; one result in JSON a line.

import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const COMMON = {
  base: { type: 'string' }, // http://localhost:8080
  token: { type: 'string' }, // or SEQUENT_TOKEN, which no process list shows
  cuts: { type: 'string' }, // 120,4000: cut the first response after 120 bytes, the second after 4000
  how: { type: 'string' }, // error | close
  timeout: { type: 'string' }, // seconds for the whole job
  jobs: { type: 'boolean' }, // read jobs from standard input
};

/// Runs `perform(job)` when `url` is the program that was started.
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
  if (!jobs) return report(defaults, perform);
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim()) await report({ ...defaults, ...JSON.parse(line) }, perform);
  }
}

async function report(job, perform) {
  try {
    const result = await perform(job);
    process.stdout.write(`${JSON.stringify(result)}\n`);
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ failed: error.message })}\n`);
    process.exitCode = 1;
  }
}
