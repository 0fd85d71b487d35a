//! What a request may weigh and how long its answer may take.

use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};
use sequent_core::Timestamp;

use crate::{Config, Exchange, Problem};

/// Most header fields a request may have.
const MAX_HEADERS: usize = 100;

/// Most bytes of header names and values. The gateway allows 10 KB; function URLs allow more.
const MAX_HEADER_BYTES: usize = 32 * 1024;

/// Refuses requests with too many or too large headers.
pub(crate) fn headers(headers: &HeaderMap) -> Result<(), Problem> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() <= MAX_HEADERS && bytes <= MAX_HEADER_BYTES {
        return Ok(());
    }
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    Err(Problem::new(status, "headers_too_large", "The request has too many or too large headers."))
}

/// Ends a handler that does not begin its answer in time, before the platform would end it without one.
pub(crate) async fn time(
    config: &Config,
    exchange: &Exchange,
    answer: impl Future<Output = Response>,
) -> Response {
    let left = exchange.deadline().map_or(Duration::MAX, |deadline| deadline.since(Timestamp::now()));
    tokio::time::timeout(config.timeout.min(left), answer).await.unwrap_or_else(|_| {
        Problem::new(StatusCode::GATEWAY_TIMEOUT, "timeout", "The request took too long.")
            .source("the handler did not answer in time")
            .into_response()
    })
}
