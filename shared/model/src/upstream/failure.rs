//! Classifies the errors of the crate `genai`.

use std::time::Duration;

use genai::Error as Cause;
use reqwest::{StatusCode, header::HeaderMap};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

use crate::{Error, Phase};

/// Removes keys from a provider's texts, because OpenAI quotes parts of a rejected key.
#[derive(Debug)]
pub(super) struct Redact(Option<SecretString>);

impl Redact {
    pub(super) fn new(key: Option<SecretString>) -> Self {
        Self(key)
    }

    /// Returns one short line without our key and without words that look like a key.
    pub(super) fn clean(&self, text: &str) -> String {
        const MAX_CHARS: usize = 300;
        let key = self.0.as_ref().map_or("", |key| key.expose_secret());
        let whole = match key {
            "" => text.to_owned(),
            key => text.replace(key, "[redacted]"),
        };
        let words = whole.split_whitespace().map(|word| {
            if ["sk-", "Bearer", "api_key", "api-key="].iter().any(|mark| word.contains(mark)) {
                "[redacted]"
            } else {
                word
            }
        });
        let line = words.collect::<Vec<_>>().join(" ");
        line.chars().filter(|c| !c.is_control()).take(MAX_CHARS).collect()
    }
}

pub(super) fn classify(cause: Cause, redact: &Redact) -> Error {
    match cause {
        Cause::HttpError { status, body, headers, .. } => {
            by_status(status, &ProviderError::parse(&body), &headers, redact)
        }
        Cause::WebStream { error, .. } => match error.downcast::<Cause>() {
            Ok(inner) => classify(*inner, redact),
            Err(error) => match error.downcast::<reqwest::Error>() {
                Ok(error) => by_transport(&error),
                Err(error) => by_bytes(error),
            },
        },
        Cause::ChatResponse { body, .. } => by_event(&body, redact),
        // The last frame of a connection that was cut ends too early.
        Cause::StreamParse { serde_error, .. } | Cause::SerdeJson(serde_error) => {
            if serde_error.is_eof() {
                Error::Truncated
            } else {
                Error::InvalidAnswer("an event is not JSON".into())
            }
        }
        Cause::JsonValueExt(_) | Cause::InvalidJsonResponseElement { .. } => {
            Error::InvalidAnswer("an event lacks a required field".into())
        }
        // The remaining errors occur before the request is sent: it cannot be expressed in this provider's
        // protocol.
        _ => Error::BadRequest("the provider does not support such a request".into()),
    }
}

/// Classifies bytes that are not UTF-8. At the end of a cut connection they are the first part of a
/// character.
fn by_bytes(error: genai::BoxError) -> Error {
    match error.downcast::<std::string::FromUtf8Error>() {
        Ok(error) if error.utf8_error().error_len().is_none() => Error::Truncated,
        _ => Error::InvalidAnswer("the answer is not UTF-8".into()),
    }
}

fn by_transport(error: &reqwest::Error) -> Error {
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

/// A provider's error: `{"error": {"message", "type", "code"}}`, with variations.
struct ProviderError {
    message: String,
    kinds: Vec<String>,
}

impl ProviderError {
    fn parse(body: &str) -> Self {
        let value: Value = serde_json::from_str(body).unwrap_or_default();
        Self::from_value(&value)
    }

    fn from_value(body: &Value) -> Self {
        let error = body.get("error").unwrap_or(body);
        let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
        let message = text("message").or_else(|| error.as_str().map(str::to_owned));
        Self {
            message: message.unwrap_or_default(),
            kinds: [text("type"), text("code")].into_iter().flatten().collect(),
        }
    }

    fn is(&self, kinds: &[&str]) -> bool {
        self.kinds.iter().any(|kind| kinds.contains(&kind.as_str()))
    }
}

const QUOTA: &[&str] = &["insufficient_quota", "billing_error", "billing_hard_limit_reached"];
const FILTERED: &[&str] = &["content_filter", "content_policy_violation"];

fn by_status(status: StatusCode, error: &ProviderError, headers: &HeaderMap, redact: &Redact) -> Error {
    let retry_after = retry_after(headers, OffsetDateTime::now_utc());
    match status.as_u16() {
        _ if error.is(QUOTA) => Error::QuotaExhausted,
        _ if error.is(FILTERED) => Error::ContentFiltered,
        401 | 403 => Error::Unauthorized,
        402 => Error::QuotaExhausted,
        404 => Error::UnknownModel,
        408 | 409 | 425 => Error::Unavailable(format!("HTTP {status}")),
        429 => Error::RateLimited { retry_after },
        503 | 529 => Error::Overloaded { retry_after },
        400..=499 => Error::BadRequest(explain(error, status, redact)),
        500..=599 => Error::Unavailable(explain(error, status, redact)),
        _ => Error::InvalidAnswer(format!("HTTP {status}")),
    }
}

fn explain(error: &ProviderError, status: StatusCode, redact: &Redact) -> String {
    match redact.clean(&error.message) {
        message if message.is_empty() => format!("HTTP {}", status.as_u16()),
        message => message,
    }
}

/// Classifies an error that a provider reports inside a stream.
fn by_event(body: &Value, redact: &Redact) -> Error {
    let error = ProviderError::from_value(body);
    // Some servers put the HTTP status into `code`.
    let code = body.get("error").unwrap_or(body).get("code");
    if let Some(status) = code
        .and_then(Value::as_u64)
        .and_then(|code| u16::try_from(code).ok())
        .and_then(|code| StatusCode::from_u16(code).ok())
    {
        return by_status(status, &error, &HeaderMap::new(), redact);
    }
    if error.is(QUOTA) {
        Error::QuotaExhausted
    } else if error.is(FILTERED) {
        Error::ContentFiltered
    } else if error.is(&["rate_limit_error", "rate_limit_exceeded"]) {
        Error::RateLimited { retry_after: None }
    } else if error.is(&["overloaded_error", "server_overloaded", "engine_overloaded"]) {
        Error::Overloaded { retry_after: None }
    } else if error.is(&["authentication_error", "permission_error", "invalid_api_key"]) {
        Error::Unauthorized
    } else if error.is(&["not_found_error", "model_not_found"]) {
        Error::UnknownModel
    } else if error.is(&["invalid_request_error", "request_too_large"]) {
        Error::BadRequest(redact.clean(&error.message))
    } else {
        Error::Unavailable(redact.clean(&error.message))
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
