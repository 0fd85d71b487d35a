//! The OpenAI-compatible protocol, against a scripted server.

use std::sync::Arc;

use futures::StreamExt;
use sequent_model::{
    AttachedFile, Chunk, Context, Error, FileBytes, FileType, FinishReason, Message, Part, Request, Role,
    ToolCall, ToolSpec,
};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::{
    completions::{
        DONE, REPORTED, ask, complete_answer, delta, finish, frame, json_answer, read, text, usage,
    },
    server::{Act, KEY, Server, answer, events, head},
};

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
