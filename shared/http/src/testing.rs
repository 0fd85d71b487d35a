//! Calls of a function in a test, with the events that Lambda sends.

pub mod deployment;
pub mod document;
pub mod golden;

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use lambda_http::{Context, Request, RequestExt as _, request::LambdaRequest};
use sequent_core::Timestamp;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::{App, event_path};

/// A request as an event of an HTTP API (payload 2.0) or a function URL.
#[derive(Debug, Clone)]
pub struct Event(Value);

impl Event {
    /// A request without a body.
    ///
    /// # Panics
    /// Never for a literal path.
    #[must_use]
    pub fn new(method: &str, path_and_query: &str) -> Self {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        Self(json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": query,
            "headers": {"host": "localhost:8080", "x-forwarded-proto": "http"},
            "requestContext": {
                "accountId": "123456789012", "apiId": "api", "domainName": "localhost", "domainPrefix": "localhost",
                "requestId": "event-1", "routeKey": "$default", "stage": "$default",
                "time": "01/Jan/2026:00:00:00 +0000", "timeEpoch": 1_767_225_600_000_i64,
                "http": {
                    "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7",
                    "userAgent": "test"
                },
            },
            "isBase64Encoded": false,
        }))
    }

    /// Returns the golden event of a function.
    ///
    /// # Panics
    /// If the event is missing or not JSON.
    #[must_use]
    pub fn golden(function: &str, case: &str) -> Self {
        Self::from_text(&sequent_core::golden::text(function, case))
    }

    /// Parses an event.
    ///
    /// # Panics
    /// If the text is not JSON.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}")))
    }

    /// Returns the method of the event.
    #[must_use]
    pub fn method(&self) -> &str {
        self.0["requestContext"]["http"]["method"].as_str().unwrap_or_default()
    }

    /// The path, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.0["rawPath"].as_str().unwrap_or_default()
    }

    /// Sets a header of the event.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.0["headers"][name.to_ascii_lowercase()] = value.into();
        self
    }

    /// Sets the domain name that the request was sent to. It tells an HTTP API from a function URL.
    #[must_use]
    pub fn domain(mut self, name: &str) -> Self {
        self.0["requestContext"]["domainName"] = name.into();
        self
    }

    /// Sets a cookie, in the field in which Lambda sends cookies.
    #[must_use]
    pub fn cookie(mut self, name: &str, value: &str) -> Self {
        let cookie = Value::from(format!("{name}={value}"));
        match self.0.get_mut("cookies").and_then(Value::as_array_mut) {
            Some(cookies) => cookies.push(cookie),
            None => self.0["cookies"] = json!([cookie]),
        }
        self
    }

    /// Sets a bearer token or an API key.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(&body.to_string())
    }

    /// Sets the text of the body.
    #[must_use]
    pub fn body(mut self, body: &str) -> Self {
        self.0["body"] = body.into();
        self
    }

    /// Sends the event to the app. It is decoded as in production.
    ///
    /// # Panics
    /// If this is no HTTP event.
    pub async fn send(&self, app: &App) -> Answer {
        let response = self.open(app).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("the body does not fail").to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Sends the event and returns the response with its open body, for streams.
    ///
    /// # Panics
    /// If this is no HTTP event.
    pub async fn open(&self, app: &App) -> Response {
        respond(app, self.request()).await
    }

    /// As [`open`](Self::open), in an invocation that Lambda ends at this time.
    ///
    /// # Panics
    /// If this is no HTTP event.
    pub async fn open_until(&self, app: &App, end: Timestamp) -> Response {
        let mut invocation = Context::default();
        invocation.deadline = u64::try_from(end.millis()).unwrap_or_default();
        respond(app, self.request().with_lambda_context(invocation)).await
    }

    fn request(&self) -> Request {
        let event: LambdaRequest = serde_json::from_str(&self.0.to_string()).expect("an HTTP API event");
        event_path::encode_request(event).into()
    }
}

async fn respond(app: &App, request: Request) -> Response {
    match app.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// A response with its whole body.
#[expect(missing_docs, reason = "plain data")]
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// If it is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of a header. Empty if the header is missing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The code of the problem. Empty if this is no problem.
    #[must_use]
    pub fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }
}
