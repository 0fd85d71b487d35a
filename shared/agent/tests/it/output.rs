//! Answers that have to be JSON of a schema.

use sequent_agent::{SentRequest, execute, sent_context};
use sequent_conversation::{Message, MessageRole, NewRun, RunOptions, RunStatus};
use sequent_event::{Body, Phase};
use sequent_tables::key;
use serde_json::{Value, json};

use crate::{
    bench::Bench,
    server::{ModelServer, completion},
};

fn schema() -> Value {
    json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})
}

fn said(text: &str) -> String {
    completion(&[json!({ "content": text })], "stop")
}

/// Runs a task whose answer has the schema, with a model that gives these answers.
async fn run(answers: &[&str]) -> (ModelServer, Bench, NewRun) {
    let server = ModelServer::start(answers.iter().map(|text| said(text)).collect());
    let bench = server.bench(|_| ()).await;
    let options = RunOptions { output_schema: Some(schema()), ..RunOptions::default() };
    let asking =
        NewRun { options, model: Some("m".into()), ..bench.asking(bench.project().await.id, "The capital?") };
    let writer = bench.owned(&asking).await;
    execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
    (server, bench, asking)
}

async fn stored(bench: &Bench, of: &NewRun) -> Vec<Message> {
    let mut messages = bench.projects().latest_messages(of.project, 10).await.unwrap();
    messages.retain(|message| message.role == MessageRole::Assistant);
    messages
}

#[tokio::test]
async fn an_answer_that_matches_ends_the_run() {
    let (server, bench, asking) = run(&["{\"city\": \"Paris\"}"]).await;
    assert_eq!(bench.status(asking.run).await, RunStatus::Success);
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0]["response_format"]["json_schema"]["schema"], schema());
    let system = asked[0]["messages"][0]["content"].as_str().unwrap();
    assert!(system.contains(&schema().to_string()), "{system}");
}

#[tokio::test]
async fn an_answer_that_does_not_match_is_taken_back_and_corrected_once() {
    let (server, bench, asking) = run(&["It is Paris.", "{\"city\": \"Paris\"}"]).await;
    assert_eq!(bench.status(asking.run).await, RunStatus::Success);
    let state = bench.state(asking.run).await;
    assert_eq!(state.answer_text(), "{\"city\": \"Paris\"}");
    assert_eq!(stored(&bench, &asking).await.last().unwrap().content, "{\"city\": \"Paris\"}");
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    let messages = asked[1]["messages"].as_array().unwrap();
    assert_eq!(messages[2], json!({"role": "assistant", "content": "It is Paris."}));
    let correction = messages[3]["content"].as_str().unwrap();
    assert!(correction.contains("it is not JSON"), "{correction}");
    let events = bench.events(asking.run).await;
    let rejected = |body: &Body| matches!(body, Body::OutputRejected { .. } | Body::MessageAbandoned { .. });
    assert_eq!(events.iter().filter_map(|event| event.body()).filter(|body| rejected(body)).count(), 2);
    assert_eq!(state.model_calls, 2, "both are paid for");
}

#[tokio::test]
async fn a_second_answer_that_does_not_match_ends_the_run_with_an_error() {
    let (server, bench, asking) = run(&["It is Paris.", "{\"town\": \"Paris\"}"]).await;
    let state = bench.state(asking.run).await;
    let Phase::Failed { code, message } = &state.phase else { panic!("{:?}", state.phase) };
    assert_eq!(code, "output_invalid");
    assert!(message.contains("missing properties `city`"), "{message}");
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn the_schema_is_a_part_of_the_request_and_not_of_the_stored_instructions() {
    let (server, bench, asking) = run(&["{\"city\": \"Paris\"}"]).await;
    let events = bench.events(asking.run).await;
    let usage = events.iter().find_map(|event| event.body().and_then(Body::usage)).unwrap();
    let offer = key::offer(bench.tenant, &usage.request.as_ref().unwrap().offer);
    let row = bench.engine.store().get_item(&offer).await.unwrap().unwrap();
    assert!(!format!("{row:?}").contains("city"), "it would outlast the conversation: {row:?}");
    let key = bench.key(asking.run);
    let sent = sent_context(&bench.engine.storage, key, Some(asking.project), None).await.unwrap().unwrap();
    let SentRequest::Exact { system, .. } = sent.request else { panic!("{:?}", sent.request) };
    assert_eq!(json!(system), server.asked()[0]["messages"][0]["content"]);
}
