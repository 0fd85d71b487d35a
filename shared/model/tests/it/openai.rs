//! The OpenAI-compatible protocol, against a scripted server.

use std::{sync::Arc, time::Duration};

use crate::server::{Act, KEY, Server, answer, events, head};
use futures::StreamExt;
use sequent_model::{
    AttachedFile, Chunk, Context, Error, FileBytes, FileType, FinishReason, Message, Part, Phase, Request,
    Role, ToolCall, ToolSpec, Usage,
};
use serde_json::{Value, json};
use tokio::sync::Notify;

fn frame(value: Value) -> String {
    format!("data: {value}\n\n")
}

fn delta(delta: Value) -> String {
    frame(json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]}))
}

fn text(text: &str) -> String {
    delta(json!({"content": text}))
}

fn finish(reason: &str) -> String {
    frame(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}))
}

fn usage() -> String {
    frame(json!({"choices": [], "usage": {
        "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }}))
}

const DONE: &str = "data: [DONE]\n\n";

fn complete_answer() -> Vec<u8> {
    events(&[text("Hel"), text("lo"), finish("stop"), usage(), DONE.into()])
}

const REPORTED: Usage = Usage {
    input_tokens: 10,
    output_tokens: 5,
    cached_input_tokens: 4,
    cache_write_tokens: 0,
    reasoning_tokens: 2,
    estimated: false,
};

fn ask(text: &str) -> Request {
    let model = "gpt-4o".parse().expect("a name");
    Request::new(model, vec![Message::user(text)])
}

type Answer = (String, Result<(FinishReason, Usage), Error>);

/// Returns the text and the end of an answer.
async fn read(client: &sequent_model::Client, request: Request) -> Answer {
    let mut chunks = match client.stream(request, Context::default()).await {
        Ok(chunks) => chunks,
        Err(error) => return (String::new(), Err(error)),
    };
    let mut text = String::new();
    while let Some(item) = chunks.next().await {
        match item {
            Ok(Chunk::TextDelta(more)) => text.push_str(&more),
            Ok(Chunk::Finished { finish_reason, usage }) => return (text, Ok((finish_reason, usage))),
            Ok(_) => {}
            Err(error) => return (text, Err(error)),
        }
    }
    panic!("the answer has no end");
}

#[tokio::test]
async fn an_answer_has_a_usage() {
    let server = Server::start(vec![vec![Act::Write(complete_answer())]]).await;
    let mut request = ask("hello");
    request.system = Some("Be kind.".into());
    request.max_output_tokens = Some(99);
    let content = read(&server.client(|_| ()), request).await;
    assert_eq!(content, ("Hello".into(), Ok((FinishReason::Stop, REPORTED))));

    let received = server.received().remove(0);
    let (head, body) = received.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1"), "{head}");
    assert!(head.contains(&format!("Bearer {KEY}")), "{head}");
    assert!(!head.contains("accept-encoding"), "compression would delay chunks: {head}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["model"], "gpt-4o");
    assert_eq!(body["max_tokens"], 99);
    assert_eq!(body["stream_options"]["include_usage"], true);
    assert_eq!(body["messages"][0], json!({"role": "system", "content": "Be kind."}));
    assert_eq!(body["messages"][1], json!({"role": "user", "content": "hello"}));
}

#[tokio::test]
async fn a_chunk_is_returned_before_the_next_one_exists() {
    let release = Arc::new(Notify::new());
    let acts = vec![
        Act::Write(events(&[text("first")])),
        Act::Await(release.clone()),
        Act::Write([text("second"), finish("stop"), DONE.into()].concat().into_bytes()),
    ];
    let server = Server::start(vec![acts]).await;
    let client = server.client(|_| ());
    let mut chunks = client.stream(ask("hi"), Context::default()).await.unwrap();
    assert_eq!(chunks.next().await, Some(Ok(Chunk::TextDelta("first".into()))));
    release.notify_one();
    assert_eq!(chunks.next().await, Some(Ok(Chunk::TextDelta("second".into()))));
}

#[tokio::test]
async fn bytes_may_be_split_anywhere() {
    let said = "日本語 – ümläut 🦀\u{2028}end";
    for separator in ["\n", "\r\n"] {
        let stream = [text(said), ": a comment\n\n".into(), text("!"), finish("stop"), DONE.into()];
        let wire = stream.concat().replace('\n', separator);
        let acts = vec![Act::Write(head()), Act::Trickle(wire.into_bytes())];
        let server = Server::start(vec![acts]).await;
        let (content, end) = read(&server.client(|_| ()), ask("hi")).await;
        assert_eq!(content, format!("{said}!"));
        assert!(end.unwrap().1.estimated, "no usage was reported");
    }
}

#[tokio::test]
async fn a_finish_reason_without_done_is_an_end() {
    for tail in [finish("length"), [finish("length"), usage()].concat()] {
        let has_usage = tail.contains("usage");
        let server = Server::start(vec![vec![Act::Write(events(&[text("a"), tail]))]]).await;
        let (content, end) = read(&server.client(|_| ()), ask("hi")).await;
        let (reason, usage) = end.unwrap();
        assert_eq!((content.as_str(), reason), ("a", FinishReason::Length));
        assert_eq!(usage == REPORTED, has_usage);
        assert_eq!(usage.estimated, !has_usage);
    }
}

#[tokio::test]
async fn a_cut_is_never_an_end() {
    let chunked = |body: &str| {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
        format!("{head}{:x}\r\n{body}\r\n", body.len()).into_bytes()
    };
    let half = text("world");
    let cuts = [
        events(&[text("half")]),
        events(&[text("half"), half[..half.len() - 9].to_owned()]),
        events(&[text("half"), DONE.into()]),
        chunked(&text("half")),
        // Inside a character.
        [events(&[text("half")]), b"data: {\"\xe6\x97".to_vec()].concat(),
    ];
    for (n, cut) in cuts.into_iter().enumerate() {
        let server = Server::start(vec![vec![Act::Write(cut)]]).await;
        let (content, end) = read(&server.client(|_| ()), ask("hi")).await;
        assert_eq!(content, "half", "{n}");
        assert_eq!(end, Err(Error::Truncated), "{n}");
        assert_eq!(server.requests(), 1, "there is no retry after the first chunk");
    }
}

#[tokio::test]
async fn an_invalid_answer_is_reported_as_such() {
    let bodies = [
        events(&[text("ok"), "data: {nonsense\n\n".into()]),
        events(&[text("ok"), "data: <html>\n\n".into(), text("more")]),
    ];
    for body in bodies {
        let server = Server::start(vec![vec![Act::Write(body)]]).await;
        let (content, end) = read(&server.client(|_| ()), ask("hi")).await;
        assert_eq!((content.as_str(), end.unwrap_err().code()), ("ok", "model_garbage"));
    }
    let bytes = [events(&[]), b"data: \xff\xfe\n\n".to_vec()].concat();
    let server = Server::start(vec![vec![Act::Write(bytes)]]).await;
    let (_, end) = read(&server.client(|_| ()), ask("hi")).await;
    assert_eq!(end.unwrap_err().code(), "model_garbage");
    let page = answer("200 OK", "content-type: text/html\r\n", "<html>\n\n<p>Sign in</p></html>");
    let server = Server::start(vec![vec![page]]).await;
    let (_, end) = read(&server.client(|_| ()), ask("hi")).await;
    assert_eq!(end.unwrap_err().code(), "model_garbage");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn an_error_event_is_an_error() {
    let event = frame(json!({"error": {"message": "busy", "type": "server_error"}}));
    let body = events(&[text("a"), event, text("b"), finish("stop"), DONE.into()]);
    let server = Server::start(vec![vec![Act::Write(body)]]).await;
    let (content, end) = read(&server.client(|_| ()), ask("hi")).await;
    assert_eq!((content.as_str(), end), ("a", Err(Error::Unavailable("busy".into()))));
}

#[tokio::test]
async fn a_request_is_retried_after_a_rate_limit() {
    let limited = answer("429 Too Many Requests", "retry-after-ms: 30\r\n", "{}");
    let failed = answer("500 Internal Server Error", "", "oops");
    let server = Server::start(vec![vec![limited], vec![failed], vec![Act::Write(complete_answer())]]).await;
    let started = std::time::Instant::now();
    let (content, end) = read(&server.client(|_| ()), ask("hi")).await;
    assert_eq!((content.as_str(), end.is_ok()), ("Hello", true));
    assert_eq!(server.requests(), 3);
    assert!(started.elapsed() >= Duration::from_millis(30));
}

#[tokio::test]
async fn attempts_are_limited_and_permanent_errors_are_not_retried() {
    let cases = [
        ("500 Internal Server Error", "", 3, "model_unavailable"),
        ("503 Service Unavailable", "", 3, "model_overloaded"),
        ("429 Too Many Requests", "retry-after: 3600\r\n", 1, "model_rate_limited"),
        ("401 Unauthorized", "", 1, "model_unauthorized"),
        ("404 Not Found", "", 1, "model_unknown"),
        ("302 Found", "location: http://127.0.0.1:1/\r\n", 1, "model_garbage"),
    ];
    for (status, headers, requests, code) in cases {
        let body = format!(r#"{{"error": {{"message": "Incorrect API key {KEY} sk-abcd***"}}}}"#);
        let server = Server::start(vec![vec![answer(status, headers, &body)]]).await;
        let (_, end) = read(&server.client(|_| ()), ask("hi")).await;
        let error = end.unwrap_err();
        assert_eq!((error.code(), server.requests()), (code, requests), "{status}");
        let shown = format!("{error} {error:?} {}", error.public_message());
        assert!(!shown.contains(KEY) && !shown.contains("sk-abcd"), "{shown}");
    }
}

#[tokio::test]
async fn a_connection_that_closes_or_is_refused_is_retried() {
    let server =
        Server::start(vec![vec![], vec![Act::Write(head())], vec![Act::Write(complete_answer())]]).await;
    let (content, _) = read(&server.client(|_| ()), ask("hi")).await;
    assert_eq!((content.as_str(), server.requests()), ("Hello", 3));

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    let endpoint = sequent_model::config::Endpoint::new(&closed, None).unwrap();
    let client = server.client(|config| config.openai = Some(endpoint));
    let (_, end) = read(&client, ask("hi")).await;
    assert_eq!(end, Err(Error::Unavailable("the connection failed".into())));
}

#[tokio::test]
async fn every_phase_has_a_timeout() {
    let short = Duration::from_millis(80);
    let mute = Server::start(vec![vec![Act::Hang]]).await;
    let client = mute.client(|config| {
        config.timeouts.first_token = short;
        config.retry.attempts = 2;
    });
    let (_, end) = read(&client, ask("hi")).await;
    assert_eq!(end, Err(Error::Timeout(Phase::FirstToken)));
    assert_eq!(mute.requests(), 2);

    let stalled = vec![Act::Write(events(&[text("a")])), Act::Hang];
    let server = Server::start(vec![stalled]).await;
    let client = server.client(|config| config.timeouts.idle = short);
    let (content, end) = read(&client, ask("hi")).await;
    assert_eq!((content.as_str(), end), ("a", Err(Error::Timeout(Phase::Idle))));

    let client = server.client(|config| config.timeouts.total = short);
    let (content, end) = read(&client, ask("hi")).await;
    assert_eq!((content.as_str(), end), ("a", Err(Error::Timeout(Phase::Total))));
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn the_deadline_of_the_caller_applies() {
    let mute = Server::start(vec![vec![Act::Hang]]).await;
    let client = mute.client(|_| ());
    let context = Context {
        deadline: Some(tokio::time::Instant::now() + Duration::from_secs(2)),
        request_id: Some("req-7".into()),
    };
    let end = client.stream(ask("hi"), context).await;
    assert_eq!(end.unwrap_err(), Error::Timeout(Phase::Total));
    assert_eq!(mute.requests(), 1);
    assert!(mute.received()[0].contains("x-client-request-id: req-7"));
}

#[tokio::test]
async fn tools_are_sent_and_calls_are_received() {
    let piece = |index: u32, more: Value| {
        let mut call = json!({"index": index});
        call.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        delta(json!({"tool_calls": [call]}))
    };
    let frames = [
        delta(json!({"role": "assistant", "content": null})),
        delta(json!({"reasoning_content": "hm"})),
        piece(0, json!({"id": "a", "type": "function", "function": {"name": "search", "arguments": ""}})),
        piece(0, json!({"function": {"arguments": "{\"q\""}})),
        piece(1, json!({"id": "b", "type": "function", "function": {"name": "search", "arguments": "{}"}})),
        piece(0, json!({"function": {"arguments": ":1}"}})),
        finish("tool_calls"),
        DONE.into(),
    ];
    let server = Server::start(vec![vec![Act::Write(events(&frames))]]).await;
    let mut request = ask("look");
    request.tools = vec![ToolSpec {
        name: "search".into(),
        description: "Searches.".into(),
        parameters: json!({"type": "object", "properties": {"q": {"type": "integer"}}}),
    }];
    let earlier = ToolCall::new("z", "search", "{\"q\":0}");
    request.messages.push(Message { role: Role::Assistant, parts: vec![Part::ToolCall(earlier)] });
    request.messages.push(Message::tool_result("z", "nothing"));
    let client = server.client(|_| ());
    let chunks = client.stream(request, Context::default()).await.unwrap();
    let chunks: Vec<Chunk> = chunks.map(|chunk| chunk.unwrap()).collect().await;
    let id = |id: &str| id.to_owned();
    let more =
        |call: &str, arguments: &str| Chunk::ToolCallDelta { id: id(call), arguments: arguments.into() };
    let own =
        |call: &str| Chunk::ProviderData { call_id: Some(id(call)), data: json!({ "id": call }).to_string() };
    let expected = [
        Chunk::ReasoningDelta("hm".into()),
        Chunk::ToolCallStart { id: id("a"), name: "search".into() },
        more("a", "{\"q\""),
        Chunk::ToolCallStart { id: id("b"), name: "search".into() },
        more("b", "{}"),
        more("a", ":1}"),
        own("a"),
        Chunk::ToolCallEnd { id: id("a") },
        own("b"),
        Chunk::ToolCallEnd { id: id("b") },
        Chunk::ProviderData { call_id: None, data: r#"{"field":"reasoning_content"}"#.into() },
    ];
    assert_eq!(chunks[..11], expected);
    let reason = FinishReason::ToolCalls;
    assert!(matches!(chunks[11..], [Chunk::Finished { finish_reason, .. }] if finish_reason == reason));

    let received = server.received().remove(0);
    let body: Value = serde_json::from_str(received.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(body["tools"][0]["function"]["name"], "search");
    let call = &body["messages"][1]["tool_calls"][0];
    assert_eq!(call["function"]["arguments"], "{\"q\":0}");
    assert_eq!(body["messages"][2], json!({"role": "tool", "content": "nothing", "tool_call_id": "z"}));
}

#[tokio::test]
async fn the_name_of_the_model_is_sent_unchanged() {
    for name in ["qwen-max", "o3-mini-high", "openai/meta-llama/llama-4:free"] {
        let server = Server::start(vec![vec![Act::Write(complete_answer())]]).await;
        let request = Request::new(name.parse().unwrap(), vec![Message::user("hi")]);
        read(&server.client(|_| ()), request).await.1.unwrap();
        let received = server.received().remove(0);
        let body: Value = serde_json::from_str(received.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(body["model"], name.strip_prefix("openai/").unwrap_or(name));
        assert_eq!(body.get("reasoning_effort"), None);
    }
}

#[tokio::test]
async fn dropping_the_stream_closes_the_connection() {
    let gone = Arc::new(Notify::new());
    let acts = vec![Act::Write(events(&[text("a")])), Act::Tell(gone.clone())];
    let server = Server::start(vec![acts]).await;
    let client = server.client(|_| ());
    let chunks = client.stream(ask("hi"), Context::default()).await.unwrap();
    drop(chunks);
    let waited = tokio::time::timeout(Duration::from_secs(5), gone.notified()).await;
    assert!(waited.is_ok());
}

/// A response that is JSON in place of an event stream.
fn json_answer(body: &Value) -> Vec<Act> {
    vec![answer("200 OK", "content-type: application/json\r\n", &body.to_string())]
}

#[tokio::test]
async fn an_answer_that_has_ended_does_not_wait_for_the_connection() {
    let beat = std::iter::repeat_n(": heartbeat\n\n", 3).collect::<String>();
    for (tail, reported) in [
        ([finish("stop"), usage()].concat(), true),
        ([finish("stop"), usage(), DONE.into()].concat(), true),
        ([finish("stop"), DONE.into()].concat(), false),
        ([finish("stop"), beat].concat(), false),
    ] {
        let acts = vec![Act::Write(events(&[text("a"), tail])), Act::Hang];
        let server = Server::start(vec![acts]).await;
        let client = server.client(|config| config.timeouts.idle = Duration::from_secs(60));
        let read = read(&client, ask("hi"));
        let (content, end) = tokio::time::timeout(Duration::from_secs(30), read).await.expect("no wait");
        let (reason, usage) = end.unwrap();
        assert_eq!((content.as_str(), reason), ("a", FinishReason::Stop));
        assert_eq!(usage == REPORTED, reported);
    }
}

#[tokio::test]
async fn an_error_that_comes_first_is_retried_in_whatever_form_it_comes() {
    let limited = json!({"error": {"message": "slow down", "type": "rate_limit_error"}});
    let stopped = finish("error");
    let beside = frame(
        json!({"error": {"message": "gone", "code": 502}, "choices": [{"delta": {}, "finish_reason": "error"}]}),
    );
    for first in [
        json_answer(&limited),
        vec![Act::Write(events(&[frame(limited.clone())]))],
        vec![Act::Write(events(&[stopped]))],
        vec![Act::Write(events(&[beside]))],
    ] {
        let server = Server::start(vec![first, vec![Act::Write(complete_answer())]]).await;
        let (content, end) = read(&server.client(|_| ()), ask("hi")).await;
        assert_eq!((content.as_str(), end.is_ok(), server.requests()), ("Hello", true, 2));
    }
    let quota = json!({"error": {"message": "no more", "code": "insufficient_quota"}});
    let server = Server::start(vec![json_answer(&quota)]).await;
    let (_, end) = read(&server.client(|_| ()), ask("hi")).await;
    assert_eq!((end, server.requests()), (Err(Error::QuotaExhausted), 1));
}

#[tokio::test]
async fn an_error_after_text_leaves_a_part_of_an_answer() {
    let beside = frame(
        json!({"error": {"message": "gone"}, "choices": [{"delta": {"content": " a"}, "finish_reason": "error"}]}),
    );
    for (tail, expected) in [(beside, "Half a"), (finish("error"), "Half")] {
        let server = Server::start(vec![vec![Act::Write(events(&[text("Half"), tail, DONE.into()]))]]).await;
        let (content, end) = read(&server.client(|_| ()), ask("hi")).await;
        assert_eq!((content.as_str(), end.unwrap_err().code()), (expected, "model_unavailable"));
        assert_eq!(server.requests(), 1);
    }
}

#[tokio::test]
async fn a_whole_answer_in_place_of_a_stream_is_understood() {
    let whole = json!({"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]});
    let server = Server::start(vec![json_answer(&whole)]).await;
    let (content, end) = read(&server.client(|_| ()), ask("hi")).await;
    assert_eq!((content.as_str(), end.unwrap().0), ("Hello", FinishReason::Stop));
}

#[tokio::test]
async fn comments_keep_an_answer_alive_before_its_first_token() {
    let mut acts = vec![Act::Write(head())];
    let slow = ": keep-alive\n\n".repeat(40);
    acts.push(Act::Drip(slow.into_bytes(), Duration::from_millis(5)));
    acts.push(Act::Write([text("late"), finish("stop"), DONE.into()].concat().into_bytes()));
    let server = Server::start(vec![acts]).await;
    // The comments take 2.8 seconds and more.
    let client = server.client(|config| config.timeouts.first_token = Duration::from_secs(2));
    let (content, end) = read(&client, ask("hi")).await;
    assert_eq!((content.as_str(), end.is_ok(), server.requests()), ("late", true, 1));
}

/// A message with an image and a document.
pub(crate) fn attaching() -> Message {
    let file = |name: &str, bytes| {
        Part::File(AttachedFile {
            name: Some(name.to_owned()),
            bytes: Some(bytes),
            ..AttachedFile::described("art_1", format!("[{name}]"))
        })
    };
    let image = file("a.png", FileBytes::new(FileType::Png, b"image".to_vec()));
    let document = file("b.pdf", FileBytes::new(FileType::Pdf, b"document".to_vec()));
    let text = Part::Text { text: "Compare.".to_owned() };
    Message { role: Role::User, parts: vec![text, image, document] }
}

#[tokio::test]
async fn files_are_parts_before_the_text() {
    let server = Server::start(vec![vec![Act::Write(complete_answer())]]).await;
    let request = Request::new("gpt-4o".parse().unwrap(), vec![attaching()]);
    assert!(request.input_tokens() > 3_000, "files count as input");
    read(&server.client(|_| ()), request).await.1.unwrap();
    let received = server.received();
    let (_, body) = received[0].split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    let expected = json!([
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aW1hZ2U="}},
        {"type": "file", "file": {"filename": "b.pdf", "file_data": "data:application/pdf;base64,ZG9jdW1lbnQ="}},
        {"type": "text", "text": "Compare.\n\n[a.png]\n\n[b.pdf]"},
    ]);
    assert_eq!(body["messages"][0]["content"], expected);
}
