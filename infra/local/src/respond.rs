//! The body type that all our servers answer with, and small JSON answers.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde_json::Value;

use crate::runtime::Cut;

/// Whole or streamed; a [`Cut`] breaks the connection off.
pub(crate) type Body = UnsyncBoxBody<Bytes, Cut>;

/// A whole body.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(full(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    response
}

/// `{"message": ...}`, as API Gateway answers by itself.
pub(crate) fn message(status: StatusCode, text: &str) -> Response<Body> {
    json(status, &serde_json::json!({"message": text}))
}
