//! Errors as callers of the API see them.
//!
//! An error has two sides that never mix. The *public side* is what the caller reads: a stable [`Code`] that programs
//! match on, a detail written for people, and machine-readable additions such as the id of the run in the way. The
//! *private side* is the error itself with its sources. It is logged once, at the boundary of the request, and never
//! sent.
//!
//! Each domain error implements [`ApiError`], so a handler writes `?` and nothing else:
//!
//! ```
//! # use sequent_core::{ApiError, Code, ErrorDetails};
//! #[derive(Debug, thiserror::Error)]
//! enum Error {
//!     #[error("the project does not exist")]
//!     NotFound,
//!     #[error("the table failed")]
//!     Table(#[source] std::io::Error),
//! }
//!
//! impl ApiError for Error {
//!     fn details(&self) -> ErrorDetails {
//!         match self {
//!             Self::NotFound => ErrorDetails::new(Code::NotFound, "There is no project with this id."),
//!             Self::Table(_) => ErrorDetails::unavailable(),
//!         }
//!     }
//! }
//! ```
//!
//! A detail contains nothing that the caller did not send or may not know. An error that the caller cannot cause is
//! [`ErrorDetails::internal`]: it needs no code of its own, its source is in the log.

mod code;
mod kind;
mod topic;

use std::{borrow::Cow, time::Duration};

use serde::Serialize;
use serde_json::{Map, Value};

pub use code::Code;
pub use kind::ErrorKind;
pub use topic::Topic;

/// An error that can be shown to callers of the API.
pub trait ApiError: std::error::Error + Send + Sync + 'static {
    /// Returns the public side of the error.
    fn details(&self) -> ErrorDetails;
}

/// The public side of an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorDetails {
    /// The stable name of the kind of error.
    pub code: Code,
    /// The explanation for people. Empty if the code says everything.
    pub detail: Cow<'static, str>,
    /// The parts of the input that are wrong.
    pub fields: Vec<FieldError>,
    /// Members beside the standard ones, such as `run_id`.
    pub extensions: Map<String, Value>,
    /// The time to wait before the next attempt.
    pub retry_after: Option<Duration>,
}

/// One wrong part of the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    #[serde(flatten)]
    location: Location,
    detail: Cow<'static, str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Location {
    /// JSON pointer into the body, as a URI fragment (RFC 6901, section 6).
    Pointer(String),
    /// Name of a query or path parameter.
    Parameter(String),
}

impl ErrorDetails {
    /// An error with this code and an explanation for people.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), fields: Vec::new(), extensions: Map::new(), retry_after: None }
    }

    /// A fault of the service. The same request would fail again.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(Code::Internal, "The service failed. Report the request id to its operator.")
    }

    /// A dependency does not answer. The same request may succeed a moment later.
    #[must_use]
    pub fn unavailable() -> Self {
        Self::new(Code::Unavailable, "The service cannot answer at the moment. Try again shortly.")
            .retry_after(Duration::from_secs(1))
    }

    /// Adds a wrong place in the JSON body, as a JSON pointer (`/message/content`).
    #[must_use]
    pub fn at(mut self, pointer: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        let location = Location::Pointer(format!("#{pointer}"));
        self.fields.push(FieldError { location, detail: detail.into() });
        self
    }

    /// Adds a wrong query or path parameter.
    #[must_use]
    pub fn at_parameter(mut self, name: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        let location = Location::Parameter(name.to_owned());
        self.fields.push(FieldError { location, detail: detail.into() });
        self
    }

    /// Adds a member beside the standard ones.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extensions.insert(name.to_owned(), value.into());
        self
    }

    /// Sets the time to wait before the next attempt.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_input_is_located_in_the_body_or_in_a_parameter() {
        let details = ErrorDetails::new(Code::ValidationFailed, "2 fields are wrong.")
            .at("/message/content", "must not be empty")
            .at_parameter("limit", "must be 1 to 100");
        let expected = serde_json::json!([
            {"pointer": "#/message/content", "detail": "must not be empty"},
            {"parameter": "limit", "detail": "must be 1 to 100"}
        ]);
        assert_eq!(serde_json::to_value(&details.fields).unwrap(), expected);
    }
}
