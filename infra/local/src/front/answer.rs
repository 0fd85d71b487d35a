//! Converts a function's payload into an HTTP response, as API Gateway and function URLs do.

use std::pin::Pin;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use serde_json::Value;

use crate::respond::{self, Body, full};
use crate::runtime::{Cut, Stream};

/// Separates the metadata and the body of a streamed HTTP response.
const DELIMITER: [u8; 8] = [0; 8];
const INTEGRATION: &str = "application/vnd.awslambda.http-integration-response";
/// Longest prelude in bytes. A longer one is an error of the function.
const PRELUDE_LIMIT: usize = 256 * 1024;

/// Converts a buffered payload. Returns `None` if it is not a valid response.
pub(super) fn buffered(payload: &[u8]) -> Option<Response<Body>> {
    let value: Value = serde_json::from_slice(payload).ok()?;
    // In format 2.0, a payload without a status is the body of a response.
    if value.get("statusCode").is_none() {
        return Some(respond::json(StatusCode::OK, &value));
    }
    let body = value["body"].as_str().unwrap_or_default();
    let body = match value["isBase64Encoded"].as_bool() {
        Some(true) => Bytes::from(STANDARD.decode(body).ok()?),
        _ => Bytes::copy_from_slice(body.as_bytes()),
    };
    let head = head(&value)?;
    head.body(full(body)).ok()
}

/// Converts a streamed payload: the prelude becomes the head, and the body is forwarded as it arrives.
pub(super) async fn streamed(mut stream: Stream) -> Option<Response<Body>> {
    if stream.content_type != INTEGRATION {
        let builder = Response::builder().header("content-type", stream.content_type.as_str());
        return builder.body(Passing { first: None, stream }.boxed_unsync()).ok();
    }
    let mut buffer = BytesMut::new();
    let end = loop {
        if let Some(end) = buffer.windows(DELIMITER.len()).position(|window| window == DELIMITER) {
            break end;
        }
        if buffer.len() > PRELUDE_LIMIT {
            return None;
        }
        buffer.extend_from_slice(&stream.next().await?.ok()?);
    };
    let prelude: Value = serde_json::from_slice(&buffer[..end]).ok()?;
    let first = buffer.freeze().slice(end + DELIMITER.len()..);
    let first = (!first.is_empty()).then_some(first);
    head(&prelude)?.body(Passing { first, stream }.boxed_unsync()).ok()
}

/// Reads a whole stream. Returns `None` if it was cut.
pub(super) async fn collected(mut stream: Stream) -> Option<Bytes> {
    let mut all = BytesMut::new();
    while let Some(chunk) = stream.next().await {
        all.extend_from_slice(&chunk.ok()?);
    }
    Some(all.freeze())
}

fn head(value: &Value) -> Option<http::response::Builder> {
    let status = match &value["statusCode"] {
        Value::Null => 200,
        Value::String(text) => text.parse().ok()?,
        number => u16::try_from(number.as_u64()?).ok()?,
    };
    let mut builder = Response::builder().status(status);
    for (name, value) in value["headers"].as_object().into_iter().flatten() {
        // The server sets the headers of the connection itself.
        if !matches!(
            name.to_ascii_lowercase().as_str(),
            "connection" | "transfer-encoding" | "content-length" | "keep-alive"
        ) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            builder = builder.header(name, text);
        }
    }
    for cookie in value["cookies"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        builder = builder.header("set-cookie", cookie);
    }
    if !value["headers"]
        .as_object()
        .is_some_and(|headers| headers.keys().any(|k| k.eq_ignore_ascii_case("content-type")))
    {
        builder = builder.header("content-type", "application/json");
    }
    Some(builder)
}

/// A body that forwards each chunk as it arrives, and closes the connection without an end if the rest is
/// lost.
struct Passing {
    first: Option<Bytes>,
    stream: Stream,
}

impl http_body::Body for Passing {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = self.get_mut();
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        this.stream.poll_next(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn buffered_responses_carry_status_headers_cookies_and_bytes() {
        let payload = json!({
            "statusCode": 201, "headers": {"X-A": "b", "Content-Type": "text/plain", "Content-Length": "99"},
            "cookies": ["a=1", "b=2"], "body": "YWI=", "isBase64Encoded": true,
        });
        let response = buffered(payload.to_string().as_bytes()).unwrap();
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers()["x-a"], "b");
        assert_eq!(response.headers()["content-type"], "text/plain");
        assert!(!response.headers().contains_key("content-length"));
        assert_eq!(response.headers().get_all("set-cookie").iter().count(), 2);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ab");
    }

    #[tokio::test]
    async fn a_value_without_a_status_is_the_body() {
        let response = buffered(br#"{"ok":true}"#).unwrap();
        assert_eq!(
            (response.status(), response.headers()["content-type"].as_bytes()),
            (StatusCode::OK, b"application/json".as_slice())
        );
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), r#"{"ok":true}"#);
        assert!(buffered(b"not json").is_none());
        assert!(buffered(br#"{"statusCode":"many"}"#).is_none());
    }
}
