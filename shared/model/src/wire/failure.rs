//! Errors of model servers: HTTP statuses, error documents in any place, and broken connections.

mod redact;
mod report;

pub(crate) use redact::Redact;

use std::time::Duration;

use reqwest::{StatusCode, header::HeaderMap};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

use super::json::Object;
use crate::{Error, Phase};
use report::Report;

/// Classifies the error of a connection. An answer that has begun is cut.
pub(crate) fn of_transport(error: &reqwest::Error) -> Error {
    if error.is_connect() {
        return if error.is_timeout() {
            Error::Timeout(Phase::Connect)
        } else {
            Error::Unavailable("the connection failed".into())
        };
    }
    if error.is_builder() {
        return Error::BadRequest("the request could not be created".into());
    }
    if error.is_timeout() {
        return Error::Timeout(Phase::Idle);
    }
    if error.is_body() || error.is_decode() {
        return Error::Truncated;
    }
    Error::Unavailable("the connection was lost".into())
}

/// Classifies a response whose status is not a success.
pub(crate) fn of_response(status: StatusCode, headers: &HeaderMap, body: &str) -> Error {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let report = Report::of(&body).with_kind(error_type(headers));
    // A document may repeat the status, or name another one, as a gateway does. The response decides.
    let error = report.without_status().error(Some(status.as_u16()));
    match error {
        Error::RateLimited { .. } => {
            Error::RateLimited { retry_after: retry_after(headers, OffsetDateTime::now_utc()) }
        }
        Error::Overloaded { .. } => {
            Error::Overloaded { retry_after: retry_after(headers, OffsetDateTime::now_utc()) }
        }
        other => other,
    }
}

/// Returns the name of an error of AWS. Its header may have an address after it.
fn error_type(headers: &HeaderMap) -> Option<&str> {
    let name = headers.get("x-amzn-errortype")?.to_str().ok()?;
    name.split(':').next()
}

/// Classifies an error whose name is not in its document.
pub(super) fn of_kind(kind: &str, document: &Object) -> Error {
    Report::of_object(document).with_kind(Some(kind)).error(None)
}

/// Returns the error that a document of an answer reports, if it does. `event` is the name of its frame.
///
/// Servers report errors in the field `error`, in a document of the type `error`, in an event with that name, or in fields
/// of their own beside no answer.
pub(super) fn in_document(event: &str, document: &Object) -> Option<Error> {
    let named = document.get("error").filter(|error| is_reported(error));
    let is_error = |name: &str| document.get(name).and_then(Value::as_str) == Some("error");
    if named.is_some() || event == "error" || is_error("object") || is_error("type") {
        return Some(Report::of_object(document).error(None));
    }
    let has_answer = ["choices", "usage", "content", "delta", "message_id"]
        .iter()
        .any(|name| document.get(*name).is_some_and(|value| !is_empty(value)));
    let is_known = document.contains_key("choices") && !document.contains_key("base_resp");
    if has_answer || is_known || document.contains_key("type") {
        return None;
    }
    let report = Report::of_object(document);
    report.is_an_error(document).then(|| report.error(None))
}

/// Returns `true` if the value of a field `error` says that there is one. Some servers send the field in every document.
fn is_reported(error: &Value) -> bool {
    !is_empty(error) && *error != Value::Bool(false)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// Reads `retry-after-ms`, which OpenAI sends, or `Retry-After` in seconds or as a date (RFC 9110, section
/// 10.2.3).
fn retry_after(headers: &HeaderMap, now: OffsetDateTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let decimal = |text: &str, unit: f64| {
        let number: f64 = text.trim().parse().ok()?;
        Duration::try_from_secs_f64(number * unit).ok()
    };
    if let Some(wait) = text("retry-after-ms").and_then(|ms| decimal(ms, 0.001)) {
        return Some(wait);
    }
    let value = text("retry-after")?;
    decimal(value, 1.0).or_else(|| {
        let date = OffsetDateTime::parse(value, &Rfc2822).ok()?;
        Some(Duration::try_from(date - now).unwrap_or_default())
    })
}

#[cfg(test)]
mod tests;
