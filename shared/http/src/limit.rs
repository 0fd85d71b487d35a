//! The limits on the headers of a request and on the time of its response.

use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use sequent_core::{Code, Timestamp};

use crate::{Config, Problem, RequestContext};

/// The maximum number of headers.
const MAX_HEADERS: usize = 100;

/// The maximum size of all header names and values, in bytes. The gateway allows 10 KB, function URLs allow more.
const MAX_HEADER_BYTES: usize = 32 * 1024;

/// Checks the number and the size of the headers.
pub(crate) fn headers(headers: &HeaderMap) -> Result<(), Problem> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() <= MAX_HEADERS && bytes <= MAX_HEADER_BYTES {
        return Ok(());
    }
    let detail = format!("The request may have {MAX_HEADERS} headers of {MAX_HEADER_BYTES} bytes in total.");
    Err(Problem::new(Code::HeadersTooLarge, detail))
}

/// Ends a handler that does not begin its response in time, before the platform would end it without a response.
pub(crate) async fn time(
    config: &Config,
    context: &RequestContext,
    answer: impl Future<Output = Response>,
) -> Response {
    let left = context.deadline().map_or(Duration::MAX, |deadline| deadline.since(Timestamp::now()));
    tokio::time::timeout(config.timeout.min(left), answer).await.unwrap_or_else(|_| {
        Problem::new(Code::Timeout, "The request took too long.")
            .source("the handler did not answer in time")
            .into_response()
    })
}
