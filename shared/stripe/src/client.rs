//! Requests to Stripe: form-encoded, with one pinned API version, retried where that is safe.

mod web;

use std::{fmt, sync::Arc, time::Duration};

use backon::{ExponentialBuilder, Retryable};
use futures::future::BoxFuture;
use sequent_core::pace::scaled;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::List;
pub use web::{InvalidBase, Web};

/// The API version of every request and response, independent of the account's default. Raise it together with the shapes
/// of the objects that we read (<https://docs.stripe.com/api/versioning>).
pub const VERSION: &str = "2026-07-29.dahlia";

/// Most attempts of a request.
const TRIES: usize = 4;
/// Longest pause after the first failure. It doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Most pages that a list is followed for.
const PAGES: usize = 50;

/// Sends requests: over the network, or to the test server in this process.
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends the request once, without a retry.
    fn send<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Answer, Unsent>>;
}

/// A request without a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsent {
    /// Stripe may or may not have processed the request.
    Lost(String),
    /// The request was not sent because no key is available.
    NoKey(String),
}

/// HTTP method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads an object or a list.
    Get,
    /// Changes an object at Stripe.
    Post,
}

/// A request to Stripe's API.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub struct Request {
    pub method: Method,
    /// Path that begins with `/v1/`.
    pub path: String,
    /// Parameters: the query of a GET, the body of a POST.
    pub form: Vec<(String, String)>,
    /// Makes a repeated request the same request. Every change has one.
    pub idempotency_key: Option<String>,
}

/// A response of any status.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body, or null if it is not JSON.
    pub body: Value,
    /// Value of the header `Stripe-Should-Retry`.
    pub should_retry: Option<bool>,
    /// Value of the header `Request-Id`, which Stripe's support asks for.
    pub request_id: Option<String>,
}

/// Failure of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Stripe cannot be reached or reports a fault of its own. A later request may succeed.
    #[error("Stripe is unavailable: {0}")]
    Unavailable(String),
    /// The deployment has no API key for Stripe.
    #[error("no API key for Stripe is configured: {0}")]
    NotConfigured(String),
    /// Stripe refused the request.
    #[error("Stripe refused with {status} {code}: {message} (request {request_id})")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Stripe's own code, such as `resource_missing`.
        code: String,
        /// Stripe's message for developers.
        message: String,
        /// The request id that Stripe's support asks for.
        request_id: String,
    },
    /// The response does not have the form of the pinned API version.
    #[error("Stripe's response to {path} is malformed: {why}")]
    Unreadable {
        /// Path of the request.
        path: String,
        /// The malformed place. It contains no values of the response.
        why: String,
    },
}

/// A client of Stripe's API. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client(Arc<dyn Transport>);

impl Request {
    /// Returns a read of `path`.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::Get, path: path.into(), form: Vec::new(), idempotency_key: None }
    }

    /// Returns a change. Requests with the same `key` are the same change.
    #[must_use]
    pub fn post(path: impl Into<String>, key: impl Into<String>) -> Self {
        Self { method: Method::Post, path: path.into(), form: Vec::new(), idempotency_key: Some(key.into()) }
    }

    /// Adds a parameter to the request.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.form.push((name.into(), value.to_string()));
        self
    }
}

impl Error {
    /// Returns `true` if the object does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
            || matches!(self, Self::Refused { code, .. } if code == "resource_missing")
    }
}

/// A failed attempt at a request.
struct FailedAttempt {
    error: Error,
    /// Another attempt may succeed.
    is_transient: bool,
}

/// The pauses between attempts, each at random between half of its length and all.
fn backoff() -> ExponentialBuilder {
    ExponentialBuilder::new().with_min_delay(scaled(FIRST_PAUSE) / 2).with_max_times(TRIES - 1).with_jitter()
}

impl Client {
    /// Returns a client that sends through `transport`.
    #[must_use]
    pub fn new(transport: impl Transport + 'static) -> Self {
        Self(Arc::new(transport))
    }

    /// Sends the request, with retries, until a response is final.
    pub(crate) async fn send<T: DeserializeOwned>(&self, request: Request) -> Result<T, Error> {
        let attempt = || self.send_once(&request);
        let sent = attempt
            .retry(backoff())
            .when(|failed| failed.is_transient)
            .notify(|failed, _| {
                let error = &failed.error;
                tracing::info!(path = request.path, %error, "the request to Stripe failed; retrying it");
            })
            .await;
        let body = sent.map_err(|failed| failed.error)?;
        serde_path_to_error::deserialize(body).map_err(|error| {
            // The parser's message may quote the values.
            Error::Unreadable { path: request.path.clone(), why: format!("at `{}`", error.path()) }
        })
    }

    async fn send_once(&self, request: &Request) -> Result<Value, FailedAttempt> {
        match self.0.send(request).await {
            Ok(answer) if (200..300).contains(&answer.status) => Ok(answer.body),
            Ok(answer) => {
                Err(FailedAttempt { is_transient: answer.should_be_retried(), error: answer.into_error() })
            }
            // A change may be sent again because it carries an idempotency key.
            Err(Unsent::Lost(why)) => {
                Err(FailedAttempt { is_transient: true, error: Error::Unavailable(why) })
            }
            Err(Unsent::NoKey(why)) => {
                tracing::error!(why, "could not read the API key for Stripe; nothing can be sold");
                Err(FailedAttempt { is_transient: false, error: Error::NotConfigured(why) })
            }
        }
    }

    /// Like [`send`](Self::send). Returns `None` if the object does not exist.
    pub(crate) async fn find<T: DeserializeOwned>(&self, request: Request) -> Result<Option<T>, Error> {
        match self.send(request).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Fetches all pages of a list.
    pub(crate) async fn all<T: DeserializeOwned>(
        &self,
        request: Request,
        id: impl Fn(&T) -> &str,
    ) -> Result<Vec<T>, Error> {
        let request = request.with("limit", 100);
        let mut all = Vec::new();
        let mut next = request.clone();
        for _ in 0..PAGES {
            let page: List<T> = self.send(next).await?;
            all.extend(page.data);
            match all.last() {
                Some(last) if page.has_more => next = request.clone().with("starting_after", id(last)),
                _ => return Ok(all),
            }
        }
        Err(Error::Unreadable { path: request.path, why: format!("the list has more than {PAGES} pages") })
    }
}

impl Answer {
    /// Follows Stripe's header, or else the rule of Stripe's own libraries.
    fn should_be_retried(&self) -> bool {
        self.should_retry.unwrap_or(matches!(self.status, 409 | 429 | 500..))
    }

    fn into_error(self) -> Error {
        let text = |name: &str| self.body["error"][name].as_str().map(str::to_owned);
        let message: String = text("message").unwrap_or_default().chars().take(500).collect();
        match self.status {
            429 | 500.. => Error::Unavailable(format!("status {}: {message}", self.status)),
            status => Error::Refused {
                status,
                code: text("code").or_else(|| text("type")).unwrap_or_default(),
                message,
                request_id: self.request_id.unwrap_or_default(),
            },
        }
    }
}

#[cfg(test)]
mod tests;
