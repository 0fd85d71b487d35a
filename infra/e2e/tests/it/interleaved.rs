//! A model that reasons before every word: an OpenAI-compatible server in the test's process.
//!
//! Pieces of one message that wait for the same write are stored as one event, so an answer that arrives at
//! once becomes a few events. Reasoning between the words keeps them apart. The result is hundreds of events
//! of many types in a few segments, and a run that is cheap to read tens of thousands of times.

use crate::system::System;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Words of the answer. Each becomes eight events, so the run has a little over 200.
const WORDS: usize = 25;

/// Starts a system in which this model answers every request.
pub(crate) async fn system() -> System {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    // Reading one run tens of thousands of times takes longer than the default lifetime of an access token.
    System::start(&[("OPENAI_BASE_URL", &url), ("ACCESS_TOKEN_TTL_S", "3600")]).await
}

async fn answer(mut stream: TcpStream) {
    // The request is read because closing a connection with unread bytes would reset it.
    let mut question = Vec::new();
    while !is_complete(&question) {
        assert_ne!(stream.read_buf(&mut question).await.unwrap(), 0, "the question breaks off");
    }
    let piece = |delta: Value, finish: Option<&str>| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
        let chunk = json!({"id": "1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]});
        format!("data: {chunk}\n\n")
    };
    let mut body = String::new();
    for word in 0..WORDS {
        // Characters of two, three and four bytes, so that cuts fall into characters.
        body.push_str(&piece(json!({"reasoning_content": "ü→"}), None));
        body.push_str(&piece(json!({"content": format!("{word}🚆")}), None));
    }
    body.push_str(&piece(json!({}), Some("stop")));
    body.push_str("data: [DONE]\n\n");
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
}

/// Returns `true` if the bytes hold a complete HTTP request with a `Content-Length`.
fn is_complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    request.len() >= head.len() + 4 + length.parse::<usize>().unwrap()
}
