//! Parameters on each wire, and requests that are repeated without one.

use futures::StreamExt;
use sequent_model::{Context, Error, Message, Request, ToolSpec};
use serde_json::{Value, json};

use crate::server::{Act, Server, answer, events};

const PARAMETERS: &str = r#"{"temperature": 1.5, "top_p": 0.5, "max_output_tokens": 2000, "stop": ["END", " "],
    "reasoning_effort": "low", "seed": 7}"#;

fn completion() -> Act {
    let chunk = json!({"choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1}});
    Act::Write(events(&[format!("data: {chunk}\n\n"), "data: [DONE]\n\n".into()]))
}

fn message() -> Act {
    let events_of = [
        json!({"type": "message_start", "message": {"usage": {"input_tokens": 100,
            "cache_read_input_tokens": 50, "cache_creation_input_tokens": 20}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "hi"}}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}}),
        json!({"type": "message_stop"}),
    ];
    Act::Write(events(&events_of.map(|event| format!("data: {event}\n\n"))))
}

fn refusal(message: &str) -> Act {
    let body = json!({"error": {"type": "invalid_request_error", "message": message}});
    answer("400 Bad Request", "", &body.to_string())
}

fn request(model: &str, parameters: &str) -> Request {
    let parameters = serde_json::from_str(parameters).expect("parameters");
    Request { parameters, ..Request::new(model.parse().expect("a name"), vec![Message::user("hi")]) }
}

fn bodies(server: &Server) -> Vec<Value> {
    let body = |request: &String| {
        let (_, body) = request.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).expect("JSON")
    };
    server.received().iter().map(body).collect()
}

async fn ask(client: &sequent_model::Client, request: Request) -> Result<sequent_model::Usage, Error> {
    let mut chunks = client.stream(request, Context::default()).await?;
    while let Some(chunk) = chunks.next().await {
        chunk?;
    }
    Ok(chunks.usage())
}

#[tokio::test]
async fn each_wire_gets_the_parameters_that_it_has() {
    let server = Server::start(vec![vec![completion()], vec![message()], vec![message()]]).await;
    let client = server.client(|_| ());
    let limited = |model: &str| Request { max_output_tokens: Some(2000), ..request(model, PARAMETERS) };
    for model in ["gpt-4o", "claude-sonnet-4-5", "claude-opus-4-6"] {
        ask(&client, limited(model)).await.unwrap();
    }
    let [openai, budget, adaptive] = bodies(&server).try_into().unwrap();
    let of = |body: &Value, names: &[&str]| -> Vec<Value> {
        names.iter().map(|name| body[*name].clone()).collect()
    };
    let names = ["temperature", "top_p", "max_tokens", "stop", "reasoning_effort", "seed"];
    let expected = [json!(1.5), json!(0.5), json!(2000), json!(["END", " "]), json!("low"), json!(7)];
    assert_eq!(of(&openai, &names), expected);

    let names = ["temperature", "top_p", "stop_sequences", "thinking", "output_config", "seed"];
    let null = Value::Null;
    let enabled = json!({"type": "enabled", "budget_tokens": 1024});
    let expected = [null.clone(), null.clone(), json!(["END"]), enabled, null.clone(), null.clone()];
    assert_eq!(of(&budget, &names), expected, "no temperature while it reasons");
    let expected = [
        null.clone(),
        null.clone(),
        json!(["END"]),
        json!({"type": "adaptive"}),
        json!({"effort": "low"}),
        null,
    ];
    assert_eq!(of(&adaptive, &names), expected);
}

#[tokio::test]
async fn a_model_of_anthropic_takes_one_of_temperature_and_top_p_and_reasons_or_is_forced() {
    let server = Server::start(vec![vec![message()]]).await;
    let client = server.client(|_| ());
    ask(&client, request("claude-sonnet-4-6", r#"{"temperature": 1.5, "top_p": 0.5}"#)).await.unwrap();
    let tool = ToolSpec {
        name: "write".into(),
        description: "Writes.".into(),
        parameters: json!({"type": "object", "properties": {}}),
    };
    let effort = r#"{"reasoning_effort": "high"}"#;
    let forced = Request { tools: vec![tool], must_call: true, ..request("claude-sonnet-4-6", effort) };
    ask(&client, forced).await.unwrap();
    let bodies = bodies(&server);
    assert_eq!((&bodies[0]["temperature"], bodies[0].get("top_p")), (&json!(1.0), None));
    assert_eq!((&bodies[1]["tool_choice"]["type"], bodies[1].get("thinking")), (&json!("any"), None));
}

#[tokio::test]
async fn a_refused_parameter_is_left_out_of_the_repetition_and_of_later_requests() {
    let server = Server::start(vec![
        vec![refusal("Unsupported value: 'temperature' does not support 0.2 with this model.")],
        vec![refusal("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")],
        vec![completion()],
    ])
    .await;
    let client = server.client(|_| ());
    let cool =
        || Request { max_output_tokens: Some(9), ..request("gpt-5", r#"{"temperature": 0.2, "seed": 1}"#) };
    ask(&client, cool()).await.unwrap();
    ask(&client, cool()).await.unwrap();
    ask(&client, Request { max_output_tokens: Some(9), ..request("gpt-5", r#"{"temperature": 1}"#) })
        .await
        .unwrap();
    let bodies = bodies(&server);
    let sent = |body: &Value| {
        ["temperature", "max_tokens", "max_completion_tokens", "seed"].map(|name| body.get(name).is_some())
    };
    assert_eq!(
        bodies.iter().map(sent).collect::<Vec<_>>(),
        [
            [true, true, false, true],
            [false, true, false, true],
            [false, false, true, true],
            [false, false, true, true],
            [true, false, true, false],
        ]
    );
}

#[tokio::test]
async fn a_limit_that_is_too_high_is_lowered_for_its_request_and_never_left_out() {
    let server = Server::start(vec![
        vec![refusal("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]")],
        vec![completion()],
        vec![completion()],
    ])
    .await;
    let client = server.client(|_| ());
    for limit in [100_000, 4000] {
        let limited = Request { max_output_tokens: Some(limit), ..request("deepseek-chat", "{}") };
        ask(&client, limited).await.unwrap();
    }
    let limits: Vec<Value> = bodies(&server).iter().map(|body| body["max_tokens"].clone()).collect();
    assert_eq!(limits, [100_000, 8192, 4000], "the refusal of a value says nothing about other values");
}

#[tokio::test]
async fn a_conversation_that_excludes_reasoning_does_not_turn_it_off_for_others() {
    let refused =
        "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`.";
    let server = Server::start(vec![vec![refusal(refused)], vec![message()]]).await;
    let client = server.client(|_| ());
    for _ in 0..2 {
        ask(&client, request("claude-sonnet-4-5", r#"{"reasoning_effort": "high"}"#)).await.unwrap();
    }
    let reasons: Vec<bool> = bodies(&server).iter().map(|body| body.get("thinking").is_some()).collect();
    assert_eq!(reasons, [true, false, true]);
}

#[tokio::test]
async fn a_refusal_that_names_no_parameter_is_the_error() {
    let server = Server::start(vec![vec![refusal("The conversation is not valid.")]]).await;
    let error = ask(&server.client(|_| ()), request("gpt-4o", PARAMETERS)).await.unwrap_err();
    assert_eq!((error.code(), server.requests()), ("model_bad_request", 1));
}

#[tokio::test]
async fn anthropic_caches_the_instructions_and_the_last_turns_and_the_tokens_are_counted() {
    let server = Server::start(vec![vec![message()]]).await;
    let client = server.client(|_| ());
    let mut asked = Request { system: Some("Be kind.".into()), ..request("claude-sonnet-4-6", "{}") };
    let usage = ask(&client, asked.clone()).await.unwrap();
    assert_eq!((usage.input_tokens, usage.cached_input_tokens, usage.cache_write_tokens), (170, 50, 20));
    let cost = client.cost(&asked.model, &usage).unwrap();
    assert_eq!(
        cost.0,
        (100 * 3_000_000 + 50 * 300_000 + 20 * 3_750_000 + 15_000_000_u64).div_ceil(1_000_000)
    );
    for n in 0..3 {
        asked.messages.extend([Message::assistant(format!("{n}")), Message::user("more")]);
    }
    ask(&client, asked).await.unwrap();
    let bodies = bodies(&server);
    let point = json!({"type": "ephemeral"});
    assert_eq!(bodies[0]["system"][0]["cache_control"], point);
    assert_eq!(bodies[0]["messages"][0]["content"], "hi", "one question alone is not written to the cache");
    let is_marked = |message: &Value| message["content"][0].get("cache_control") == Some(&point);
    let marked: Vec<bool> = bodies[1]["messages"].as_array().unwrap().iter().map(is_marked).collect();
    assert_eq!(marked, [false, false, false, false, true, false, true]);
}

#[tokio::test]
async fn one_tool_that_a_server_refuses_does_not_make_every_request_fail() {
    let refused =
        "Invalid schema for function 'odd': In context=('properties', 'at'), 'format' is not permitted.";
    let server =
        Server::start(vec![vec![refusal(refused)], vec![refusal(refused)], vec![completion()]]).await;
    let client = server.client(|_| ());
    let tool = |name: &str| ToolSpec {
        name: name.to_owned(),
        description: "Does.".into(),
        parameters: json!({"properties": {"at": {"type": ["string", "null"], "format": "date"}},
            "anyOf": [{"required": ["at"]}, {"required": []}]}),
    };
    let none = ToolSpec { parameters: json!({"type": "string"}), ..tool("none") };
    let asked = Request { tools: vec![none, tool("odd"), tool("good")], ..request("gpt-4o", "{}") };
    ask(&client, asked).await.unwrap();
    let bodies = bodies(&server);
    let names = |body: &Value| -> Vec<String> {
        body["tools"].as_array().unwrap().iter().map(|tool| tool["function"]["name"].to_string()).collect()
    };
    let schema = |body: &Value| body["tools"][0]["function"]["parameters"].clone();
    let common = json!({"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]});
    assert_eq!(schema(&bodies[0]), json!({"type": "object", "properties": {"at": common}}));
    assert_eq!(names(&bodies[0]), [r#""odd""#, r#""good""#], "no schema of `none` can be sent");
    let plain = json!({"type": "string", "nullable": true});
    assert_eq!(schema(&bodies[1]), json!({"type": "object", "properties": {"at": plain}}));
    assert_eq!(names(&bodies[1]), [r#""odd""#, r#""good""#]);
    assert_eq!(names(&bodies[2]), [r#""good""#]);
}
