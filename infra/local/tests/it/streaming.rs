//! Streamed responses: they arrive chunk by chunk, are cut if the instance dies, and continue if the client
//! leaves.

use std::pin::pin;

use http::Request;
use http_body_util::{BodyExt, Full};

use crate::harness::{Gate, Site, chunk, send};

fn path(gate: &Gate) -> String {
    format!("/api/stream/x?gate={}", gate.address())
}

#[tokio::test]
async fn each_chunk_arrives_before_the_next_is_written() {
    let site = Site::start().await;
    let gate = Gate::new().await;
    let path = path(&gate);
    let (mut response, mut held) = tokio::join!(site.get(&path), gate.held());
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["x-pid"].to_str().unwrap(), held.pid.to_string());
    for word in ["one", "two", "three"] {
        held.chunk(word).await;
        assert_eq!(chunk(&mut response).await.unwrap().unwrap(), format!("{word}\n"));
    }
    drop(held);
    assert!(chunk(&mut response).await.is_none(), "a clean end");
}

#[tokio::test]
async fn a_function_urls_request_id_is_the_invocations() {
    let site = Site::start().await;
    let gate = Gate::new().await;
    let path = path(&gate);
    let (response, _held) = tokio::join!(site.get(&path), gate.held());
    let id = response.headers()["x-amzn-requestid"].to_str().unwrap();
    assert_eq!(response.headers()["x-ids"].to_str().unwrap(), format!("{id} {id}"));
    assert!(!response.headers().contains_key("apigw-requestid"));
}

#[tokio::test]
async fn a_crash_cuts_the_connection() {
    let site = Site::start().await;
    let gate = Gate::new().await;
    let path = path(&gate);
    let (mut response, mut held) = tokio::join!(site.get(&path), gate.held());
    held.chunk("first").await;
    assert_eq!(chunk(&mut response).await.unwrap().unwrap(), "first\n");
    assert!(site.runtime.kill(held.pid));
    let cut = chunk(&mut response).await.expect("a clean end of the body hides the crash");
    assert!(cut.is_err());
    site.until(|instances| instances.is_empty()).await;
}

#[tokio::test]
async fn a_crash_before_the_first_byte_is_a_bad_gateway() {
    let site = Site::start().await;
    let gate = Gate::new().await;
    // The probe connects to a closed gate, fails, and reports an error.
    let path = path(&gate);
    drop(gate);
    let response = site.get(&path).await;
    assert_eq!(response.status(), 502);
}

#[tokio::test]
async fn a_client_that_leaves_stops_nothing() {
    let site = Site::start().await;
    let gate = Gate::new().await;
    let path = path(&gate);
    let (mut response, mut held) = tokio::join!(site.get(&path), gate.held());
    held.chunk("first").await;
    assert_eq!(chunk(&mut response).await.unwrap().unwrap(), "first\n");
    drop(response);
    // More than all buffers can hold: the chunks are taken only because the runtime continues to read.
    let big = "x".repeat(256 * 1024);
    for _ in 0..100 {
        held.chunk(&big).await;
    }
    let pid = held.pid;
    drop(held);
    site.until(|instances| instances.iter().any(|i| i.pid == pid && i.state == "idle")).await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_stops_nothing() {
    let site = Site::start().await;
    let gate = Gate::new().await;
    let path = path(&gate);
    let held = {
        let mut request = pin!(site.get(&path));
        tokio::select! {
            held = gate.held() => held,
            _ = &mut request => panic!("it cannot have answered"),
        }
    };
    let pid = held.pid;
    drop(held);
    site.until(|instances| instances.iter().any(|i| i.pid == pid && i.state == "idle")).await;
}

#[tokio::test]
async fn a_stream_can_be_invoked_directly() {
    let site = Site::start().await;
    let gate = Gate::new().await;
    let event = serde_json::json!({
        "version": "2.0", "rawPath": "/", "headers": {},
        "rawQueryString": format!("gate={}", gate.address()),
        "queryStringParameters": {"gate": gate.address()},
        "requestContext": {"http": {"method": "GET", "path": "/"}},
    });
    let url = format!("{}/2021-11-15/functions/StreamFunction/response-streaming-invocations", site.control);
    let request = Request::post(url).body(Full::from(event.to_string())).unwrap();
    let (response, mut held) = tokio::join!(send(request), gate.held());
    assert_eq!(response.headers()["content-type"], "application/vnd.amazon.eventstream");
    held.chunk("payload").await;
    drop(held);
    let all = response.into_body().collect().await.unwrap().to_bytes();
    let has = |text: &[u8]| all.windows(text.len()).any(|window| window == text);
    assert!(has(b"PayloadChunk") && has(b"payload\n") && has(b"InvokeComplete"));
}
