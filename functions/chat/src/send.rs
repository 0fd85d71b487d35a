//! `POST /api/chat/send`: a message in, the run's log out.

use sequent_conversation::OnConflict;
use sequent_core::ProjectId;
use sequent_http::{
    Caller, Exchange, Json, Principal, Problem, Scope,
    axum::{extract::State, response::Response},
    idempotency::IdempotencyKey,
    openapi::Problems,
};
use sequent_tables::idempotency::PayloadHash;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Chat,
    begin::{Ask, Place, begin},
    stream::{Native, respond},
};

/// A message for a conversation.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Send {
    /// The conversation; a new one is made without.
    #[serde(default)]
    project_id: Option<ProjectId>,
    message: Content,
    /// The model that answers; the deployment's default without.
    #[serde(default)]
    model: Option<String>,
    /// What to do when a run already answers in the project.
    #[serde(default)]
    on_conflict: OnConflict,
}

/// What the user says.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Content {
    /// 1 byte to 64 KiB of text.
    #[schema(min_length = 1, max_length = 65536)]
    content: String,
}

/// Sends a message and streams the run that answers it.
///
/// The stream is the run's log as server-sent events: `id` is the event's `seq`, `event` its type, `data` the event.
/// Headers name the run and the project. After a cut, follow `GET /api/runs/{id}/events` with `Last-Event-ID`.
#[utoipa::path(
    post,
    path = "/api/chat/send",
    tag = "chat",
    request_body = Send,
    params(("Idempotency-Key" = Option<String>, Header, description = "A retry with the same key and payload attaches to the same run.")),
    responses((status = 200, description = "The run's events.", content_type = "text/event-stream"), Problems),
)]
pub(crate) async fn send(
    State(chat): State<Chat>,
    Caller(principal): Caller,
    exchange: Exchange,
    key: Option<IdempotencyKey>,
    Json(body): Json<Send>,
) -> Result<Response, Problem> {
    start(&chat, &principal, &exchange, key, "/api/chat/send", body).await
}

/// A message for a conversation, in the words of other agents' servers.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendToThread {
    /// The conversation; a new one is made without.
    #[serde(default)]
    thread_id: Option<ProjectId>,
    /// What the user says.
    message: String,
    /// The model that answers; the deployment's default without.
    #[serde(default)]
    model: Option<String>,
    /// What to do when a run already answers in the conversation.
    #[serde(default)]
    on_conflict: OnConflict,
}

/// Sends a message and streams the run that answers it, as `POST /api/chat/send` does.
#[utoipa::path(
    post,
    path = "/api/v1/agent/chat",
    tag = "chat",
    request_body = SendToThread,
    params(("Idempotency-Key" = Option<String>, Header, description = "A retry with the same key and payload attaches to the same run.")),
    responses((status = 200, description = "The run's events.", content_type = "text/event-stream"), Problems),
)]
pub(crate) async fn send_thread(
    State(chat): State<Chat>,
    Caller(principal): Caller,
    exchange: Exchange,
    key: Option<IdempotencyKey>,
    Json(body): Json<SendToThread>,
) -> Result<Response, Problem> {
    let SendToThread { thread_id: project_id, message: content, model, on_conflict } = body;
    let body = Send { project_id, message: Content { content }, model, on_conflict };
    start(&chat, &principal, &exchange, key, "/api/v1/agent/chat", body).await
}

async fn start(
    chat: &Chat,
    principal: &Principal,
    exchange: &Exchange,
    key: Option<IdempotencyKey>,
    path: &str,
    body: Send,
) -> Result<Response, Problem> {
    principal.require(Scope::Chat)?;
    // Hashed as understood, so that a retry with other white space is the same request.
    let payload = serde_json::to_vec(&body).map_err(Problem::internal)?;
    let key =
        key.map(|key| key.request(principal.tenant, "chat.send", PayloadHash::of("POST", path, &payload)));
    let ask = Ask {
        place: body.project_id.map_or(Place::New(Vec::new()), Place::Project),
        content: body.message.content,
        model: body.model,
        on_conflict: body.on_conflict,
        replaces: None,
        new_project: ProjectId::new(),
        key,
    };
    let begun = begin(chat, principal, ask).await?;
    Ok(respond(&chat.engine, exchange, begun.watched(principal), Native))
}
