//! A webhook on a real socket.

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;

fn incident(code: &str) -> Incident<'_> {
    Incident {
        function: "chat",
        code,
        status: 500,
        route: "POST /api/chat/send",
        request_id: "req_1",
        cause: "refused: Authorization: Bearer abcdefghijklmnop",
    }
}

/// Accepts one request and returns its body.
async fn one_request(listener: &TcpListener) -> Value {
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut received = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let read = socket.read(&mut buffer).await.unwrap();
        received.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&received);
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
        if let Ok(body) = serde_json::from_str(&body) {
            socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            return body;
        }
        assert!(read > 0, "the connection ended early: {text}");
    }
}

async fn webhook() -> (TcpListener, Notifier) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    (listener, Notifier::new(Config { webhook: Some(url.into()), topic: None }))
}

#[tokio::test]
async fn a_webhook_gets_the_incident_without_secrets_and_only_once() {
    let (listener, notifier) = webhook().await;
    let news = incident("internal");
    let ((), body) = tokio::join!(notifier.notify(&news), one_request(&listener));
    assert_eq!(body["incident"]["code"], "internal");
    assert_eq!(body["incident"]["request_id"], "req_1");
    assert!(body["text"].as_str().unwrap().contains("500 internal in chat"));
    assert!(!body.to_string().contains("abcdefghijklmnop"), "{body}");

    let again = incident("internal");
    let other = incident("timeout");
    let told = async {
        notifier.notify(&again).await; // says nothing, so the next request received is the other code's
        notifier.notify(&other).await;
    };
    let ((), body) = tokio::join!(told, one_request(&listener));
    assert_eq!(body["incident"]["code"], "timeout");
}

#[tokio::test]
async fn a_long_cause_is_cut() {
    let (listener, notifier) = webhook().await;
    let cause = "é".repeat(200_000);
    let news = Incident { cause: &cause, ..incident("internal") };
    let ((), body) = tokio::join!(notifier.notify(&news), one_request(&listener));
    assert_eq!(body["incident"]["cause"], "é".repeat(MAX_CAUSE / 2));
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_does_not_answer_times_out() {
    let (listener, notifier) = webhook().await;
    let started = tokio::time::Instant::now();
    notifier.notify(&incident("internal")).await; // the kernel accepts the connection, but no process answers
    assert!(started.elapsed() <= TIMEOUT + Duration::from_millis(10));
    drop(listener);
}

#[tokio::test]
async fn a_webhook_that_cannot_be_reached_does_no_harm() {
    let (listener, notifier) = webhook().await;
    drop(listener);
    let (guard, lines) = sequent_telemetry::testing::capture_at("warn");
    notifier.notify(&incident("internal")).await;
    drop(guard);
    assert!(lines.text().contains("could not reach the webhook"), "{}", lines.text());
    assert!(!lines.text().contains("/hook"), "the address may be a secret");
}
