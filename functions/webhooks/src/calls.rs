//! `POST /api/hooks/{id}` without the credential of a person: the token in the path starts a run.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use sequent_conversation::StartedRun;
use sequent_core::{ApiError as _, Code, RunId, Timestamp};
use sequent_hooks::{CalledHook, Error, HookBody};
use sequent_http::{
    Json, Path, Problem,
    idempotency::{self, IdempotencyKey, REPLAYED},
    openapi::Problems,
    rate_limit::Throttle,
};
use sequent_webhooks::signature::{ID, SIGNATURE, SignedHeaders, TIMESTAMP};
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;

/// The run of a call. A sender that knows the address of a hook learns nothing else of the run.
#[derive(Serialize, ToSchema)]
pub(crate) struct HookReceipt {
    run_id: RunId,
}

/// Call a hook.
///
/// Starts a run of the hook with the token in the path, for other systems: the token is the credential. The body is JSON, a
/// form or text, and reaches the agent as data. Requests with the same `Idempotency-Key` or `webhook-id` lead to the same run
/// for a day. If the hook demands signatures, requests need the three headers of Standard Webhooks, and `webhook-id` alone
/// counts. A hook takes as many calls a minute as a tenant may send messages.
#[utoipa::path(
    post,
    path = "/api/hooks/{id}",
    operation_id = "call_hook",
    tag = "webhooks",
    params(
        ("id" = String, Path, description = "The token of the hook, which its address ends with. It is not the id of the hook."),
        ("webhook-id" = Option<String>, Header, description = "The id of the message. Repeated requests have the same one."),
        ("webhook-timestamp" = Option<String>, Header, description = "The time of the request, in seconds since the Unix epoch."),
        ("webhook-signature" = Option<String>, Header, description = "The signatures of the request, as Standard Webhooks specifies."),
        IdempotencyKey,
    ),
    request_body(content(
        (serde_json::Value = "application/json"),
        (String = "application/x-www-form-urlencoded"),
        (String = "text/plain"),
    ), description = "At most 64 KiB, the task of the hook included."),
    security(()),
    responses(
        (status = 202, description = "The run, which is executed as soon as possible.", body = HookReceipt,
         headers(("Location" = String, description = "The address of the run."))),
        (status = 401, description = "The hook demands signatures, and this one is missing, wrong or too old (`invalid_hook_signature`)."),
        (status = 404, description = "No hook has the token, or the hook is disabled, or its account or API key has ended."),
        Problems
    ),
)]
pub(crate) async fn call_hook(
    State(app): State<App>,
    Path(token): Path<String>,
    throttle: Throttle,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let now = Timestamp::now();
    let called = app.hooks().called(&token, now).await?;
    throttle.by_hook(called.tenant, called.hook.id).await?;
    let started = match Box::pin(start(&app, &called, &headers, &body, now)).await {
        Ok(started) => started,
        Err(RefusedCall::Request(problem)) => return Err(problem),
        Err(RefusedCall::Call(error)) => {
            app.hooks().refused(&called, &error, now).await;
            return Err(as_shown(error).into());
        }
    };
    let StartedRun { run, replayed, .. } = started;
    tracing::info!(tenant = %called.tenant, hook = %called.hook.id, %run, replayed, "a hook was called");
    let location = HeaderValue::try_from(format!("/api/runs/{run}")).expect("ids are ASCII");
    let receipt = Json(HookReceipt { run_id: run });
    let mut response = (StatusCode::ACCEPTED, [(header::LOCATION, location)], receipt).into_response();
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// The error as the sender gets it. An agent that was deleted, or that takes other variables now, is the affair of the hook's
/// owner, who finds it in `last_refusal`. To the sender, the hook is gone.
fn as_shown(error: Error) -> Error {
    match error.details().code {
        Code::AgentNotFound | Code::VariablesInvalid => Error::UnknownToken,
        _ => error,
    }
}

/// The reason why a call with the right token starts no run.
enum RefusedCall {
    /// Its headers are malformed.
    Request(Problem),
    Call(Error),
}

impl From<Problem> for RefusedCall {
    fn from(problem: Problem) -> Self {
        Self::Request(problem)
    }
}

impl From<Error> for RefusedCall {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

async fn start(
    app: &App,
    called: &CalledHook,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<StartedRun, RefusedCall> {
    if body.len() > HookBody::MAX {
        return Err(Error::TooLong.into());
    }
    let [id, timestamp, signature] = [ID, TIMESTAMP, SIGNATURE].map(HeaderName::from_static);
    let id = only(headers, &id)?;
    let signed = SignedHeaders {
        id: id.and_then(text),
        timestamp: only(headers, &timestamp)?.and_then(text),
        signature: only(headers, &signature)?.and_then(text),
    };
    let message = called.verify(&app.vault, signed, body, now).await?;
    // Of a signed request, only what is signed counts: another key would let a recorded request start another run.
    let key = match message {
        Some(_) => id,
        None => only(headers, &idempotency::HEADER)?.or(id),
    };
    let key = key.map(IdempotencyKey::parse).transpose()?;
    let body = HookBody::read(only(headers, &header::CONTENT_TYPE)?.and_then(text), body)?;
    let key = key.as_ref().map(IdempotencyKey::as_str);
    Ok(Box::pin(app.launcher.launch(called, body, key, now)).await?)
}

/// Returns the value of a header. Of two values, neither can be trusted.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Problem> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    match values.next() {
        Some(_) => Err(Problem::new(Code::BadRequest, format!("Send the header {name} once."))),
        None => Ok(value),
    }
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok()
}
