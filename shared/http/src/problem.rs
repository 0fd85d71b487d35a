//! Failed requests: problem details (RFC 9457) as `application/problem+json`.
//!
//! Domain errors implement [`ApiError`] and become a [`Problem`] with `?`. A handler makes a problem of its own where
//! the failure is one of HTTP or of the request:
//!
//! ```
//! # use sequent_http::Problem;
//! # use sequent_core::Code;
//! # fn load() -> Result<(), std::io::Error> { Ok(()) }
//! # fn handler() -> Result<(), Problem> {
//! load().map_err(Problem::internal)?;       // 500; the caller learns only the request id
//! load().map_err(Problem::unavailable)?;    // 503 with Retry-After
//! Err(Problem::new(Code::RunInProgress, "The project has a live run.").with("run_id", "run_..."))
//! # }
//! ```
//!
//! The catalogue of codes is [`sequent_core::Code`]. [`sequent_core::error`] explains the public and the private side
//! of an error.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use sequent_core::{ApiError, Code, ErrorDetails, ErrorKind};
use serde_json::{Map, Value};

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// The path of the catalogue that the `type` of a problem refers to.
pub const CATALOGUE: &str = "/api/errors";

type Source = Arc<dyn std::error::Error + Send + Sync>;

/// A failed request: the public details, and the private source for the log.
#[derive(Debug, Clone)]
pub struct Problem(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    status: StatusCode,
    details: ErrorDetails,
    headers: HeaderMap,
    source: Option<Source>,
}

/// Keeps the error as the private source if the service is at fault. The source of any other error is not kept,
/// because it may quote input.
impl<E: ApiError> From<E> for Problem {
    fn from(error: E) -> Self {
        let problem = Self::of(error.details());
        if problem.code().kind().is_server_fault() { problem.source(error) } else { problem }
    }
}

impl Problem {
    /// A problem with this code and an explanation for people.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of(ErrorDetails::new(code, detail))
    }

    fn of(details: ErrorDetails) -> Self {
        let status = status(details.code.kind());
        Self(Box::new(Parts { status, details, headers: HeaderMap::new(), source: None }))
    }

    /// 401: no valid credential was sent. `invalid` is `true` if one was sent (RFC 6750, section 3).
    #[must_use]
    pub fn unauthenticated(invalid: bool) -> Self {
        if invalid {
            Self::new(Code::InvalidCredential, "The credential is not valid.")
        } else {
            Self::new(Code::Unauthenticated, "Sign in, or send a bearer token or an API key.")
        }
    }

    /// 404. An object of another tenant is not found either: its existence is not revealed.
    #[must_use]
    pub fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::NotFound, detail)
    }

    /// 422: the request was understood, but its content is not allowed. Name the places with [`Problem::at`].
    #[must_use]
    pub fn invalid(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::ValidationFailed, detail)
    }

    /// 429: too many requests.
    #[must_use]
    pub fn rate_limited(retry_after: Duration) -> Self {
        Self::new(Code::RateLimited, "Too many requests. Wait before the next one.").retry_after(retry_after)
    }

    /// 500: the service is at fault, and the same request would fail again.
    #[must_use]
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::of(ErrorDetails::internal()).source(source)
    }

    /// 503: a dependency does not answer. The same request may succeed a moment later.
    #[must_use]
    pub fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::of(ErrorDetails::unavailable()).source(source)
    }

    /// A problem for a failed response that a library made without a body of ours.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let code = match status {
            StatusCode::NOT_FOUND => Code::RouteNotFound,
            StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
            StatusCode::PAYLOAD_TOO_LARGE => Code::BodyTooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Code::UnsupportedMediaType,
            StatusCode::GATEWAY_TIMEOUT => Code::Timeout,
            status if status.is_server_error() => Code::Internal,
            _ => Code::BadRequest,
        };
        let mut problem = Self::new(code, "");
        problem.0.status = status;
        problem
    }

    /// Adds a wrong place in the JSON body, as a JSON pointer (`/message/content`).
    #[must_use]
    pub fn at(self, pointer: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        self.map(|details| details.at(pointer, detail))
    }

    /// Adds a wrong query or path parameter.
    #[must_use]
    pub fn at_parameter(self, name: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        self.map(|details| details.at_parameter(name, detail))
    }

    /// Adds a member beside the standard ones, such as `run_id`.
    #[must_use]
    pub fn with(self, name: &str, value: impl Into<Value>) -> Self {
        self.map(|details| details.with(name, value))
    }

    /// Sets `Retry-After`, rounded up to whole seconds.
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        self.map(|details| details.retry_after(after))
    }

    fn map(mut self, change: impl FnOnce(ErrorDetails) -> ErrorDetails) -> Self {
        self.0.details = change(self.0.details);
        self
    }

    /// Adds a response header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Attaches the private source. It is logged, never sent.
    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// Returns the HTTP status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Returns the stable code of the problem.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.details.code
    }

    /// The explanation for people.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        Some(&*self.0.details.detail).filter(|detail| !detail.is_empty())
    }

    /// Returns the private source of the problem.
    #[must_use]
    pub fn cause(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        self.0.source.as_deref()
    }

    /// The response, with the request id as `instance` once it is known.
    pub(crate) fn render(&self, instance: Option<&str>) -> Response {
        let body = Value::Object(self.body(instance)).to_string();
        let mut response = (self.0.status, body).into_response();
        let headers = response.headers_mut();
        headers.extend(self.0.headers.clone());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(after) = self.0.details.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(after)));
        }
        if let Some(challenge) = challenge(self.code()) {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }

    /// The problem as JSON, for a frame of a stream. The request id is in the headers of the stream.
    #[must_use]
    pub fn to_json(&self) -> Value {
        Value::Object(self.body(None))
    }

    fn body(&self, instance: Option<&str>) -> Map<String, Value> {
        let code = self.code().as_str();
        let mut body = Map::new();
        body.insert("type".into(), format!("{CATALOGUE}#{code}").into());
        body.insert("title".into(), self.0.status.canonical_reason().unwrap_or("Error").into());
        body.insert("status".into(), self.0.status.as_u16().into());
        body.insert("code".into(), code.into());
        if let Some(detail) = self.detail() {
            body.insert("detail".into(), detail.into());
        }
        if let Some(instance) = instance {
            body.insert("instance".into(), instance.into());
        }
        let fields = &self.0.details.fields;
        if !fields.is_empty() {
            body.insert("errors".into(), serde_json::to_value(fields).unwrap_or_default());
        }
        for (name, value) in &self.0.details.extensions {
            body.entry(name.clone()).or_insert_with(|| value.clone()); // the standard members win
        }
        body
    }
}

/// The HTTP status of a class of errors.
pub(crate) const fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::BadRequest => StatusCode::BAD_REQUEST,
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::PaymentRequired => StatusCode::PAYMENT_REQUIRED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Gone => StatusCode::GONE,
        ErrorKind::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// The challenge of `WWW-Authenticate` (RFC 6750, section 3). A failed sign-in has none: it is no bearer token that
/// was missing.
fn challenge(code: Code) -> Option<&'static str> {
    match code {
        Code::Unauthenticated => Some("Bearer realm=\"sequent\""),
        Code::InvalidCredential => Some("Bearer realm=\"sequent\", error=\"invalid_token\""),
        _ => None,
    }
}

/// Rounds up, and to at least one second.
fn whole_seconds(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}

impl IntoResponse for Problem {
    /// Carries the problem as an extension: the boundary of the request logs its source and adds the request id.
    fn into_response(self) -> Response {
        let mut response = self.render(None);
        response.extensions_mut().insert(self);
        response
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.status.as_u16(), self.code())?;
        self.detail().map_or(Ok(()), |detail| write!(f, ": {detail}"))
    }
}

impl std::error::Error for Problem {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn json(response: Response) -> Value {
        serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
    }

    #[tokio::test]
    async fn the_response_shows_everything_but_the_source() {
        let problem = Problem::new(Code::RunInProgress, "The project has a live run.")
            .with("run_id", "run_1")
            .with("status", 200)
            .retry_after(Duration::from_millis(1500))
            .source("the database reported something private");
        let response = problem.render(Some("req_1"));
        assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        let expected = serde_json::json!({
            "type": "/api/errors#run_in_progress", "title": "Conflict", "status": 409,
            "code": "run_in_progress", "detail": "The project has a live run.", "instance": "req_1", "run_id": "run_1",
        });
        assert_eq!(json(response).await, expected);
    }

    #[test]
    fn a_missing_and_an_invalid_credential_are_challenged_differently() {
        let challenge = |problem: Problem| problem.render(None).headers()[header::WWW_AUTHENTICATE].clone();
        assert_eq!(challenge(Problem::unauthenticated(false)), "Bearer realm=\"sequent\"");
        let invalid = challenge(Problem::unauthenticated(true));
        assert_eq!(invalid, "Bearer realm=\"sequent\", error=\"invalid_token\"");
        let wrong = Problem::new(Code::WrongCredentials, "").render(None);
        assert!(!wrong.headers().contains_key(header::WWW_AUTHENTICATE));
    }

    #[derive(Debug, thiserror::Error)]
    #[error("private text")]
    struct Failure(Code);

    impl ApiError for Failure {
        fn details(&self) -> ErrorDetails {
            ErrorDetails::new(self.0, "public text")
        }
    }

    #[test]
    fn an_error_is_kept_as_the_source_only_if_the_service_is_at_fault() {
        let fault = Problem::from(Failure(Code::Internal));
        assert_eq!(fault.cause().unwrap().to_string(), "private text");
        assert!(!fault.to_string().contains("private text"));
        assert!(Problem::from(Failure(Code::NotFound)).cause().is_none());
    }
}
