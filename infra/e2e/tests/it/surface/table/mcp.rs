//! The MCP endpoint, and the routes of MCP servers and web access.

use serde_json::{Value, json};

use super::{Call, Entry, Foreign, QUESTION, entry, missing, same};
use crate::surface::belongings::random_server;

pub(super) fn mcp() -> Vec<Entry> {
    vec![
        entry("POST /mcp", "jsonrpc id method params", |of| {
            let say = |method: &str, params: Value| {
                let accept = "application/json, text/event-stream";
                let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
                Call::to("/mcp").header("accept", accept).body(body)
            };
            let call = |tool: &str, arguments: Value| {
                say("tools/call", json!({"name": tool, "arguments": arguments}))
            };
            let keyed = json!({"input": QUESTION, "idempotency_key": of.idempotency_key});
            let mut calls = vec![say("tools/list", json!({})), call("start_run", keyed)];
            // A tool that finds nothing reports that in its result.
            for (project, run) in [(&of.project, &of.run), (&of.live_project, &of.live_run)] {
                let send = json!({"message": QUESTION, "project_id": project});
                let start = json!({"input": QUESTION, "project_id": project});
                let named = [
                    call("get_run", json!({"run_id": run})),
                    call("send_message", send),
                    call("start_run", start),
                ];
                calls.extend(named.map(|call| call.is(Foreign::Same)));
            }
            calls
        }),
        entry("GET /mcp", "", |_| vec![same("/mcp")]),
        entry("DELETE /mcp", "", |_| vec![same("/mcp")]),
        entry("GET /api/mcp-servers", "", |_| vec![Call::to("/api/mcp-servers")]),
        entry(
            "POST /api/mcp-servers",
            "name url token allowed_tools approval repeatable_tools enabled",
            |of| {
                // The server is stored without a connection to it. Another test has a reachable server.
                let own = json!({"name": random_server(), "url": "https://notes.example.com/mcp", "token": "theirs",
                "allowed_tools": ["note"], "enabled": false});
                let private = json!({"name": of.mcp_server, "url": "http://10.0.0.1/mcp"});
                let add = |body| Call::to("/api/mcp-servers").body(body);
                vec![add(own), add(private).is(Foreign::Same)]
            },
        ),
        entry("GET /api/mcp-servers/{name}", "name", |of| {
            vec![missing(format!("/api/mcp-servers/{}", of.mcp_server))]
        }),
        entry("PUT /api/mcp-servers/{name}/tools", "name accepted", |of| {
            let accepted = json!({"accepted": {"note": "0f".repeat(32)}});
            vec![missing(format!("/api/mcp-servers/{}/tools", of.mcp_server)).body(accepted)]
        }),
        entry("POST /api/mcp-servers/{name}/authorize", "name redirect_uri client_id client_secret", |of| {
            let begin =
                json!({"redirect_uri": "http://127.0.0.1:9/", "client_id": "c", "client_secret": "s"});
            vec![missing(format!("/api/mcp-servers/{}/authorize", of.mcp_server)).body(begin)]
        }),
        entry("PUT /api/mcp-servers/{name}/authorize", "name code state iss", |of| {
            let redirected = json!({"code": "c", "state": "s", "iss": "https://auth.example.com"});
            vec![missing(format!("/api/mcp-servers/{}/authorize", of.mcp_server)).body(redirected)]
        }),
        entry("GET /api/web-fetch", "", |_| vec![Call::to("/api/web-fetch")]),
        entry("PUT /api/web-fetch", "mode hosts", |_| {
            let setting = json!({"mode": "allowlist", "hosts": ["*.example.com"]});
            vec![Call::to("/api/web-fetch").body(setting).is(Foreign::Own)]
        }),
        entry("DELETE /api/mcp-servers/{name}", "name", |of| {
            vec![missing(format!("/api/mcp-servers/{}", of.mcp_server))]
        }),
    ]
}
