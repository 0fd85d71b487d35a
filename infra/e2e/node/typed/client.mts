// A client that is written against the types that `openapi-typescript` generates from the API description.
// The test `types` compiles it, which proves that the description has what it relies on, and runs it against
// a stack, which proves that the answers have these types.
//
//   client.mjs --base URL        with the access token in SEQUENT_TOKEN

import createClient from 'openapi-fetch';
import type { components, paths } from 'sequent-api';

type Schemas = components['schemas'];

declare const process: { argv: string[]; env: Record<string, string | undefined> };

const client = createClient<paths>({
  baseUrl: process.argv[process.argv.indexOf('--base') + 1] ?? '',
  headers: { authorization: `Bearer ${process.env.SEQUENT_TOKEN}` },
});

/// Returns the data of an answer. An error is an RFC 9457 problem.
function ok<T>(answer: { data?: T | undefined; error?: Schemas['Problem'] | undefined }): T {
  if (answer.data === undefined) throw new Error(answer.error?.detail ?? 'an error without a problem');
  return answer.data;
}

const ENDED = { pending: false, running: false, interrupted: false, success: true, error: true, cancelled: true };

const page = ok(await client.GET('/api/runs', { params: { query: { limit: 10 } } }));
const runs = [];
for (const run of page.items) {
  // Does not compile if the description has a state that is missing above.
  const status: keyof typeof ENDED = run.status;
  const tokens: number = (run.usage?.input_tokens ?? 0) + (run.usage?.output_tokens ?? 0);
  const path = { id: run.project_id };
  const messages = ok(await client.GET('/api/projects/{id}/messages', { params: { path } }));
  const roles: Array<'user' | 'assistant'> = messages.items.map(message => message.role);
  runs.push({ status, ended: ENDED[status], tokens, roles });
}
const next: string | null | undefined = page.next_cursor;

const refused = await client.GET('/api/runs/{id}', { params: { path: { id: 'run_00000000000000000000000000' } } });
console.log(JSON.stringify({ runs, next: next ?? null, refused: refused.error?.code }));
