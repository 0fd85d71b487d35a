//! Damage to the bytes of messages, exceptions, reasons of an end, and requests.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    AttachedFile, FileBytes, FileType, Message as Turn, Part, Request, Role, ToolCall, ToolSpec,
    wire::{
        Omitted, Parameter, Protocol,
        tests::{content, decoded, is_inconsistent, messages, recordings, shown},
    },
};

const ANSWER: &str = r#"event messageStart {"p":"abcd","role":"assistant"}
event contentBlockDelta {"contentBlockIndex":0,"delta":{"text":"Grüß Gott"},"p":"ab"}
event contentBlockStop {"contentBlockIndex":0}
event messageStop {"stopReason":"end_turn"}
event metadata {"metrics":{"latencyMs":1},"usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5}}
"#;

#[test]
fn the_damage_of_any_byte_is_noticed() {
    let body = messages(ANSWER);
    let whole = decoded(Protocol::Bedrock, &body, body.len());
    assert_eq!(shown(&whole), "text \"Grüß Gott\"\nfinished stop input=3 output=2 cached=0 reasoning=0\n");
    let end = body.len() - messages(ANSWER.lines().last().unwrap()).len();
    for at in 0..body.len() {
        for mask in [1, 0xff] {
            let mut damaged = body.clone();
            damaged[at] ^= mask;
            let outcome = decoded(Protocol::Bedrock, &damaged, 64);
            assert!(!is_inconsistent(&outcome), "{at}: {outcome:?}");
            if at < end {
                assert!(outcome.error.is_some(), "byte {at} with {mask}: {outcome:?}");
            } else {
                assert_eq!(content(&outcome), content(&whole), "byte {at} with {mask}");
            }
        }
    }
}

#[test]
fn bytes_that_are_lost_or_doubled_are_noticed() {
    for recording in recordings().iter().filter(|recording| recording.protocol == Protocol::Bedrock) {
        let body = &recording.body;
        for at in (0..body.len()).step_by(7) {
            let lost = [&body[..at], &body[at + 1..]].concat();
            let doubled = [&body[..=at], &body[at..]].concat();
            for damaged in [lost, doubled] {
                let outcome = decoded(Protocol::Bedrock, &damaged, 64);
                assert!(!is_inconsistent(&outcome), "{} at {at}: {outcome:?}", recording.path.display());
            }
        }
    }
}

#[test]
fn a_length_that_no_message_has_is_not_waited_for() {
    let mut prelude = (64_u32 << 20).to_be_bytes().to_vec();
    prelude.extend_from_slice(&0_u32.to_be_bytes());
    let checksum = crc32fast::hash(&prelude);
    prelude.extend_from_slice(&checksum.to_be_bytes());
    // Its first byte is that of a text.
    let text = decoded(Protocol::Bedrock, &prelude, 4).error;
    assert_eq!(text, Some(Error::Truncated));
    let mut body = messages("event messageStart {}");
    body.extend_from_slice(&prelude);
    let error = decoded(Protocol::Bedrock, &body, 4).error;
    assert_eq!(error, Some(Error::InvalidAnswer("a message is too large".into())));
}

/// Returns a message with these bytes as its headers, whatever they are. Its first checksum is right.
fn with_headers(headers: &[u8], payload: &[u8], is_whole: bool) -> Vec<u8> {
    let length = |length: usize| u32::try_from(length).unwrap().to_be_bytes();
    let mut bytes = [length(16 + headers.len() + payload.len()), length(headers.len())].concat();
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    bytes.extend_from_slice(headers);
    bytes.extend_from_slice(payload);
    let checksum = crc32fast::hash(&bytes) ^ u32::from(!is_whole);
    bytes.extend_from_slice(&checksum.to_be_bytes());
    bytes
}

proptest! {
    #[test]
    fn no_headers_make_it_panic(
        headers in prop::collection::vec(0..12_u8, 0..40), payload in "[{}\":a-z]{0,20}", is_whole: bool,
    ) {
        let body = with_headers(&headers, payload.as_bytes(), is_whole);
        let outcome = decoded(Protocol::Bedrock, &body, 16);
        prop_assert!(outcome.error.is_some() && !is_inconsistent(&outcome), "{:?}", outcome);
    }
}

#[test]
fn each_exception_is_an_error_that_retries_and_fallbacks_know() {
    let overloaded = Error::Overloaded { retry_after: None };
    let limited = Error::RateLimited { retry_after: None };
    let unavailable = Error::Unavailable("no".into());
    for (name, expected) in [
        ("throttlingException", limited),
        ("serviceUnavailableException", overloaded.clone()),
        ("modelNotReadyException", overloaded),
        ("internalServerException", unavailable.clone()),
        ("modelStreamErrorException", unavailable.clone()),
        ("modelTimeoutException", unavailable.clone()),
        ("somethingNewException", unavailable),
        ("validationException", Error::BadRequest("no".into())),
        ("accessDeniedException", Error::Unauthorized),
        ("resourceNotFoundException", Error::UnknownModel),
        ("serviceQuotaExceededException", Error::QuotaExhausted),
    ] {
        let line = format!("exception {name} {{\"message\":\"no\"}}");
        let named = format!("{{\"{name}\":{{\"message\":\"no\"}}}}");
        for body in [messages(&line), named.into_bytes()] {
            assert_eq!(decoded(Protocol::Bedrock, &body, 16).error, Some(expected.clone()), "{name}");
        }
        let after = [messages(ANSWER.split("event metadata").next().unwrap()), messages(&line)].concat();
        assert_eq!(decoded(Protocol::Bedrock, &after, 16).error, None, "an answer that has ended is whole");
    }
}

#[test]
fn the_reasons_of_an_end_are_kept() {
    let ended = |reason: &str| {
        let stop = format!("event messageStop {{\"stopReason\":{reason}}}");
        let answer = ANSWER.replace("event messageStop {\"stopReason\":\"end_turn\"}", &stop);
        let outcome = shown(&decoded(Protocol::Bedrock, &messages(&answer), 64));
        let last = outcome.lines().last().unwrap().to_owned();
        last.split(' ').take(2).collect::<Vec<_>>().join(" ")
    };
    for (word, expected) in [
        ("\"end_turn\"", "finished stop"),
        ("\"stop_sequence\"", "finished stop"),
        ("\"max_tokens\"", "finished length"),
        ("\"guardrail_intervened\"", "finished content_filter"),
        ("\"content_filtered\"", "finished content_filter"),
        ("\"model_context_window_exceeded\"", "finished context"),
        ("\"refusal\"", "finished refusal"),
        ("\"brand_new\"", "finished other"),
        ("\"tool_use\"", "error model_garbage:"),
        ("\"malformed_tool_use\"", "error model_unavailable:"),
        ("null", "error model_garbage:"),
    ] {
        assert_eq!(ended(word), expected, "{word}");
    }
}

fn request() -> Request {
    let call = |id: &str, arguments: &str| {
        let call = ToolCall::new(id, "search", arguments);
        Part::ToolCall(call)
    };
    let calls = vec![
        Part::Text { text: "I look.".into() },
        call("functions.search:0", "{\"q\":1}"),
        call("tooluse_2", "{\"q\""),
    ];
    let mut request = Request::new(
        "bedrock/eu.anthropic.claude-sonnet-4-6".parse().unwrap(),
        vec![
            Turn::user("hi"),
            Turn { role: Role::Assistant, parts: calls },
            Turn::tool_result("tooluse_2", " \n"),
            Turn::tool_result("functions.search:0", "found"),
            Turn::user("  "),
            Turn::user("and now?"),
        ],
    );
    request.system = Some("Be kind.".into());
    request.max_output_tokens = Some(50);
    request
}

fn spec(name: &str, description: &str) -> ToolSpec {
    ToolSpec {
        name: name.into(),
        description: description.into(),
        parameters: json!({"type": "object", "properties": {}}),
    }
}

fn body_of(request: &Request) -> Value {
    encode(request.model.split().1, request, &Omitted::default()).body
}

#[test]
fn a_request_keeps_the_rules_of_the_service() {
    let mut request = request();
    request.tools = vec![spec("search", "Searches."), spec("look", " ")];
    request.must_call = true;
    request.parameters =
        serde_json::from_str(r#"{"temperature": 1.5, "stop": ["END", " "], "seed": 7}"#).unwrap();
    let call = encode(request.model.split().1, &request, &Omitted::default());
    assert_eq!(call.path, "model/eu.anthropic.claude-sonnet-4-6/converse-stream");
    let body = call.body;
    let messages = body["messages"].as_array().unwrap();
    let roles: Vec<_> = messages.iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
    let calls = &messages[1]["content"];
    let foreign = calls[1]["toolUse"]["toolUseId"].as_str().unwrap();
    assert!(foreign.starts_with("call_") && !foreign.contains([':', '.']), "{foreign}");
    assert_eq!(
        *calls,
        json!([
            {"text": "I look."},
            {"toolUse": {"toolUseId": foreign, "name": "search", "input": {"q": 1}}},
            {"toolUse": {"toolUseId": "tooluse_2", "name": "search", "input": {"invalid_arguments": "{\"q\""}}},
        ])
    );
    assert_eq!(
        messages[2]["content"],
        json!([
            {"toolResult": {"toolUseId": foreign, "content": [{"text": "found"}]}},
            {"toolResult": {"toolUseId": "tooluse_2", "content": [{"text": "(The tool returned nothing.)"}]}},
            {"text": "and now?"},
            {"cachePoint": {"type": "default"}},
        ])
    );
    assert_eq!(body["system"], json!([{"text": "Be kind."}, {"cachePoint": {"type": "default"}}]));
    let inference = json!({"maxTokens": 50, "temperature": 1.0, "stopSequences": ["END"]});
    assert_eq!(body["inferenceConfig"], inference);
    let schema = json!({"json": {"type": "object", "properties": {}}});
    let tools = json!([
        {"toolSpec": {"name": "search", "description": "Searches.", "inputSchema": schema}},
        {"toolSpec": {"name": "look", "inputSchema": schema}},
    ]);
    assert_eq!(body["toolConfig"], json!({"tools": tools, "toolChoice": {"any": {}}}));
}

#[test]
fn files_are_blocks_before_the_text() {
    let file = |name: &str, file_type| {
        let bytes = Some(FileBytes::new(file_type, b"bytes".to_vec()));
        Part::File(AttachedFile { name: Some(name.into()), bytes, ..AttachedFile::described("art_1", name) })
    };
    let parts = vec![file("a.png", FileType::Png), file("tides: Brest_2.pdf", FileType::Pdf)];
    let request =
        Request::new("bedrock/amazon.nova-pro-v1:0".parse().unwrap(), vec![Turn { role: Role::User, parts }]);
    let source = json!({"bytes": "Ynl0ZXM="});
    let expected = json!([
        {"image": {"format": "png", "source": source}},
        {"document": {"format": "pdf", "name": "tides Brest 2 pdf", "source": source}},
        {"text": "a.png\n\ntides: Brest_2.pdf"},
    ]);
    assert_eq!(body_of(&request)["messages"][0]["content"], expected);
}

#[test]
fn a_call_is_forced_where_the_model_allows_it() {
    for (model, allowed) in [
        ("bedrock/amazon.nova-pro-v1:0", true),
        ("bedrock/us.mistral.mistral-large-2407-v1:0", true),
        ("bedrock/us.meta.llama3-3-70b-instruct-v1:0", false),
        ("bedrock/arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/a1", false),
    ] {
        let mut request = Request::new(model.parse().unwrap(), vec![Turn::user("hi")]);
        request.tools = vec![spec("search", "")];
        request.must_call = true;
        assert_eq!(body_of(&request)["toolConfig"].get("toolChoice").is_some(), allowed, "{model}");
    }
}

#[test]
fn a_model_of_anthropic_reasons_as_much_as_the_request_says() {
    let body = |model: &str, must_call: bool| {
        let mut request = Request::new(model.parse().unwrap(), vec![Turn::user("hi")]);
        request.parameters =
            serde_json::from_str(r#"{"reasoning_effort": "medium", "temperature": 0.5, "top_p": 0.5}"#)
                .unwrap();
        request.tools = vec![spec("search", "")];
        request.must_call = must_call;
        body_of(&request)
    };
    let adaptive = body("bedrock/eu.anthropic.claude-sonnet-4-6", false);
    let fields = json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}});
    assert_eq!(adaptive["additionalModelRequestFields"], fields);
    assert_eq!(adaptive["inferenceConfig"], json!({"maxTokens": 8192}));
    let budget = body("bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", false);
    let fields = json!({"thinking": {"type": "enabled", "budget_tokens": 4096}});
    assert_eq!(budget["additionalModelRequestFields"], fields);
    for plain in
        [body("bedrock/amazon.nova-pro-v1:0", false), body("bedrock/eu.anthropic.claude-sonnet-4-6", true)]
    {
        assert_eq!(plain.get("additionalModelRequestFields"), None);
        assert_eq!(plain["inferenceConfig"], json!({"temperature": 0.5}));
    }
}

#[test]
fn each_family_of_models_has_its_own_field_for_the_effort() {
    let sent = |model: &str, effort: &str, limit: Option<u32>| {
        let mut request = Request::new(format!("bedrock/{model}").parse().unwrap(), vec![Turn::user("hi")]);
        request.max_output_tokens = limit;
        request.parameters =
            serde_json::from_value(json!({"reasoning_effort": effort, "temperature": 0.5})).unwrap();
        let body = body_of(&request);
        (body["additionalModelRequestFields"].clone(), body["inferenceConfig"].clone())
    };
    let nova = |effort: &str| json!({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort}});
    let oss = |effort: &str| json!({"reasoning_effort": effort});
    let gpt = |effort: &str| json!({"reasoning": {"effort": effort}});
    for (model, effort, fields) in [
        ("us.amazon.nova-2-lite-v1:0", "none", Value::Null),
        ("us.amazon.nova-2-lite-v1:0", "minimal", nova("low")),
        ("global.amazon.nova-2-lite-v1:0", "medium", nova("medium")),
        ("openai.gpt-oss-120b-1:0", "none", oss("low")),
        ("openai.gpt-oss-20b-1:0", "medium", oss("medium")),
        ("openai.gpt-oss-20b-1:0", "xhigh", oss("high")),
        ("us.openai.gpt-5.6-luna", "none", gpt("none")),
        ("openai.gpt-6-astra", "minimal", gpt("low")),
        ("openai.gpt-6-astra", "xhigh", gpt("xhigh")),
        ("amazon.nova-pro-v1:0", "high", Value::Null),
        ("us.deepseek.r1-v1:0", "high", Value::Null),
        ("deepseek.v3-v1:0", "high", Value::Null),
        ("us.meta.llama4-scout-17b-instruct-v1:0", "high", Value::Null),
        ("moonshot.kimi-k2-thinking", "high", Value::Null),
    ] {
        let inference = json!({"maxTokens": 900, "temperature": 0.5});
        assert_eq!(sent(model, effort, Some(900)), (fields, inference), "{model} {effort}");
    }
    // The highest effort of Nova excludes both the limit and the temperature.
    let limited = json!({"maxTokens": 900, "temperature": 0.5});
    assert_eq!(sent("amazon.nova-2-lite-v1:0", "high", Some(900)), (nova("medium"), limited));
    assert_eq!(sent("amazon.nova-2-lite-v1:0", "xhigh", None), (nova("high"), Value::Null));
}

#[test]
fn the_operator_says_what_a_profile_without_the_name_of_its_model_takes() {
    let profile = "bedrock/arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/a1";
    let mut request = Request::new(profile.parse().unwrap(), vec![Turn::user("hi")]);
    request.system = Some("Be kind.".into());
    request.tools = vec![spec("search", "")];
    request.must_call = true;
    let stated = [(Parameter::ForcedCall, true), (Parameter::CachePoints, true)];
    let body = |omitted: &Omitted| encode(request.model.split().1, &request, omitted).body;
    let known = body(&Omitted::default().with_stated(stated));
    assert_eq!(known["toolConfig"]["toolChoice"], json!({"any": {}}));
    assert_eq!(known["system"][1], json!({"cachePoint": {"type": "default"}}));
    let unknown = body(&Omitted::default());
    assert_eq!((unknown["toolConfig"].get("toolChoice"), unknown["system"].get(1)), (None, None));
}

#[test]
fn a_model_that_does_not_stream_calls_is_asked_for_a_whole_answer_if_there_are_tools() {
    let path = |model: &str, tools: Vec<ToolSpec>| {
        let request = Request { tools, ..Request::new(model.parse().unwrap(), vec![Turn::user("hi")]) };
        encode(request.model.split().1, &request, &Omitted::default()).path.into_owned()
    };
    let tools = || vec![spec("search", "")];
    let llama = "bedrock/us.meta.llama4-scout-17b-instruct-v1:0";
    assert_eq!(path(llama, tools()), "model/us.meta.llama4-scout-17b-instruct-v1%3A0/converse");
    assert!(path(llama, Vec::new()).ends_with("/converse-stream"));
    assert!(path("bedrock/amazon.nova-pro-v1:0", tools()).ends_with("/converse-stream"));
}

#[test]
fn earlier_calls_are_declared_in_a_request_without_tools() {
    let mut request = request();
    let Part::ToolCall(call) = &mut request.messages[1].parts[1] else { panic!("a call") };
    call.name = "web search</arg>".into();
    let body = body_of(&request);
    let tools = body["toolConfig"]["tools"].as_array().unwrap();
    let names: Vec<_> = tools.iter().map(|tool| tool["toolSpec"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["search", "web_search__arg_"]);
    assert_eq!(body["messages"][1]["content"][1]["toolUse"]["name"], "web_search__arg_");
    let plain = Request::new(request.model, vec![Turn::user("hi")]);
    assert_eq!(body_of(&plain), json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}));
}

#[test]
fn the_id_of_a_model_is_one_part_of_the_path() {
    assert_eq!(encode::encoded("amazon.nova-pro-v1:0"), "amazon.nova-pro-v1%3A0");
    assert_eq!(encode::encoded("arn:aws:x/y~1"), "arn%3Aaws%3Ax%2Fy~1");
}
