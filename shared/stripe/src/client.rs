//! Requests to Stripe: form-encoded, with one pinned API version, tried again where that is safe.

mod web;

use std::{fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::List;
pub use web::{InvalidBase, Web};

/// The API version in which we ask and are answered, whatever the account's own is. Raise it with the shapes of the
/// objects we read (<https://docs.stripe.com/api/versioning>).
pub const VERSION: &str = "2026-07-29.dahlia";

/// How often a request is sent at most.
const TRIES: u32 = 4;
/// The pause after the first failure; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Most pages that a list is followed for.
const PAGES: usize = 50;

/// How a request is sent. Foreign: over the network in earnest, into a server of our own making in tests.
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends it once.
    fn send<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Answer, Unsent>>;
}

/// There is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsent {
    /// Nothing is known of what became of the request.
    Lost(String),
    /// It was not sent, for there is no key to send with.
    NoKey(String),
}

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// It asks.
    Get,
    /// It changes.
    Post,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What it does.
    pub method: Method,
    /// Its path, beginning with `/v1/`.
    pub path: String,
    /// Its parameters, in the query of a question and the body of a change.
    pub form: Vec<(String, String)>,
    /// What makes it the same request when it is sent again. Every change has one.
    pub idempotency_key: Option<String>,
}

/// An answer, whatever its status.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; null if it is no JSON.
    pub body: Value,
    /// The header `Stripe-Should-Retry`.
    pub should_retry: Option<bool>,
    /// The header `Request-Id`, for Stripe's support.
    pub request_id: Option<String>,
}

/// A request came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Stripe cannot be reached, or is not well; later it may be.
    #[error("Stripe is not available: {0}")]
    Unavailable(String),
    /// This deployment has no key for Stripe.
    #[error("there is no key for Stripe: {0}")]
    NotConfigured(String),
    /// Stripe says no.
    #[error("Stripe refused with {status} {code}: {message} (request {request_id})")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Stripe's own code, such as `resource_missing`.
        code: String,
        /// What Stripe says to developers.
        message: String,
        /// For Stripe's support.
        request_id: String,
    },
    /// The answer is not of the form that this version of the API has.
    #[error("Stripe's answer to {path} is not as expected: {why}")]
    Unreadable {
        /// What was asked.
        path: String,
        /// What is wrong with it. Says nothing of the values.
        why: String,
    },
}

/// Asks Stripe. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client(Arc<dyn Transport>);

impl Request {
    /// A question.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::Get, path: path.into(), form: Vec::new(), idempotency_key: None }
    }

    /// A change, which `key` makes the same when it is sent again.
    #[must_use]
    pub fn post(path: impl Into<String>, key: impl Into<String>) -> Self {
        Self { method: Method::Post, path: path.into(), form: Vec::new(), idempotency_key: Some(key.into()) }
    }

    /// With a parameter.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.form.push((name.into(), value.to_string()));
        self
    }
}

impl Error {
    /// Whether the object does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
            || matches!(self, Self::Refused { code, .. } if code == "resource_missing")
    }
}

impl Client {
    /// A client that sends through `transport`.
    #[must_use]
    pub fn new(transport: impl Transport + 'static) -> Self {
        Self(Arc::new(transport))
    }

    /// Sends the request until there is an answer that counts.
    pub(crate) async fn send<T: DeserializeOwned>(&self, request: Request) -> Result<T, Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            let (again, error) = match self.0.send(&request).await {
                Ok(answer) if (200..300).contains(&answer.status) => {
                    return serde_path_to_error::deserialize(answer.body).map_err(|error| {
                        // The parser's own words may quote what it read.
                        Error::Unreadable { path: request.path, why: format!("at `{}`", error.path()) }
                    });
                }
                Ok(answer) => (answer.should_be_retried(), answer.into_error()),
                // Changes are safe to send again: they carry a key.
                Err(Unsent::Lost(why)) => (true, Error::Unavailable(why)),
                Err(Unsent::NoKey(why)) => (false, Error::NotConfigured(why)),
            };
            if !again || tries >= TRIES {
                return Err(error);
            }
            tracing::info!(path = request.path, %error, tries, "Stripe is asked again");
            let pause = FIRST_PAUSE.saturating_mul(1 << (tries - 1));
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        }
    }

    /// As [`send`](Self::send); `None` if there is no such object.
    pub(crate) async fn find<T: DeserializeOwned>(&self, request: Request) -> Result<Option<T>, Error> {
        match self.send(request).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All pages of a list.
    pub(crate) async fn all<T: DeserializeOwned>(
        &self,
        request: Request,
        id: impl Fn(&T) -> &str,
    ) -> Result<Vec<T>, Error> {
        let request = request.with("limit", 100);
        let (mut all, mut next) = (Vec::new(), request.clone());
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
    /// As Stripe asks for it; else what Stripe's libraries do.
    fn should_be_retried(&self) -> bool {
        self.should_retry.unwrap_or(matches!(self.status, 409 | 429 | 500..))
    }

    fn into_error(self) -> Error {
        let text = |name: &str| self.body["error"][name].as_str().map(str::to_owned);
        let message: String = text("message").unwrap_or_default().chars().take(500).collect();
        match self.status {
            429 | 500.. => Error::Unavailable(format!("it answers {} {message}", self.status)),
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
