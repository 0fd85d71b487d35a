//! A run whose model is one of Amazon Bedrock: a question to a person, another owner, and the answer.

use sequent_agent::{Executed, execute};
use sequent_conversation::NewRun;
use sequent_event::Body;
use sequent_model::{Config, Secrets};
use serde_json::{Value, json};

use crate::{
    bench::Bench,
    server::ModelServer,
    tools::{reply, resume},
};

#[path = "../../../model/src/wire/tests/messages.rs"]
mod messages;

const QUESTION: &str = r#"event messageStart {"p":"abcd","role":"assistant"}
event contentBlockDelta {"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"Ask \"them\"\n"}}}
event contentBlockDelta {"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"first."}}}
event contentBlockDelta {"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"c2lnbmVk"}}}
event contentBlockStop {"contentBlockIndex":0}
event contentBlockDelta {"contentBlockIndex":1,"delta":{"text":"Let me ask."}}
event contentBlockStop {"contentBlockIndex":1}
event contentBlockStart {"contentBlockIndex":2,"start":{"toolUse":{"name":"ask_user","toolUseId":"tooluse_7"}}}
event contentBlockDelta {"contentBlockIndex":2,"delta":{"toolUse":{"input":"{\"question\":"}}}
event contentBlockDelta {"contentBlockIndex":2,"delta":{"toolUse":{"input":"\"Which colour?\"}"}}}
event contentBlockStop {"contentBlockIndex":2}
event messageStop {"stopReason":"tool_use"}
event metadata {"usage":{"inputTokens":10,"outputTokens":5,"totalTokens":15}}"#;

const ANSWER: &str = r#"event messageStart {"role":"assistant"}
event contentBlockDelta {"contentBlockIndex":0,"delta":{"text":"Blue it is."}}
event contentBlockStop {"contentBlockIndex":0}
event messageStop {"stopReason":"end_turn"}
event metadata {"usage":{"inputTokens":20,"outputTokens":4,"totalTokens":24}}"#;

fn streamed(lines: &str) -> Vec<u8> {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\nconnection: close\r\n\r\n";
    [head.as_bytes(), &messages::messages(lines)].concat()
}

/// A bench whose only provider of models is Bedrock at this server.
async fn bench(server: &ModelServer) -> Bench {
    let lookup = |name: &str| match name {
        "BEDROCK_BASE_URL" => Some(server.url.clone()),
        "BEDROCK_ACCESS_KEY_ID" | "BEDROCK_SECRET_ACCESS_KEY" => Some("test".to_owned()),
        _ => None,
    };
    let bedrock = Config::from_lookup(lookup, Secrets::default()).unwrap().bedrock;
    let adjust = |config: &mut Config| {
        config.openai = None;
        config.anthropic = None;
        config.bedrock = bedrock;
    };
    server.bench(adjust).await
}

#[tokio::test]
async fn a_run_with_a_model_of_bedrock_continues_after_a_question_to_a_person() {
    let server = ModelServer::start(vec![streamed(QUESTION), streamed(ANSWER)]);
    let bench = bench(&server).await;
    let model = "bedrock/eu.anthropic.claude-sonnet-4-6";
    let asking = NewRun { model: Some(model.into()), ..bench.asking(bench.project().await.id, "Go.") };
    let writer = bench.owned(&asking).await;
    execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
    let other = Bench::of_process(&bench);
    reply(&other, &asking, json!("blue")).await;
    assert_eq!(resume(&other, &asking).await, Executed::Closed);

    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    let messages = asked[1]["messages"].as_array().unwrap();
    let content = |at: usize| -> Vec<&Value> {
        let blocks = messages[at]["content"].as_array().unwrap().iter();
        blocks.filter(|block| block.get("cachePoint").is_none()).collect()
    };
    let expected = [
        json!({"reasoningContent": {"reasoningText": {"text": "Ask \"them\"\nfirst.", "signature": "c2lnbmVk"}}}),
        json!({"text": "Let me ask."}),
        json!({"toolUse": {"toolUseId": "tooluse_7", "name": "ask_user", "input": {"question": "Which colour?"}}}),
    ];
    assert_eq!(content(1), expected.iter().collect::<Vec<_>>());
    let result = &content(2)[0]["toolResult"];
    assert_eq!(result["toolUseId"], "tooluse_7");
    assert!(result["content"][0]["text"].as_str().unwrap().contains("blue"), "{result}");
    assert_eq!(bench.state(asking.run).await.answer_text(), "Let me ask.\n\nBlue it is.");

    // A tenth more than Anthropic's prices, 3 and 15 dollars per million tokens.
    let events = bench.events(asking.run).await;
    let used = events.iter().filter_map(|event| match event.body() {
        Some(Body::UsageRecorded(usage)) => Some(serde_json::to_value(usage).unwrap()),
        _ => None,
    });
    let costs: Vec<_> =
        used.map(|usage| (usage["provider"].clone(), usage["costMicroUsd"].clone())).collect();
    assert_eq!(costs, [116, 132].map(|cost| (json!("bedrock"), json!(cost))));
}
