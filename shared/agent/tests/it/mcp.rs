//! Runs of a tenant whose MCP server is not as it should be.

use sequent_agent::{Engine, Executed, execute};
use sequent_core::Timestamp;
use sequent_event::TranscriptEntry;
use sequent_identity::Vault;
use sequent_mcp_client::{Approval, Name, NewServer, Servers, testing::Scripted};
use sequent_model::Client;
use sequent_tool::{
    Guard,
    guard::{Allow, System},
};
use serde_json::{Value, json};

use crate::{
    bench::Bench,
    scripted::{Answer, ScriptedServer},
    window::config,
};

/// Returns `true` if a provider refuses the request because of a schema.
fn is_refused(request: &Value) -> bool {
    let mut schemas = request["tools"].as_array().unwrap().iter().map(|tool| &tool["function"]["parameters"]);
    schemas.any(|schema| {
        let is_bad = |name: &str| schema.get(name).is_some();
        schema["type"] != "object"
            || ["anyOf", "oneOf", "allOf", "enum", "not", "$ref"].into_iter().any(is_bad)
    })
}

#[tokio::test]
async fn a_chat_works_although_a_server_lists_a_malformed_tool_and_schemas_that_models_refuse() {
    let one_of = json!({"anyOf": [
        {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
        {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
    ]});
    let remote = Scripted::start(json!([
        {"name": "find", "inputSchema": one_of},
        {"name": "add", "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}}},
        {"name": "broken", "inputSchema": null},
        {"name": "text", "inputSchema": {"type": "string"}},
        {"name": "first", "inputSchema": {"$ref": "#/$defs/Args", "$defs": {"Args": {"type": "object"}}}},
    ]))
    .await;
    let model = ScriptedServer::start(|number, request| match number {
        _ if is_refused(request) => Answer::Refusal("Invalid schema for function."),
        0 => Answer::Call("notes__find"),
        1 => Answer::Call("notes__add"),
        _ => Answer::Text("Noted.".to_owned()),
    });
    let bench = Bench::new().await;
    let vault = Vault::fixed(&json!({"seed": "tests"}).to_string().into()).unwrap();
    let guard = Guard::new(Allow::parse_list(&remote.address.to_string()).unwrap(), System);
    let servers = Servers::new(bench.engine.store().clone(), vault, guard);
    let name = Name::try_from("notes".to_owned()).unwrap();
    let new = NewServer { approval: Approval::Never, ..NewServer::new(name, &remote.url()) };
    let adding = servers.add(bench.tenant, bench.user, new, Timestamp::now());
    let (_, listing) = Box::pin(adding).await.unwrap();
    assert_eq!((listing.tools.len(), listing.malformed_tools.len()), (4, 1));
    let models = Client::new(config(&model, 128_000));
    let bench = Bench { engine: Engine { models, servers: Some(servers), ..bench.engine }, ..bench };

    let asking = bench.asking(bench.project().await.id, "Note it.");
    let writer = bench.owned(&asking).await;
    let ended = execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
    assert_eq!(ended, Executed::Closed);
    let state = bench.state(asking.run).await;
    assert_eq!(state.answer_text(), "Noted.", "{:?}", state.phase);
    let requests = model.requests();
    assert_eq!(requests.len(), 3, "the model has refused nothing");
    let request: Value = serde_json::from_slice(&requests[0]).unwrap();
    let tools =
        request["tools"].as_array().unwrap().iter().map(|tool| tool["function"]["name"].as_str().unwrap());
    let of_server: Vec<_> = tools.filter(|name| name.starts_with("notes__")).collect();
    assert_eq!(of_server, ["notes__add", "notes__find", "notes__first"]);
    let results: Vec<&String> = state
        .transcript
        .iter()
        .filter_map(|entry| match entry {
            TranscriptEntry::Tool { content, .. } => Some(content),
            _ => None,
        })
        .collect();
    assert!(
        results[0].contains("do not match its parameters"),
        "a call is checked by the whole schema: {results:?}"
    );
    assert_eq!(results[1], "{}");
    assert_eq!(remote.received("tools/call").len(), 1);
}
