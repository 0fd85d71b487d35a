//! Projects.

use axum::{extract::State, response::IntoResponse};
use http::{StatusCode, header::LOCATION};
use sequent_conversation::{Name, Project};
use sequent_core::{ProjectId, Timestamp};
use sequent_http::{Caller, Json, ListQuery, Path, Problem, Query, Scope, openapi::Problems};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Conversations, problem};

/// What a project is called until somebody names it.
const UNNAMED: &str = "New conversation";

/// A project to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewProject {
    /// What to call it; `New conversation` if not given.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    name: Option<Name>,
}

/// What is to change.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProjectChange {
    /// What to call it.
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    name: Name,
}

/// One page of projects.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProjectList {
    items: Vec<Project>,
    /// Where the next page starts; null at the end.
    next_cursor: Option<String>,
}

/// Create a project.
///
/// A message sent without a project makes one too, so this is for those who want to name it first. With an
/// `Idempotency-Key` a repeated request gets the first answer again.
#[utoipa::path(
    post,
    path = "/api/projects",
    operation_id = "create_project",
    tag = "projects",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless.", max_length = 255)),
    request_body = NewProject,
    responses(
        (status = 201, description = "The project.", body = Project, headers(("Location" = String, description = "Its path."))),
        Problems
    ),
)]
pub(crate) async fn create(
    State(conversations): State<Conversations>,
    Caller(caller): Caller,
    Json(body): Json<NewProject>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::ProjectsWrite)?;
    let name = body.name.unwrap_or_else(|| Name::from_message(UNNAMED));
    let project =
        conversations.of(&caller).create(caller.user, name, Timestamp::now()).await.map_err(problem)?;
    let location = [(LOCATION, format!("/api/projects/{}", project.id))];
    Ok((StatusCode::CREATED, location, Json(project)))
}

/// List projects.
#[utoipa::path(
    get,
    path = "/api/projects",
    operation_id = "list_projects",
    tag = "projects",
    params(ListQuery),
    responses((status = 200, description = "One page, newest first.", body = ProjectList), Problems),
)]
pub(crate) async fn list(
    State(conversations): State<Conversations>,
    Caller(caller): Caller,
    Query(query): Query<ListQuery>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::ProjectsRead)?;
    let secret = conversations.vault.get().await?;
    let limit = query.limit.map(sequent_http::Limit::get);
    let page = conversations
        .of(&caller)
        .list(secret.cursor(), query.cursor.as_deref(), limit)
        .await
        .map_err(problem)?;
    Ok(Json(ProjectList { next_cursor: page.next_cursor(secret.cursor()), items: page.items }))
}

/// Get a project.
#[utoipa::path(
    get,
    path = "/api/projects/{id}",
    operation_id = "get_project",
    tag = "projects",
    params(("id" = ProjectId, Path, description = "The project.")),
    responses(
        (status = 200, description = "The project.", body = Project),
        (status = 404, description = "The tenant has no such project."),
        Problems
    ),
)]
pub(crate) async fn get(
    State(conversations): State<Conversations>,
    Caller(caller): Caller,
    Path(id): Path<ProjectId>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::ProjectsRead)?;
    conversations.of(&caller).get(id).await.map(Json).map_err(problem)
}

/// Rename a project.
#[utoipa::path(
    patch,
    path = "/api/projects/{id}",
    operation_id = "update_project",
    tag = "projects",
    params(("id" = ProjectId, Path, description = "The project.")),
    request_body = ProjectChange,
    responses(
        (status = 200, description = "The project as it is now.", body = Project),
        (status = 404, description = "The tenant has no such project."),
        Problems
    ),
)]
pub(crate) async fn change(
    State(conversations): State<Conversations>,
    Caller(caller): Caller,
    Path(id): Path<ProjectId>,
    Json(body): Json<ProjectChange>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::ProjectsWrite)?;
    conversations.of(&caller).rename(id, body.name, Timestamp::now()).await.map(Json).map_err(problem)
}

/// Delete a project and its messages.
///
/// Its runs stay: they are the record of what was done and what it cost.
#[utoipa::path(
    delete,
    path = "/api/projects/{id}",
    operation_id = "delete_project",
    tag = "projects",
    params(("id" = ProjectId, Path, description = "The project.")),
    responses(
        (status = 204, description = "Deleted."),
        (status = 404, description = "The tenant has no such project."),
        (status = 409, description = "A run answers in it (`run_in_progress`, with its `run_id`)."),
        Problems
    ),
)]
pub(crate) async fn delete(
    State(conversations): State<Conversations>,
    Caller(caller): Caller,
    Path(id): Path<ProjectId>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::ProjectsWrite)?;
    conversations.of(&caller).delete(id).await.map_err(problem)?;
    Ok(StatusCode::NO_CONTENT)
}
