//! What a caller is told when a request fails: problem details (RFC 9457) as `application/problem+json`.
//!
//! A problem has two sides that never mix. The *outside* is what the caller reads: status, a stable `code` that
//! programs can match on, a title, a detail written for people, and machine-readable additions such as the id of the
//! run that stands in the way. The *inside* is the source, an error for the operator: it is logged once, at the
//! boundary of the request, and never sent. So a handler writes
//!
//! ```
//! # use sequent_http::Problem;
//! # fn load() -> Result<(), std::io::Error> { Ok(()) }
//! # fn handler() -> Result<(), Problem> {
//! load().map_err(Problem::internal)?;                      // 500; the caller learns only the request id
//! load().map_err(|error| Problem::unavailable(error))?;    // 503 with Retry-After
//! Err(Problem::conflict("run_in_progress", "The project has a live run.").with("run_id", "run_..."))
//! # }
//! ```
//!
//! Choose the code as you would choose a public function's name: it is forever. Put nothing into a detail that the
//! caller did not send or may not know. An error that the caller cannot cause is `internal`: do not invent a code
//! for it, give it a source.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

type Source = Arc<dyn std::error::Error + Send + Sync>;

/// A failed request, told to the caller and to the operator. See the module for how to use it.
#[derive(Debug, Clone)]
pub struct Problem(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: Option<Cow<'static, str>>,
    errors: Vec<FieldError>,
    extensions: Map<String, Value>,
    headers: HeaderMap,
    source: Option<Source>,
}

/// One thing that is wrong with the input, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    #[serde(flatten)]
    place: Place,
    detail: Cow<'static, str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    /// JSON pointer into the body, as a URI fragment (RFC 6901, section 6).
    Pointer(String),
    /// Name of a query or path parameter.
    Parameter(String),
}

impl Problem {
    /// A problem of any status. Prefer the constructors below.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Parts {
            status,
            code: code.into(),
            detail: Some(detail.into()),
            errors: Vec::new(),
            extensions: Map::new(),
            headers: HeaderMap::new(),
            source: None,
        }))
    }

    /// 400: the request cannot be understood.
    #[must_use]
    pub fn bad_request(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 401: there is no valid credential. `invalid` tells whether there was one at all (RFC 6750, section 3).
    #[must_use]
    pub fn unauthenticated(invalid: bool) -> Self {
        let (code, detail, challenge) = if invalid {
            (
                "invalid_credential",
                "The credential is not valid.",
                "Bearer realm=\"sequent\", error=\"invalid_token\"",
            )
        } else {
            ("unauthenticated", "Sign in, or send a bearer token or an API key.", "Bearer realm=\"sequent\"")
        };
        Self::new(StatusCode::UNAUTHORIZED, code, detail)
            .header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    /// 403: the caller is known and may not do this.
    #[must_use]
    pub fn forbidden(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, detail)
    }

    /// 404. What belongs to another tenant is not found either: existence is not told.
    #[must_use]
    pub fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// 409: the state of the resource is in the way.
    #[must_use]
    pub fn conflict(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 422: understood, but the content is not acceptable. Say where with [`Problem::at`].
    #[must_use]
    pub fn invalid(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed", detail)
    }

    /// 429: too many requests.
    #[must_use]
    pub fn rate_limited(retry_after: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "Too many requests; slow down.")
            .retry_after(retry_after)
    }

    /// 500: our fault, and the same request would fail again.
    #[must_use]
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let detail = "Something went wrong on our side. The request id helps us to find out what.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail).source(source)
    }

    /// 503: a dependency does not answer; the same request may succeed a moment later.
    #[must_use]
    pub fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let detail = "The service cannot answer at the moment. Try again shortly.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
            .retry_after(Duration::from_secs(1))
            .source(source)
    }

    /// For answers that became errors without anybody making a problem of them.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let code = match status {
            StatusCode::NOT_FOUND => "route_not_found",
            StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
            StatusCode::PAYLOAD_TOO_LARGE => "body_too_large",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
            StatusCode::GATEWAY_TIMEOUT => "timeout",
            status if status.is_server_error() => "internal",
            _ => "bad_request",
        };
        let mut problem = Self::new(status, code, "");
        problem.0.detail = None;
        problem
    }

    /// Names a place in the JSON body that is wrong, as a JSON pointer (`/message/content`).
    #[must_use]
    pub fn at(mut self, pointer: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        let place = Place::Pointer(format!("#{pointer}"));
        self.0.errors.push(FieldError { place, detail: detail.into() });
        self
    }

    /// Names a query or path parameter that is wrong.
    #[must_use]
    pub fn at_parameter(mut self, name: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        let place = Place::Parameter(name.to_owned());
        self.0.errors.push(FieldError { place, detail: detail.into() });
        self
    }

    /// Adds a member of our own, such as `run_id`.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.extensions.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a response header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Says when to try again, rounded up to whole seconds.
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// Attaches the private cause. It is logged, never sent.
    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// The detail for people.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// The private cause.
    #[must_use]
    pub fn cause(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        self.0.source.as_deref()
    }

    /// The response, with the request id as `instance` once it is known.
    pub(crate) fn render(&self, instance: Option<&str>) -> Response {
        let parts = &self.0;
        let mut body = Map::new();
        body.insert("type".into(), format!("urn:sequent:problem:{}", parts.code).into());
        body.insert("title".into(), parts.status.canonical_reason().unwrap_or("Error").into());
        body.insert("status".into(), parts.status.as_u16().into());
        body.insert("code".into(), parts.code.as_ref().into());
        if let Some(detail) = &parts.detail {
            body.insert("detail".into(), detail.as_ref().into());
        }
        if let Some(instance) = instance {
            body.insert("instance".into(), instance.into());
        }
        if let (false, Ok(errors)) = (parts.errors.is_empty(), serde_json::to_value(&parts.errors)) {
            body.insert("errors".into(), errors);
        }
        for (name, value) in &parts.extensions {
            body.entry(name.clone()).or_insert_with(|| value.clone()); // the standard members win
        }
        let mut response = (parts.status, Value::Object(body).to_string()).into_response();
        response.headers_mut().extend(parts.headers.clone());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        response
    }
}

impl IntoResponse for Problem {
    /// Carries the problem along as an extension: the boundary logs its source and adds the request id.
    fn into_response(self) -> Response {
        let mut response = self.render(None);
        response.extensions_mut().insert(self);
        response
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.status.as_u16(), self.0.code)?;
        self.0.detail.as_ref().map_or(Ok(()), |detail| write!(f, ": {detail}"))
    }
}

impl std::error::Error for Problem {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as &(dyn std::error::Error + 'static))
    }
}

impl From<sequent_tables::Error> for Problem {
    fn from(error: sequent_tables::Error) -> Self {
        if error.is_transient() { Self::unavailable(error) } else { Self::internal(error) }
    }
}

impl From<sequent_tables::Cancelled> for Problem {
    fn from(cancelled: sequent_tables::Cancelled) -> Self {
        if cancelled.is_transient() { Self::unavailable(cancelled) } else { Self::internal(cancelled) }
    }
}

impl From<sequent_tables::InvalidCursor> for Problem {
    fn from(_: sequent_tables::InvalidCursor) -> Self {
        Self::bad_request("invalid_cursor", "The cursor is not one this list gave out.")
            .at_parameter("cursor", "not valid for this list")
    }
}

impl From<sequent_aws::secret::Error> for Problem {
    fn from(error: sequent_aws::secret::Error) -> Self {
        Self::unavailable(error)
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
    async fn the_outside_shows_everything_but_the_source() {
        let problem = Problem::conflict("run_in_progress", "The project has a live run.")
            .with("run_id", "run_1")
            .with("status", 200)
            .retry_after(Duration::from_millis(1500))
            .source("the database said something private");
        let response = problem.render(Some("req_1"));
        assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        let expected = serde_json::json!({
            "type": "urn:sequent:problem:run_in_progress", "title": "Conflict", "status": 409,
            "code": "run_in_progress", "detail": "The project has a live run.", "instance": "req_1", "run_id": "run_1",
        });
        assert_eq!(json(response).await, expected);
    }

    #[tokio::test]
    async fn places_are_named_for_the_body_and_for_parameters() {
        let problem = Problem::invalid("2 fields are wrong.")
            .at("/message/content", "empty")
            .at_parameter("limit", "0");
        let errors = json(problem.render(None)).await["errors"].clone();
        let expected = serde_json::json!([
            {"pointer": "#/message/content", "detail": "empty"}, {"parameter": "limit", "detail": "0"}
        ]);
        assert_eq!(errors, expected);
    }

    #[test]
    fn a_source_stays_reachable_for_the_log() {
        let problem = Problem::internal("the cause");
        assert_eq!(problem.cause().unwrap().to_string(), "the cause");
        assert!(!problem.to_string().contains("the cause"));
    }
}
