#!/usr/bin/env node
// The official MCP client, connected to Sequent's own endpoint.
//
//   mcp-client.mjs --base URL --token TOKEN             lists the tools
//   echo '{"calls": [{"name": "start_run", "arguments": {"input": "hello"}, "follow": true}]}' | mcp-client.mjs --jobs ...

import { setTimeout as sleep } from 'node:timers/promises';

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

import { command } from './command.mjs';

const ENDED = ['success', 'error', 'cancelled', 'interrupted'];

/// Job: `{base, token?, key?, calls?}`. A call is `{name, arguments, follow?}`. `follow` calls `get_run` until the run
/// that the call has started ends. Result: `{version, server, instructions, tools, results}`, with one result per call:
/// `{content, structured, isError}`, or `{code, message}` for a protocol error. A followed call also has the last result
/// of `get_run` as `run`.
export async function speak({ base, token, key, calls = [] }) {
  const headers = key ? { 'x-api-key': key } : { authorization: `Bearer ${token}` };
  const transport = new StreamableHTTPClientTransport(new URL('/mcp', base), { requestInit: { headers } });
  const client = new Client({ name: 'sequent-e2e', version: '1.0.0' });
  await client.connect(transport);
  // The client also needs the list to check results against the tools' output schemas.
  const { tools } = await client.listTools();
  const results = [];
  for (const call of calls) results.push(await outcome(client, call));
  const told = {
    version: transport.protocolVersion,
    server: client.getServerVersion(),
    instructions: client.getInstructions(),
  };
  await client.close();
  return { ...told, tools, results };
}

async function outcome(client, { name, arguments: given, follow }) {
  try {
    const { content, structuredContent: structured, isError = false } = await client.callTool({ name, arguments: given });
    const run = follow && !isError ? await ended(client, structured.run_id) : undefined;
    return { content, structured, isError, run };
  } catch (error) {
    if (error.code === undefined) throw error;
    return { code: error.code, message: error.message };
  }
}

async function ended(client, run_id) {
  for (;;) {
    const { structuredContent: run } = await client.callTool({ name: 'get_run', arguments: { run_id } });
    if (ENDED.includes(run.status)) return run;
    await sleep(50);
  }
}

await command(import.meta.url, { key: { type: 'string' } }, speak);
