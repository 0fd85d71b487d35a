//! Reasoning and data of a provider, which go back to the model that made them, also after another process has taken over.

use sequent_agent::{Executed, execute};
use sequent_conversation::NewRun;
use sequent_event::Body;
use serde_json::{Value, json};

use crate::{
    bench::Bench,
    server::{ModelServer, completion, streamed},
    tools::{reply, resume},
};

/// Has a model call `ask_user`, answers, and continues on another process. Returns the messages of the second request.
async fn second_request(model: &str, answers: Vec<String>) -> (Bench, NewRun, Vec<Value>) {
    let server = ModelServer::start(answers);
    let bench = server.bench(|_| ()).await;
    let asking = NewRun { model: Some(model.into()), ..bench.asking(bench.project().await.id, "Go.") };
    let writer = bench.owned(&asking).await;
    execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
    let other = Bench::of_process(&bench);
    reply(&other, &asking, json!("blue")).await;
    assert_eq!(resume(&other, &asking).await, Executed::Closed);
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    let messages = asked[1]["messages"].as_array().unwrap().clone();
    (bench, asking, messages)
}

#[tokio::test]
async fn anthropic_gets_its_blocks_of_reasoning_and_its_ids_back() {
    let start = |index: u32, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let delta =
        |index: u32, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let stop = |index: u32| json!({"type": "content_block_stop", "index": index});
    let end = |reason: &str| {
        [
            json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 9}}),
            json!({"type": "message_stop"}),
        ]
    };
    let begin = json!({"type": "message_start", "message": {"usage": {"input_tokens": 10}}});
    let calls = [
        begin.clone(),
        start(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(0, json!({"type": "thinking_delta", "thinking": "Ask \"them\"\n"})),
        delta(0, json!({"type": "thinking_delta", "thinking": "first."})),
        delta(0, json!({"type": "signature_delta", "signature": "c2lnbmVk"})),
        stop(0),
        start(1, json!({"type": "redacted_thinking", "data": "ZW5j"})),
        stop(1),
        start(2, json!({"type": "text", "text": "Let me ask."})),
        stop(2),
        start(3, json!({"type": "tool_use", "id": "toolu_7", "name": "ask_user", "input": {}})),
        delta(3, json!({"type": "input_json_delta", "partial_json": "{\"question\":\"Which colour?\"}"})),
        stop(3),
    ];
    let ends = [begin, start(0, json!({"type": "text", "text": "Blue it is."})), stop(0)];
    let answers = vec![
        streamed(&[&calls[..], &end("tool_use")].concat()),
        streamed(&[&ends[..], &end("end_turn")].concat()),
    ];
    let (bench, asking, messages) = second_request("claude-sonnet-4-6", answers).await;
    assert_eq!(
        messages[1]["content"],
        json!([
            {"type": "thinking", "thinking": "Ask \"them\"\nfirst.", "signature": "c2lnbmVk"},
            {"type": "redacted_thinking", "data": "ZW5j"},
            {"type": "text", "text": "Let me ask."},
            {"type": "tool_use", "id": "toolu_7", "name": "ask_user", "input": {"question": "Which colour?"}},
        ])
    );
    assert_eq!(messages[2]["content"][0]["tool_use_id"], "toolu_7");

    // A later run of the conversation gets the words and the calls only.
    let next = NewRun { model: Some("claude-sonnet-4-6".into()), ..bench.asking(asking.project, "Thanks.") };
    let server = ModelServer::start(vec![streamed(&[&ends[..], &end("end_turn")].concat())]);
    let later = server.bench(|_| ()).await;
    let engine = sequent_agent::Engine { models: later.engine.models.clone(), ..bench.engine.clone() };
    let later = Bench { engine, tenant: bench.tenant, user: bench.user };
    let writer = later.owned(&next).await;
    execute(&later.engine, later.key(next.run), *writer, None).await.unwrap();
    let asked = server.asked()[0]["messages"].to_string();
    assert!(asked.contains("Let me ask.") && asked.contains("tool_use"), "{asked}");
    assert!(!asked.contains("thinking") && !asked.contains("toolu_7"), "{asked}");

    let events = bench.events(asking.run).await;
    let values =
        events.iter().filter(|event| matches!(event.body(), Some(Body::ReasoningEncryptedValue { .. })));
    assert_eq!(values.count(), 3, "two blocks and a call");
}

#[tokio::test]
async fn a_server_of_completions_gets_its_reasoning_its_signature_and_its_ids_back() {
    let question = "{\"question\":\"Which colour?\"}";
    let extra = json!({"google": {"thought_signature": "c2lnbmVk"}});
    let call = json!({"index": 0, "id": "functions.ask_user:0", "type": "function",
        "function": {"name": "ask_user", "arguments": question}, "extra_content": extra});
    let calls = [
        json!({"role": "assistant", "reasoning_content": "Ask "}),
        json!({"reasoning_content": "them."}),
        json!({"tool_calls": [call]}),
    ];
    let answers =
        vec![completion(&calls, "tool_calls"), completion(&[json!({"content": "Blue it is."})], "stop")];
    let (bench, asking, messages) = second_request("some-model", answers).await;
    let expected = json!({
        "role": "assistant",
        "content": null,
        "reasoning_content": "Ask them.",
        "tool_calls": [{
            "id": "functions.ask_user:0",
            "type": "function",
            "function": {"name": "ask_user", "arguments": question},
            "extra_content": extra,
        }],
    });
    assert_eq!(messages[2], expected);
    assert_eq!(messages[3]["tool_call_id"], "functions.ask_user:0");
    let state = bench.state(asking.run).await;
    assert_eq!(state.answer_text(), "Blue it is.");
}
