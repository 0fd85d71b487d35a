//! Creating, reading, renaming and deleting projects.

use std::collections::BTreeSet;

use axum::{extract::State, response::IntoResponse};
use http::{StatusCode, header::LOCATION};
use sequent_conversation::{Project, ProjectName};
use sequent_core::{ProjectId, RunId, Timestamp};
use sequent_http::{
    Caller, Json, Limit, ListQuery, ListResponse, Path, Problem, Query,
    idempotency::{IdempotencyKey, Quotes},
    openapi::Problems,
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::App;

/// The name of a project that was created without one.
const UNNAMED: &str = "New conversation";
/// Tools whose approvals one request revokes at most.
const MAX_REVOKED: usize = 20;

/// The project to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewProject {
    /// The name; `New conversation` if not given.
    name: Option<ProjectName>,
}

/// A change of a project.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProjectChange {
    /// The new name of the project.
    #[serde(default)]
    name: Option<ProjectName>,
    /// A run of the conversation, which the next run continues. The list of messages then ends with it.
    #[serde(default)]
    head: Option<RunId>,
    /// Tools of `approved_tools` whose calls need an approval again. Runs that were created before are not affected.
    #[serde(default)]
    #[schema(max_items = 20)]
    revoked_tools: BTreeSet<String>,
}

type ProjectList = ListResponse<Project>;

/// Create a project.
///
/// A message without a project creates one, too. Use this route to choose the name first. With an
/// `Idempotency-Key` a repeated request returns the first response again.
#[utoipa::path(
    post,
    path = "/api/projects",
    operation_id = "create_project",
    tag = "projects",
    params(IdempotencyKey),
    request_body = NewProject,
    responses(
        (status = 201, description = "The project.", body = Project, headers(("Location" = String, description = "The path of the project."))),
        Problems
    ),
)]
pub(crate) async fn create_project(
    State(app): State<App>,
    Caller(caller): Caller,
    Quotes(quotes): Quotes,
    Json(body): Json<NewProject>,
) -> Result<impl IntoResponse, Problem> {
    let name = body.name.unwrap_or_else(|| ProjectName::from_message(UNNAMED));
    let projects = app.projects(&caller);
    let project = projects.create_quoted(caller.user, name, &quotes, Timestamp::now()).await?;
    Ok(created(project))
}

/// The response that a new project is there.
pub(crate) fn created(project: Project) -> impl IntoResponse {
    let location = [(LOCATION, format!("/api/projects/{}", project.id))];
    (StatusCode::CREATED, location, Json(project))
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
pub(crate) async fn list_projects(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(query): Query<ListQuery>,
) -> Result<impl IntoResponse, Problem> {
    let secret = app.vault.get().await?;
    let limit = query.limit.map(Limit::get);
    let projects = app.projects(&caller);
    let page = projects.list(secret.cursor(), query.cursor.as_deref(), limit).await?;
    Ok(Json(ListResponse::new(page, secret.cursor())))
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
pub(crate) async fn get_project(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<ProjectId>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Json(app.projects(&caller).get(id).await?))
}

/// Change a project.
///
/// Renames it, revokes approvals of tools, or moves its head to another run: the branch that ends with the head is the one that is
/// shown, and that the next message continues. A run that is being executed goes on in its own branch.
#[utoipa::path(
    patch,
    path = "/api/projects/{id}",
    operation_id = "update_project",
    tag = "projects",
    params(("id" = ProjectId, Path, description = "The project.")),
    request_body = ProjectChange,
    responses(
        (status = 200, description = "The changed project.", body = Project),
        (status = 404, description = "The tenant has no such project."),
        Problems
    ),
)]
pub(crate) async fn update_project(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<ProjectId>,
    Json(body): Json<ProjectChange>,
) -> Result<impl IntoResponse, Problem> {
    if body.name.is_none() && body.head.is_none() && body.revoked_tools.is_empty() {
        return Err(Problem::invalid("The request changes nothing. Send a name, a head or revoked tools."));
    }
    if body.revoked_tools.len() > MAX_REVOKED || body.revoked_tools.iter().any(String::is_empty) {
        let rule = format!("must have at most {MAX_REVOKED} items, each of them a name");
        return Err(Problem::invalid("The approvals cannot be revoked.").at("/revoked_tools", rule));
    }
    let revoked: Vec<String> = body.revoked_tools.into_iter().collect();
    let projects = app.projects(&caller);
    Ok(Json(projects.change(id, body.name.as_ref(), body.head, &revoked, Timestamp::now()).await?))
}

/// Delete a conversation.
///
/// It is gone at once: no route shows it, its messages or its runs any more. A job then cancels its live runs and deletes
/// what it left: messages, the events of its runs and of their child runs, artifacts, exports, entities and jobs. Usage and
/// cost stay in the ledger, without a word of the conversation. The bytes of files are deleted within 25 hours.
#[utoipa::path(
    delete,
    path = "/api/projects/{id}",
    operation_id = "delete_project",
    tag = "projects",
    params(("id" = ProjectId, Path, description = "The project.")),
    responses(
        (status = 204, description = "The project is deleted."),
        (status = 404, description = "The tenant has no such project."),
        Problems
    ),
)]
pub(crate) async fn delete_project(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<ProjectId>,
) -> Result<impl IntoResponse, Problem> {
    app.projects(&caller).delete(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
