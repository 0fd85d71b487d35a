//! What was said in a project.

use axum::{extract::State, response::IntoResponse};
use sequent_conversation::Message;
use sequent_core::ProjectId;
use sequent_http::{Caller, Json, ListQuery, Path, Problem, Query, Scope, openapi::Problems};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Conversations, problem};

/// One page of messages.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageList {
    items: Vec<Message>,
    /// Where the next page starts; null at the end.
    next_cursor: Option<String>,
}

/// List the messages of a project.
///
/// An answer appears when its run has ended; follow the run to see it being written.
#[utoipa::path(
    get,
    path = "/api/projects/{id}/messages",
    operation_id = "list_messages",
    tag = "projects",
    params(("id" = ProjectId, Path, description = "The project."), ListQuery),
    responses(
        (status = 200, description = "One page, oldest first.", body = MessageList),
        (status = 404, description = "The tenant has no such project."),
        Problems
    ),
)]
pub(crate) async fn list(
    State(conversations): State<Conversations>,
    Caller(caller): Caller,
    Path(id): Path<ProjectId>,
    Query(query): Query<ListQuery>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::ProjectsRead)?;
    let secret = conversations.vault.get().await?;
    let limit = query.limit.map(sequent_http::Limit::get);
    let page = conversations
        .of(&caller)
        .messages(id, secret.cursor(), query.cursor.as_deref(), limit)
        .await
        .map_err(problem)?;
    Ok(Json(MessageList { next_cursor: page.next_cursor(secret.cursor()), items: page.items }))
}
