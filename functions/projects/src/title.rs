//! Naming a project on request.

use axum::{extract::State, response::IntoResponse};
use sequent_conversation::{Project, Role, naming::name};
use sequent_core::{ProjectId, Timestamp};
use sequent_http::{Caller, Exchange, Json, Path, Problem, Scope, openapi::Problems};

use crate::{Conversations, problem};

/// Name a project after its first exchange.
///
/// Asks the default model for a short title and saves it. Without a usable one in ten seconds the name is the
/// beginning of the first message; where the demo provider answers it is that, with the label `Demo`.
#[utoipa::path(
    post,
    path = "/api/projects/{id}/generate_name",
    operation_id = "generate_project_name",
    tag = "projects",
    params(("id" = ProjectId, Path, description = "The project.")),
    responses(
        (status = 200, description = "The project with its new name.", body = Project),
        (status = 404, description = "The tenant has no such project."),
        (status = 409, description = "Nothing has been said in it yet (`no_messages`)."),
        Problems
    ),
)]
pub(crate) async fn generate(
    State(conversations): State<Conversations>,
    Caller(caller): Caller,
    Path(id): Path<ProjectId>,
    exchange: Exchange,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::ProjectsWrite)?;
    caller.require(Scope::Chat)?; // it spends money
    let projects = conversations.of(&caller);
    let secret = conversations.vault.get().await?;
    let messages = projects.messages(id, secret.cursor(), None, Some(10)).await.map_err(problem)?.items;
    let said = |role| messages.iter().find(|message| message.role == role).map(|message| &*message.content);
    let Some(question) = said(Role::User) else {
        return Err(Problem::conflict("no_messages", "Nothing has been said in the project yet."));
    };
    let answer = said(Role::Assistant).unwrap_or_default();
    let name = name(conversations.models.as_ref(), question, answer, exchange.request_id()).await;
    projects.rename(id, name, Timestamp::now()).await.map(Json).map_err(problem)
}
