//! The facts about a request, which every layer and handler can read.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::extract::FromRequestParts;
use http::{HeaderMap, HeaderName, HeaderValue, request};
use lambda_http::{Context, request::RequestContext as Gateway};
use sequent_core::{RequestId, Timestamp};

use crate::{Principal, Problem, credential_watch::CredentialWatch, origin};

/// The header with the request id, of requests and responses.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The time before the end of an invocation that is reserved for the log line and a notification.
const MARGIN: Duration = Duration::from_millis(500);

/// The facts about one request. It is cheap to clone, and an extractor.
#[derive(Debug, Clone)]
pub struct RequestContext(Arc<Facts>);

#[derive(Debug)]
struct Facts {
    request_id: Box<str>,
    client_request_id: Option<Box<str>>,
    invocation_id: Option<Box<str>>,
    trace_id: Option<Box<str>>,
    client: Option<Box<str>>,
    public_origin: Option<String>,
    deadline: Option<Timestamp>,
    caller: OnceLock<Principal>,
    credential: OnceLock<CredentialWatch>,
}

impl RequestContext {
    /// Reads the facts from a request of `lambda_http`. `public_url` is the configured origin of the deployment.
    pub(crate) fn of(
        headers: &HeaderMap,
        extensions: &http::Extensions,
        through_cdn: bool,
        public_url: Option<&str>,
    ) -> Self {
        let invocation = extensions.get::<Context>();
        let trace = invocation.and_then(|invocation| invocation.xray_trace_id.clone());
        Self(Arc::new(Facts {
            request_id: RequestId::new().to_string().into(),
            client_request_id: client_request_id(headers),
            invocation_id: invocation.map(|invocation| invocation.request_id.as_str().into()),
            trace_id: trace.map(Into::into),
            client: client(headers, extensions, through_cdn),
            public_origin: match public_url {
                Some(configured) => Some(configured.to_owned()),
                None => origin::opened(headers).filter(|_| through_cdn),
            },
            deadline: invocation
                .and_then(|invocation| i64::try_from(invocation.deadline).ok())
                .filter(|&deadline| deadline > 0)
                .map(|deadline| Timestamp::from_millis(deadline) - MARGIN),
            caller: OnceLock::new(),
            credential: OnceLock::new(),
        }))
    }

    /// The id of the request. No client can choose it, so it names one request. It is the `instance` of problems.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.0.request_id
    }

    /// The `x-request-id` that the client sent, which the log has beside our own.
    #[must_use]
    pub fn client_request_id(&self) -> Option<&str> {
        self.0.client_request_id.as_deref()
    }

    /// The id that Lambda gave the invocation.
    #[must_use]
    pub fn invocation_id(&self) -> Option<&str> {
        self.0.invocation_id.as_deref()
    }

    /// Returns the id of the X-Ray trace.
    #[must_use]
    pub fn trace_id(&self) -> Option<&str> {
        self.0.trace_id.as_deref()
    }

    /// The network address of the client: for rate limits without a caller, and in the log line of the request, without
    /// which an attack cannot be traced.
    #[must_use]
    pub fn client(&self) -> Option<&str> {
        self.0.client.as_deref()
    }

    /// The origin of the deployment: the configured one, or else the one that the user opened. Without a domain of its own,
    /// a deployment cannot be configured with its name, because the CDN gets its name after the functions.
    #[must_use]
    pub fn public_origin(&self) -> Option<&str> {
        self.0.public_origin.as_deref()
    }

    /// The time at which the handler must have ended, a little before Lambda ends the invocation.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.0.deadline
    }

    /// The caller, once the credential is verified.
    #[must_use]
    pub fn caller(&self) -> Option<&Principal> {
        self.0.caller.get()
    }

    /// Returns when the credential of the caller has ended, which a response that lasts has to notice. Never returns if the
    /// request has no verified credential.
    pub fn credential_end(&self) -> impl Future<Output = ()> + Send + 'static {
        let watch = self.0.credential.get().cloned();
        async move {
            match watch {
                Some(watch) => watch.ended().await,
                None => std::future::pending().await,
            }
        }
    }

    pub(crate) fn set_caller(&self, caller: Principal, watch: Option<CredentialWatch>) {
        // A second verification yields the same caller.
        let _ = self.0.caller.set(caller);
        if let Some(watch) = watch {
            let _ = self.0.credential.set(watch);
        }
    }

    pub(crate) fn request_id_header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0.request_id).unwrap_or(HeaderValue::from_static("invalid"))
    }
}

impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, Problem> {
        let found = parts.extensions.get::<Self>().cloned();
        found.ok_or_else(|| Problem::internal("the router is not wrapped in the HTTP pipeline"))
    }
}

/// The origin of the deployment, for links to it: [`RequestContext::public_origin`]. An extractor.
#[derive(Debug, Clone)]
pub struct PublicOrigin(pub String);

impl<S: Sync> FromRequestParts<S> for PublicOrigin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, state: &S) -> Result<Self, Problem> {
        let context = RequestContext::from_request_parts(parts, state).await?;
        let origin = context.public_origin().ok_or_else(|| {
            Problem::unavailable("PUBLIC_URL is not set, and the request did not come through the CDN")
        })?;
        Ok(Self(origin.to_owned()))
    }
}

/// The id that the client sent, if it has 1 to 64 characters that are safe in logs.
fn client_request_id(headers: &HeaderMap) -> Option<Box<str>> {
    let valid = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
    };
    headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(valid).map(Into::into)
}

/// The network address of the client. If the request came through the CDN, the gateway sees the address of the CDN, and
/// the CDN adds that of the client.
fn client(headers: &HeaderMap, extensions: &http::Extensions, through_cdn: bool) -> Option<Box<str>> {
    if let Some(viewer) = origin::viewer(headers).filter(|_| through_cdn) {
        return Some(viewer.into());
    }
    match extensions.get::<Gateway>() {
        Some(Gateway::ApiGatewayV2(gateway)) => gateway.http.source_ip.as_deref().map(Into::into),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn context(id: &[u8]) -> RequestContext {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(id) {
            headers.insert(REQUEST_ID, value);
        }
        RequestContext::of(&headers, &http::Extensions::new(), false, None)
    }

    #[test]
    fn the_id_that_a_client_sends_is_kept_beside_our_own() {
        let theirs = RequestId::new().to_string();
        for (sent, kept) in
            [("abc-1.2:3_x", Some("abc-1.2:3_x")), (&theirs, Some(theirs.as_str())), ("", None)]
        {
            let context = context(sent.as_bytes());
            assert_eq!(context.client_request_id(), kept);
            assert!(context.request_id().parse::<RequestId>().is_ok());
            assert_ne!(context.request_id(), sent);
        }
    }

    #[test]
    fn the_headers_of_the_cdn_are_trusted_only_in_requests_through_it() {
        let mut headers = HeaderMap::new();
        headers.insert("x-viewer-ip", HeaderValue::from_static("2001:db8::1"));
        headers.insert("x-forwarded-host", HeaderValue::from_static("d111.cloudfront.net"));
        // CloudFront may or may not add this one, so a client can forge it.
        headers.insert("cloudfront-viewer-address", HeaderValue::from_static("192.0.2.1:443"));
        let at = |through_cdn, configured| {
            RequestContext::of(&headers, &http::Extensions::new(), through_cdn, configured)
        };
        assert_eq!(at(true, None).client(), Some("2001:db8::1"));
        assert_eq!(at(true, None).public_origin(), Some("https://d111.cloudfront.net"));
        assert_eq!(at(false, None).client(), None);
        assert_eq!(at(false, None).public_origin(), None);
        let configured = Some("https://chat.example");
        assert_eq!(at(true, configured).public_origin(), configured);
    }

    proptest! {
        #[test]
        fn any_id_of_a_client_is_safe_to_log(id: Vec<u8>) {
            let context = context(&id);
            if let Some(id) = context.client_request_id() {
                prop_assert!(!id.is_empty() && id.len() <= 64 && !id.contains(['\n', '"', ' ']));
            }
            prop_assert_ne!(context.request_id_header(), "invalid");
        }
    }
}
