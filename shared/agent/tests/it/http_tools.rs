//! Runs of a tenant with HTTP tools.

use sequent_agent::{Engine, Executed, execute, sent_context};
use sequent_core::Timestamp;
use sequent_event::{State, TranscriptEntry};
use sequent_http_tools::{HttpToolChange, HttpTools, NewHttpTool, ToolName};
use sequent_identity::Vault;
use sequent_tool::Guard;
use serde_json::{Value, json};

use crate::{
    bench::Bench,
    tools::{reply, resume},
};

const SCRIPT: &str = "/demo tokens=1 rate=0 tool=refund args={\"id\":\"7\"}\n/demo tokens=1 rate=0";

/// A bench whose tenant has the tool `refund`, which asks a person.
async fn bench() -> (Bench, HttpTools) {
    let bench = Bench::new().await;
    let vault = Vault::fixed(&json!({"seed": "tests"}).to_string().into()).unwrap();
    let tools = HttpTools::new(bench.engine.store().clone(), vault, Guard::default());
    let new = json!({"name": "refund", "description": "Refunds an order.", "method": "POST",
        "url": "https://api.example.com/orders/{id}/refunds",
        "input_schema": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}});
    let new: NewHttpTool = serde_json::from_value(new).unwrap();
    tools.create(bench.tenant, bench.user, new, Timestamp::now()).await.unwrap();
    let engine = Engine { http_tools: Some(tools.clone()), ..bench.engine };
    (Bench { engine, ..bench }, tools)
}

fn refund() -> ToolName {
    "refund".to_owned().try_into().unwrap()
}

async fn change(bench: &Bench, tools: &HttpTools, body: Value) {
    let change: HttpToolChange = serde_json::from_value(body).unwrap();
    tools.change(bench.tenant, &refund(), &change, Timestamp::now()).await.unwrap();
}

fn results(state: &State) -> Vec<&str> {
    let results = state.transcript.iter().filter_map(|entry| match entry {
        TranscriptEntry::Tool { content, .. } => Some(content.as_str()),
        _ => None,
    });
    results.collect()
}

#[tokio::test]
async fn a_run_goes_on_when_its_tool_is_deleted_and_its_context_stays_what_it_was() {
    let (bench, tools) = bench().await;
    let asking = bench.asking(bench.project().await.id, SCRIPT);
    let writer = bench.owned(&asking).await;
    let ended = execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
    assert_eq!(ended, Executed::Closed);
    assert_eq!(bench.state(asking.run).await.open_interrupts().count(), 1, "a person is asked");
    let context = async || {
        let key = bench.key(asking.run);
        let sent = sent_context(&bench.engine.storage, key, Some(asking.project), Some(1)).await;
        format!("{:?}", sent.unwrap().unwrap().request)
    };
    let before = context().await;
    assert!(before.starts_with("Exact") && before.contains("Refunds an order."), "{before}");

    change(&bench, &tools, json!({"description": "Another."})).await;
    tools.delete(bench.tenant, &refund()).await.unwrap();
    assert_eq!(context().await, before);
    reply(&bench, &asking, json!({"approved": true})).await;
    assert_eq!(resume(&bench, &asking).await, Executed::Closed);
    let state = bench.state(asking.run).await;
    assert_eq!(results(&state), ["There is no tool `refund`."]);
    assert_eq!(context().await, before);
}
