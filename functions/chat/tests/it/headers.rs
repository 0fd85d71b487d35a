//! The headers of streams: no proxy and no browser stores or delays what they carry.

use http::{
    HeaderName,
    header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE},
};
use serde_json::json;

use crate::app::{app, event, say, send};

const WORDS: &str = "/demo tokens=1 rate=0";

#[tokio::test]
async fn the_streams_of_every_protocol_are_neither_stored_nor_compressed() {
    let app = app().await;
    let first = send(&say(WORDS)).send(&app).await;
    let run = first.header("x-run-id");
    let project = first.header("x-project-id");
    let message = json!({"role": "user", "parts": [{"type": "text", "text": WORDS}]});
    let by_get = format!("/api/projects/{project}/messages/stream?content=%2Fdemo%20tokens%3D1%20rate%3D0");
    for request in [
        send(&say(WORDS)),
        event("POST", "/api/v1/agent/chat").json(&json!({ "message": WORDS })),
        event("POST", "/api/chat").json(&json!({ "id": "c", "message": message })),
        event("GET", &by_get).header("sec-fetch-site", "same-origin"),
        event("GET", &format!("/api/runs/{run}/events")),
        event("GET", &format!("/api/chat/{run}/stream")),
    ] {
        let path = request.path().to_owned();
        let stream = request.header("accept-encoding", "gzip, br").send(&app).await;
        let of = |name: HeaderName| stream.header(name.as_str()).to_owned();
        assert_eq!((stream.status.as_u16(), of(CONTENT_TYPE).as_str()), (200, "text/event-stream"), "{path}");
        assert_eq!((of(CACHE_CONTROL).as_str(), of(CONTENT_ENCODING).as_str()), ("no-store", ""), "{path}");
        assert_eq!(stream.header("x-accel-buffering"), "no", "{path}");
        assert_eq!(stream.header("x-content-type-options"), "nosniff", "{path}");
    }
}
