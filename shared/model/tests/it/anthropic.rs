//! The Anthropic protocol, against a scripted server.

use crate::server::{Act, KEY, Server, answer, events, head};
use futures::StreamExt;
use sequent_model::{Chunk, Context, Error, FinishReason, Message, Request, ToolSpec, Usage};
use serde_json::{Value, json};

fn frame(data: Value) -> String {
    let name = data["type"].as_str().unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n")
}

fn start() -> String {
    frame(json!({"type": "message_start", "message": {"usage": {
        "input_tokens": 10, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 0, "output_tokens": 1,
    }}}))
}

fn block(index: u32, block: Value) -> String {
    frame(json!({"type": "content_block_start", "index": index, "content_block": block}))
}

fn delta(index: u32, delta: Value) -> String {
    frame(json!({"type": "content_block_delta", "index": index, "delta": delta}))
}

fn stop(index: u32) -> String {
    frame(json!({"type": "content_block_stop", "index": index}))
}

fn ending(reason: &str) -> String {
    frame(json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 12}}))
}

fn message_stop() -> String {
    frame(json!({"type": "message_stop"}))
}

fn hello() -> Vec<String> {
    let said = |text: &str| delta(0, json!({"type": "text_delta", "text": text}));
    vec![
        start(),
        block(0, json!({"type": "text", "text": ""})),
        frame(json!({"type": "ping"})),
        said("Grüß "),
        said("Gott 🦀"),
        stop(0),
        ending("end_turn"),
        message_stop(),
    ]
}

fn ask() -> Request {
    let model = "claude-sonnet-4-6".parse().expect("a name");
    Request::new(model, vec![Message::user("hi")])
}

async fn read(server: &Server, request: Request) -> Result<Vec<Result<Chunk, Error>>, Error> {
    let client = server.client(|_| ());
    let chunks = client.stream(request, Context::default()).await?;
    Ok(chunks.collect().await)
}

#[tokio::test]
async fn an_answer_may_arrive_byte_by_byte() {
    let acts = vec![Act::Write(head()), Act::Trickle(hello().concat().into_bytes())];
    let server = Server::start(vec![acts]).await;
    let mut request = ask();
    request.system = Some("Be kind.".into());
    request.max_output_tokens = Some(50);
    let usage = Usage {
        input_tokens: 40,
        output_tokens: 12,
        cached_input_tokens: 30,
        cache_write_tokens: 0,
        reasoning_tokens: 0,
        estimated: false,
    };
    let expected = [
        Ok(Chunk::TextDelta("Grüß ".into())),
        Ok(Chunk::TextDelta("Gott 🦀".into())),
        Ok(Chunk::Finished { finish_reason: FinishReason::Stop, usage }),
    ];
    assert_eq!(read(&server, request).await.unwrap(), expected);

    let received = server.received().remove(0);
    let (head, body) = received.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /v1/messages HTTP/1.1"), "{head}");
    assert!(head.contains(&format!("x-api-key: {KEY}")) && head.contains("anthropic-version:"), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["model"], &body["max_tokens"]), (&json!("claude-sonnet-4-6"), &json!(50)));
    assert_eq!(body["messages"], json!([{"role": "user", "content": "hi"}]));
    assert!(body["system"].to_string().contains("Be kind."));
    assert_eq!(body.get("thinking"), None);
}

#[tokio::test]
async fn reasoning_and_a_tool_call_are_streamed() {
    let json = |text: &str| delta(1, json!({"type": "input_json_delta", "partial_json": text}));
    let frames = [
        start(),
        block(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(0, json!({"type": "thinking_delta", "thinking": "hm"})),
        delta(0, json!({"type": "signature_delta", "signature": "c2ln"})),
        stop(0),
        block(1, json!({"type": "tool_use", "id": "toolu_1", "name": "search", "input": {}})),
        json(""),
        json("{\"q\":"),
        json("\"é\"}"),
        stop(1),
        ending("tool_use"),
        message_stop(),
    ];
    let server = Server::start(vec![vec![Act::Write(events(&frames))]]).await;
    let mut request = ask();
    request.tools = vec![ToolSpec {
        name: "search".into(),
        description: "Searches.".into(),
        parameters: json!({"type": "object"}),
    }];
    request.messages.push(Message::assistant("earlier"));
    request.messages.push(Message::user("again"));
    let chunks: Vec<Chunk> =
        read(&server, request).await.unwrap().into_iter().map(|chunk| chunk.unwrap()).collect();
    let id = || "toolu_1".to_owned();
    let expected = [
        Chunk::ReasoningDelta("hm".into()),
        Chunk::ProviderData { call_id: None, data: r#"{"signature":"c2ln"}"#.into() },
        Chunk::ToolCallStart { id: id(), name: "search".into() },
        Chunk::ToolCallDelta { id: id(), arguments: "{\"q\":".into() },
        Chunk::ToolCallDelta { id: id(), arguments: "\"é\"}".into() },
        Chunk::ProviderData { call_id: Some(id()), data: r#"{"id":"toolu_1"}"#.into() },
        Chunk::ToolCallEnd { id: id() },
    ];
    assert_eq!(chunks[..7], expected);
    assert!(matches!(chunks[7..], [Chunk::Finished { finish_reason: FinishReason::ToolCalls, .. }]));
}

#[tokio::test]
async fn only_a_stop_reason_is_an_end() {
    for (frames, whole) in [(3, false), (5, false), (6, false), (7, true), (8, true)] {
        let server = Server::start(vec![vec![Act::Write(events(&hello()[..frames]))]]).await;
        let last = match read(&server, ask()).await {
            Ok(mut chunks) => chunks.pop().unwrap(),
            Err(error) => Err(error),
        };
        match last {
            Ok(Chunk::Finished { finish_reason, .. }) => {
                assert!(whole, "{frames} frames");
                assert_eq!(finish_reason, FinishReason::Stop);
            }
            other => {
                assert!(!whole, "{frames} frames");
                assert_eq!(other, Err(Error::Truncated));
            }
        }
        let attempts = if frames == 3 { 3 } else { 1 };
        assert_eq!(server.requests(), attempts, "{frames} frames");
    }
}

#[tokio::test]
async fn overload_is_retried_before_the_first_chunk_only() {
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let overloaded = answer("529 Overloaded", "", &error.to_string());
    let in_stream = Act::Write(events(&[start(), frame(error.clone())]));
    let whole = Act::Write(events(&hello()));
    let server = Server::start(vec![vec![overloaded], vec![in_stream], vec![whole]]).await;
    assert_eq!(read(&server, ask()).await.unwrap().len(), 3);
    assert_eq!(server.requests(), 3);

    let begun = [&hello()[..4], &[frame(error)]].concat();
    let server = Server::start(vec![vec![Act::Write(events(&begun))]]).await;
    let chunks = read(&server, ask()).await.unwrap();
    assert_eq!(chunks[1..], [Err(Error::Overloaded { retry_after: None })]);
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_line_end_that_is_split_loses_no_word() {
    let wire = hello().concat().replace('\n', "\r\n");
    let whole = [head(), wire.clone().into_bytes()].concat();
    let server = Server::start(vec![vec![Act::Write(whole)]]).await;
    assert_eq!(read(&server, ask()).await.unwrap().len(), 3);

    // The connection is split between the CR and the LF of the first line end after the first word.
    let at = wire.find("Grüß").expect("the word") + 8;
    let at = at + wire[at..].find("content_block_delta\r").expect("an event") + 20;
    let release = std::sync::Arc::new(tokio::sync::Notify::new());
    let acts = vec![
        Act::Write([head(), wire.as_bytes()[..at].to_vec()].concat()),
        Act::Await(release.clone()),
        Act::Write(wire.as_bytes()[at..].to_vec()),
    ];
    let server = Server::start(vec![acts]).await;
    let client = server.client(|_| ());
    let mut chunks = client.stream(ask(), Context::default()).await.unwrap();
    assert_eq!(chunks.next().await, Some(Ok(Chunk::TextDelta("Grüß ".into()))));
    release.notify_one();
    let rest: Vec<_> = chunks.collect().await;
    assert_eq!((rest.len(), &rest[0]), (2, &Ok(Chunk::TextDelta("Gott 🦀".into()))));
}

#[tokio::test]
async fn files_are_blocks_before_the_text() {
    let server = Server::start(vec![vec![Act::Write(events(&hello()))]]).await;
    let model = "claude-sonnet-4-6".parse().expect("a name");
    read(&server, Request::new(model, vec![crate::openai::attaching()])).await.unwrap();
    let received = server.received();
    let (_, body) = received[0].split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    let source =
        |media_type: &str, data: &str| json!({"type": "base64", "media_type": media_type, "data": data});
    let expected = json!([
        {"type": "image", "source": source("image/png", "aW1hZ2U=")},
        {"type": "document", "source": source("application/pdf", "ZG9jdW1lbnQ="), "title": "b.pdf"},
        {"type": "text", "text": "Compare.\n\n[a.png]\n\n[b.pdf]"},
    ]);
    assert_eq!(body["messages"][0]["content"], expected);
}
