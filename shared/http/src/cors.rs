//! The requests that pages of other origins may send, and the response headers that they may read.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::Config;

/// The headers that pages of other origins may send.
const REQUEST_HEADERS: [HeaderName; 9] = [
    header::ACCEPT,
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-csrf-token"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("x-workflow-stream-tail-index"),
];

/// The headers that pages of other origins may read.
const RESPONSE_HEADERS: [HeaderName; 11] = [
    header::CONTENT_LOCATION,
    header::LOCATION,
    header::RETRY_AFTER,
    HeaderName::from_static("x-run-id"),
    HeaderName::from_static("x-project-id"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-vercel-ai-ui-message-stream"),
    HeaderName::from_static("x-workflow-run-id"),
    HeaderName::from_static("x-workflow-stream-tail-index"),
    HeaderName::from_static("idempotency-replayed"),
    HeaderName::from_static("ratelimit"),
];

const METHODS: [Method; 6] =
    [Method::GET, Method::HEAD, Method::POST, Method::PATCH, Method::PUT, Method::DELETE];

/// Allows any origin on the one-machine stack, and the configured ones everywhere else.
pub(crate) fn layer(config: &Config) -> CorsLayer {
    let layer = CorsLayer::new()
        .allow_credentials(true)
        .allow_methods(METHODS)
        .expose_headers(RESPONSE_HEADERS)
        .max_age(Duration::from_secs(600));
    if config.any_origin() {
        return layer
            .allow_origin(AllowOrigin::mirror_request())
            .allow_headers(AllowHeaders::mirror_request());
    }
    let listed = config.public_origin.iter().chain(&config.allowed_origins);
    let origins: Vec<HeaderValue> = listed.filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
    layer.allow_origin(AllowOrigin::list(origins)).allow_headers(REQUEST_HEADERS)
}
