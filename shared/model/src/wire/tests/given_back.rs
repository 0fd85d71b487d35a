//! The part of a next request that repeats an answer.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{Protocol, Raw, decoded};
use crate::{
    Chunk, Message, Origin, Part, Reasoning, Request, Role, ToolCall, config::Endpoint, wire::Omitted,
};

/// Returns the message of the next request to the same model that repeats a recorded answer.
fn given_back(protocol: Protocol, name: &str) -> Value {
    let folder = if protocol == Protocol::OpenAi { "openai" } else { "anthropic" };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire").join(folder).join(name);
    let body = fs::read(path).unwrap();
    let model: crate::ModelName = format!("{folder}/m").parse().unwrap();
    let mut parts: Vec<Part> = Vec::new();
    for piece in decoded(protocol, &body, 9).pieces {
        let Raw::Chunk(chunk) = piece else { continue };
        match chunk {
            Chunk::ReasoningDelta(text) => {
                let origin = Origin { model: model.clone(), data: None };
                parts.push(Part::Reasoning(Reasoning { text, origin }));
            }
            Chunk::TextDelta(text) => parts.push(Part::Text { text }),
            Chunk::ToolCallStart { id, name } => {
                parts.push(Part::ToolCall(ToolCall::new(format!("ours-{id}"), name, "")))
            }
            Chunk::ToolCallDelta { arguments: piece, .. } => match parts.last_mut() {
                Some(Part::ToolCall(call)) => call.arguments.push_str(&piece),
                other => panic!("{other:?}"),
            },
            Chunk::ProviderData { data, .. } => {
                let origin = Origin { model: model.clone(), data: Some(data) };
                match parts.last_mut() {
                    Some(Part::ToolCall(call)) if call.origin.is_none() => call.origin = Some(origin),
                    Some(Part::Reasoning(reasoning)) if reasoning.origin.data.is_none() => {
                        reasoning.origin = origin
                    }
                    _ => parts.push(Part::Reasoning(Reasoning { text: String::new(), origin })),
                }
            }
            Chunk::ToolCallEnd { .. } | Chunk::Finished { .. } => {}
        }
    }
    let answer = Message { role: Role::Assistant, parts };
    let request = Request::new(model, vec![Message::user("a"), answer]);
    let endpoint = Endpoint::new("https://api.example.com/v1", None).unwrap();
    protocol.encode(&endpoint, "m", &request, &Omitted::default()).unwrap().body["messages"][1].take()
}

#[test]
fn what_a_model_has_to_get_back_is_in_the_next_request() {
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "search", "input": {"q": 1}});
    let thinking = given_back(Protocol::Anthropic, "thinking-with-a-signature.sse");
    let block = json!({"type": "thinking", "thinking": "Hm", "signature": "c2ln"});
    assert_eq!(thinking["content"], json!([block, call("toolu_1")]));
    let redacted = given_back(Protocol::Anthropic, "redacted-thinking.sse");
    assert_eq!(redacted["content"][0], json!({"type": "redacted_thinking", "data": "ZW5jcnlwdGVk"}));
    let gemini = given_back(Protocol::OpenAi, "gemini-thought-signature.sse");
    assert!(gemini["tool_calls"][0]["extra_content"]["google"]["thought_signature"].is_string(), "{gemini}");
    assert_eq!(gemini["tool_calls"][0]["id"], "a");
    let cerebras = given_back(Protocol::OpenAi, "cerebras-reasoning.sse");
    assert!(cerebras["reasoning"].is_string() && cerebras["tool_calls"].is_array(), "{cerebras}");
}

#[test]
fn arguments_that_are_no_object_go_back_as_an_object_that_contains_them() {
    let repeated = given_back(Protocol::OpenAi, "openai-two-documents-in-one-call.sse");
    let arguments = repeated["tool_calls"][0]["function"]["arguments"].as_str().unwrap();
    let arguments: Value = serde_json::from_str(arguments).unwrap();
    assert_eq!(arguments, json!({"invalid_arguments": r#"{"q":"A"}{"q":"B"}"#}));
    for (written, sent) in [
        ("{\"q\": 1.0}", "{\"q\": 1.0}"),
        (" ", "{}"),
        ("[1]", "{\"invalid_arguments\":\"[1]\"}"),
        ("null", "{\"invalid_arguments\":\"null\"}"),
        ("{\"q", "{\"invalid_arguments\":\"{\\\"q\"}"),
    ] {
        let message = repeated_call(Protocol::OpenAi, "search", written);
        assert_eq!(message["tool_calls"][0]["function"]["arguments"], sent, "{written}");
        let message = repeated_call(Protocol::Anthropic, "search", written);
        assert!(message["content"][0]["input"].is_object(), "{written}");
    }
}

#[test]
fn a_call_of_a_tool_that_cannot_exist_goes_back_with_a_name_that_servers_accept() {
    for (written, sent) in
        [("multi_tool_use.parallel", "multi_tool_use_parallel"), ("search", "search"), ("", "unnamed")]
    {
        let openai = repeated_call(Protocol::OpenAi, written, "{}");
        assert_eq!(openai["tool_calls"][0]["function"]["name"], sent);
        let anthropic = repeated_call(Protocol::Anthropic, written, "{}");
        assert_eq!(anthropic["content"][0]["name"], sent);
        let bedrock = repeated_call(Protocol::Bedrock, written, "{}");
        assert_eq!(bedrock["content"][0]["toolUse"]["name"], sent);
    }
}

/// Returns the message of a request that repeats a call.
fn repeated_call(protocol: Protocol, name: &str, arguments: &str) -> Value {
    let call = Part::ToolCall(ToolCall::new("call_1", name, arguments));
    let answer = Message { role: Role::Assistant, parts: vec![call] };
    let messages = vec![Message::user("a"), answer, Message::tool_result("call_1", "no such tool")];
    let request = Request::new("m".parse().unwrap(), messages);
    let endpoint = Endpoint::new("https://api.example.com/v1", None).unwrap();
    protocol.encode(&endpoint, "m", &request, &Omitted::default()).unwrap().body["messages"][1].take()
}
