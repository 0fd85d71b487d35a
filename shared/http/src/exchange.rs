//! What is known about the request being answered, reachable from every layer and handler.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::extract::FromRequestParts;
use http::{HeaderMap, HeaderName, HeaderValue, request};
use lambda_http::{Context, request::RequestContext};
use sequent_core::{RequestId, Timestamp};

use crate::{Principal, Problem};

/// The header that carries the request id in and out.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Time the function keeps for itself at the end of an invocation: to write a log line and send a notification.
const MARGIN: Duration = Duration::from_millis(500);

/// Facts about one request and its answer. Cheap to clone; also an extractor.
#[derive(Debug, Clone)]
pub struct Exchange(Arc<Facts>);

#[derive(Debug)]
struct Facts {
    request_id: Box<str>,
    invocation_id: Option<Box<str>>,
    trace_id: Option<Box<str>>,
    client: Option<Box<str>>,
    deadline: Option<Timestamp>,
    principal: OnceLock<Principal>,
}

impl Exchange {
    /// Reads the facts off a request as `lambda_http` hands it over.
    pub(crate) fn of(headers: &HeaderMap, extensions: &http::Extensions, behind_cdn: bool) -> Self {
        let context = extensions.get::<Context>();
        let trace = context.and_then(|context| context.xray_trace_id.clone());
        Self(Arc::new(Facts {
            request_id: request_id(headers),
            invocation_id: context.map(|context| context.request_id.as_str().into()),
            trace_id: trace.map(Into::into),
            client: client(headers, extensions, behind_cdn),
            deadline: context
                .and_then(|context| i64::try_from(context.deadline).ok())
                .filter(|&deadline| deadline > 0)
                .map(|deadline| Timestamp::from_millis(deadline) - MARGIN),
            principal: OnceLock::new(),
        }))
    }

    /// The caller's `x-request-id`, or one of ours. The `instance` of problems.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.0.request_id
    }

    /// Lambda's id of the invocation.
    #[must_use]
    pub fn invocation_id(&self) -> Option<&str> {
        self.0.invocation_id.as_deref()
    }

    /// The X-Ray trace.
    #[must_use]
    pub fn trace_id(&self) -> Option<&str> {
        self.0.trace_id.as_deref()
    }

    /// The caller's network address, for throttling what is anonymous. Never logged.
    #[must_use]
    pub fn client(&self) -> Option<&str> {
        self.0.client.as_deref()
    }

    /// When work must have stopped, a little before Lambda stops it.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.0.deadline
    }

    /// Who is calling, once a credential was verified.
    #[must_use]
    pub fn principal(&self) -> Option<&Principal> {
        self.0.principal.get()
    }

    pub(crate) fn set_principal(&self, principal: Principal) {
        let _ = self.0.principal.set(principal); // a second verification yields the same caller
    }

    pub(crate) fn request_id_header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0.request_id).unwrap_or(HeaderValue::from_static("invalid"))
    }
}

impl<S: Sync> FromRequestParts<S> for Exchange {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, Problem> {
        let found = parts.extensions.get::<Self>().cloned();
        found.ok_or_else(|| Problem::internal("the router is not wrapped in the HTTP pipeline"))
    }
}

/// A caller's id is used if it is one to 64 characters that are safe in logs and URLs.
fn request_id(headers: &HeaderMap) -> Box<str> {
    let valid = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
    };
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(valid);
    given.map_or_else(|| RequestId::new().to_string().into(), Into::into)
}

/// Behind the CDN, the gateway sees the CDN's address and the CDN says whose it is; the header means something only
/// once the secret origin header was checked. `CloudFront-Viewer-Address` is `address:port`, also for IPv6.
fn client(headers: &HeaderMap, extensions: &http::Extensions, behind_cdn: bool) -> Option<Box<str>> {
    let viewer = headers.get("cloudfront-viewer-address").filter(|_| behind_cdn);
    if let Some((address, _)) =
        viewer.and_then(|value| value.to_str().ok()).and_then(|text| text.rsplit_once(':'))
    {
        return Some(address.into());
    }
    match extensions.get::<RequestContext>() {
        Some(RequestContext::ApiGatewayV2(context)) => context.http.source_ip.as_deref().map(Into::into),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exchange(id: &[u8]) -> Exchange {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(id) {
            headers.insert(REQUEST_ID, value);
        }
        Exchange::of(&headers, &http::Extensions::new(), false)
    }

    #[test]
    fn a_callers_id_is_kept_and_a_missing_one_made() {
        assert_eq!(exchange(b"abc-1.2:3_x").request_id(), "abc-1.2:3_x");
        assert!(exchange(b"").request_id().parse::<RequestId>().is_ok());
    }

    #[test]
    fn the_cdns_word_counts_only_behind_the_cdn() {
        let mut headers = HeaderMap::new();
        headers.insert("cloudfront-viewer-address", HeaderValue::from_static("2001:db8::1:443"));
        let at =
            |behind| Exchange::of(&headers, &http::Extensions::new(), behind).client().map(str::to_owned);
        assert_eq!(at(true).as_deref(), Some("2001:db8::1"));
        assert_eq!(at(false), None);
    }

    proptest! {
        #[test]
        fn whatever_the_caller_sends_the_id_is_safe_to_log(id: Vec<u8>) {
            let exchange = exchange(&id);
            let id = exchange.request_id();
            prop_assert!(!id.is_empty() && id.len() <= 64 && !id.contains(['\n', '"', ' ']));
            prop_assert_ne!(exchange.request_id_header(), "invalid");
        }
    }
}
