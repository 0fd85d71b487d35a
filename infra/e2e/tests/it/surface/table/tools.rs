//! The routes of HTTP tools, and of the policies of all tools.

use serde_json::json;

use super::{Call, Entry, Foreign, entry, missing};
use crate::surface::{Belongings, belongings::random_server};

/// Returns the names of a route whose body has a tool.
macro_rules! with_tool {
    ($others:literal) => {
        concat!(
            $others,
            " description input_schema method url headers value secret timeout_seconds idempotent policy result_pointer",
            " max_result_bytes"
        )
    };
}

pub(super) fn tools() -> Vec<Entry> {
    vec![
        entry("GET /api/tools", "", |_| vec![Call::to("/api/tools")]),
        entry("POST /api/tools", with_tool!("name"), |of| {
            let own = json!({"name": random_server(), "description": "Finds.", "input_schema": {"type": "object"},
                "method": "GET", "url": "https://api.example.com/", "headers": [{"name": "a", "value": "b", "secret": true}]});
            let mut private = own.clone();
            private["name"] = json!(of.tool);
            private["url"] = json!("http://10.0.0.1/");
            let add = |body| Call::to("/api/tools").body(body);
            vec![add(own), add(private).is(Foreign::Same)]
        }),
        entry("GET /api/tools/{name}", "name", |of| vec![of_tool(of, "")]),
        entry("PATCH /api/tools/{name}", with_tool!("name"), |of| {
            let taken =
                json!({"url": "https://evil.example.com/", "headers": [{"name": "a", "secret": true}]});
            vec![of_tool(of, "").body(json!({"description": "Theirs."})), of_tool(of, "").body(taken)]
        }),
        entry("POST /api/tools/{name}/test", "name arguments", |of| {
            vec![of_tool(of, "/test").body(json!({"arguments": {"id": "7"}}))]
        }),
        entry("POST /api/tools/{name}/secret", "name", |of| vec![of_tool(of, "/secret")]),
        entry("GET /api/tool-policies", "", |_| vec![Call::to("/api/tool-policies")]),
        entry(
            "PUT /api/tool-policies",
            "revision items tool policy max_calls_per_run max_calls_per_day",
            |_| {
                let items = json!([{"tool": "cite_source", "policy": "always"}]);
                vec![Call::to("/api/tool-policies").body(json!({"revision": 0, "items": items}))]
            },
        ),
        entry("DELETE /api/tools/{name}", "name", |of| vec![of_tool(of, "")]),
    ]
}

fn of_tool(of: &Belongings, rest: &str) -> Call {
    missing(format!("/api/tools/{}{rest}", of.tool))
}
