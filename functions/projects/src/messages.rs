//! The messages of a project.

use axum::extract::State;
use sequent_conversation::Message;
use sequent_core::ProjectId;
use sequent_http::{Caller, Json, Limit, ListQuery, ListResponse, Path, Problem, Query, openapi::Problems};

use crate::App;

type MessageList = ListResponse<Message>;

/// List the messages of a project.
///
/// The answer of a run is added when the run has ended. Follow the run to receive it while it is written.
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
pub(crate) async fn list_messages(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<ProjectId>,
    Query(query): Query<ListQuery>,
) -> Result<Json<MessageList>, Problem> {
    let secret = app.vault.get().await?;
    let limit = query.limit.map(Limit::get);
    let projects = app.projects(&caller);
    let page = projects.messages(id, secret.cursor(), query.cursor.as_deref(), limit).await?;
    Ok(Json(ListResponse::new(page, secret.cursor())))
}
