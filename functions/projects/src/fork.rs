//! Forking a project at a turn.

use axum::{extract::State, response::IntoResponse};
use sequent_conversation::{NewFork, Project, ProjectName, TurnReference};
use sequent_core::{ProjectId, Timestamp};
use sequent_http::{
    Caller, Json, Path, Problem,
    idempotency::{IdempotencyKey, Quotes},
    openapi::Problems,
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{App, projects::created};

/// The part of a conversation that a new one begins with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForkProject {
    /// The last turn of the new conversation: a run, or one of its messages.
    #[schema(value_type = String, pattern = "^(run|msg)_[0-7][0-9A-HJKMNP-TV-Z]{25}$")]
    from: TurnReference,
    /// The name of the new conversation. That of the project if it is absent.
    #[serde(default)]
    name: Option<ProjectName>,
}

/// Fork a conversation.
///
/// Creates a project that begins with the branch of this one up to a turn. The two share the runs of that branch, and either may
/// be deleted. A run of the branch that has not ended is refused with `run_in_progress`. A fork begins with at most 500 turns and
/// 8 MB of messages.
#[utoipa::path(
    post,
    path = "/api/projects/{id}/fork",
    operation_id = "fork_project",
    tag = "projects",
    params(("id" = ProjectId, Path, description = "The project."), IdempotencyKey),
    request_body = ForkProject,
    responses(
        (status = 201, description = "The new project.", body = Project, headers(("Location" = String, description = "The path of the project."))),
        (status = 404, description = "The tenant has no such project."),
        Problems
    ),
)]
pub(crate) async fn fork_project(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(project): Path<ProjectId>,
    Quotes(quotes): Quotes,
    Json(body): Json<ForkProject>,
) -> Result<impl IntoResponse, Problem> {
    let new = NewFork { project, from: body.from, user: caller.user, name: body.name, quotes: &quotes };
    let fork = Box::pin(app.projects(&caller).fork(&new, Timestamp::now())).await?;
    Ok(created(fork))
}
