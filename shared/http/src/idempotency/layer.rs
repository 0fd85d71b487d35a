//! Idempotency for JSON routes: the response is stored and repeated.

use std::{convert::Infallible, panic::AssertUnwindSafe, time::Duration};

use axum::{
    body::Body,
    extract::{FromRequestParts, MatchedPath, OptionalFromRequestParts, Request},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures::FutureExt as _;
use http::{HeaderName, HeaderValue, StatusCode, request::Parts};
use http_body_util::BodyExt as _;
use sequent_core::{Code, Timestamp};
use sequent_tables::{
    Key,
    idempotency::{Claim, Claimed, Effect, KeyTaken, PayloadHash, Record, Stored, claim},
};

use super::{IdempotencyKey, REPLAYED};
use crate::{Caller, Problem, RequestContext, extract, pipeline::Shared};

/// The largest body that is stored, well below DynamoDB's 400 KB per item.
const MAX_BODY: usize = 256 * 1024;

/// The headers that are stored with a response.
const KEPT: [&str; 6] = ["content-type", "location", "content-location", "etag", "x-run-id", "x-project-id"];

/// The lifetime of a claim if the invocation has no deadline, as in tests.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);

/// The keys of the rows that will quote the response: that of the record, if the request has an idempotency key. For a handler
/// whose response contains something that can be deleted: the rows are deleted with it.
#[derive(Debug, Clone, Default)]
pub struct Quotes(pub Vec<Key>);

impl<S: Sync> FromRequestParts<S> for Quotes {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

/// Middleware for `axum::middleware::from_fn` on routes that accept an `Idempotency-Key`.
///
/// # Errors
/// 400, 409 and 422 as in the description of the module. 401 without a caller, because keys belong to tenants.
pub async fn layer(request: Request, next: Next) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let key = <IdempotencyKey as OptionalFromRequestParts<()>>::from_request_parts(&mut parts, &()).await?;
    match key {
        None => Ok(next.run(Request::from_parts(parts, body)).await),
        Some(key) => once(key, Request::from_parts(parts, body), next).await,
    }
}

/// The same as [`layer`], for routes that require a key.
///
/// # Errors
/// The same as [`layer`], and 400 without a key.
pub async fn required(request: Request, next: Next) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let key = <IdempotencyKey as FromRequestParts<()>>::from_request_parts(&mut parts, &()).await?;
    once(key, Request::from_parts(parts, body), next).await
}

async fn once(key: IdempotencyKey, request: Request, next: Next) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let shared = Shared::of(&parts)?;
    let store = shared.store.as_ref().ok_or_else(|| Problem::internal("the pipeline has no store"))?;
    let context = RequestContext::from_request_parts(&mut parts, &()).await?;
    let Caller(caller) = <Caller as FromRequestParts<()>>::from_request_parts(&mut parts, &()).await?;

    let body = extract::body(Request::from_parts(parts.clone(), body)).await?;
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let payload = PayloadHash::of(parts.method.as_str(), path, &body);
    let route = parts.extensions.get::<MatchedPath>().map_or(parts.uri.path(), MatchedPath::as_str);
    let keyed = key.request(caller.tenant, &format!("{} {route}", parts.method), payload);

    let record = Quotes(vec![keyed.record.clone()]);
    let now = Timestamp::now();
    let deadline = context.deadline().unwrap_or(now + DEFAULT_DEADLINE);
    let claim = match claim(store, keyed, now, deadline).await? {
        Claimed::Ours(claim) => claim,
        Claimed::Taken(outcome) => {
            return match outcome.replay()? {
                Some(record) => replay(&record),
                None => Err(KeyTaken::InProgress { retry_after: Duration::from_secs(1) }.into()),
            };
        }
    };
    parts.extensions.insert(record);
    let answer = next.run(Request::from_parts(parts, Body::from(body)));
    match AssertUnwindSafe(answer).catch_unwind().await {
        Ok(response) => finish(claim, response).await,
        Err(panic) => {
            release(claim).await;
            std::panic::resume_unwind(panic)
        }
    }
}

/// Stores a successful response. A failed request had no effect, so its key may be used again.
async fn finish(claim: Claim, response: Response) -> Result<Response, Problem> {
    if response.status().is_client_error() || response.status().is_server_error() {
        release(claim).await;
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = match body.collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) => {
            release(claim).await;
            return Err(Problem::internal(error));
        }
    };
    let headers = KEPT.iter().filter_map(|name| {
        let value = parts.headers.get(*name)?.to_str().ok()?;
        Some(((*name).to_owned(), value.to_owned()))
    });
    let stored = Stored { status: parts.status.as_u16(), headers: headers.collect(), body: text(&body) };
    if let Err(error) = claim.complete(stored, Timestamp::now()).await {
        tracing::error!(%error, "could not store the response for retries; a retry runs again");
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

async fn release(claim: Claim) {
    if let Err(error) = claim.release().await {
        tracing::warn!(%error, "could not release an idempotency key; it is claimed until its deadline");
    }
}

fn text(body: &Bytes) -> Option<String> {
    if body.len() > MAX_BODY {
        return None;
    }
    std::str::from_utf8(body).ok().map(str::to_owned)
}

fn replay(record: &Record) -> Result<Response, Problem> {
    let Effect::Response(stored) = record.effect() else {
        return Err(Problem::internal("the idempotency key of a JSON route belongs to a run"));
    };
    let Some(body) = &stored.body else {
        let detail = "The request succeeded earlier, but its answer was too large to keep.";
        return Err(Problem::new(Code::IdempotentAnswerNotKept, detail));
    };
    let status = StatusCode::from_u16(stored.status).map_err(Problem::internal)?;
    let mut response = (status, body.clone()).into_response();
    response.headers_mut().remove(http::header::CONTENT_TYPE);
    for (name, value) in &stored.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::from_str(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}
