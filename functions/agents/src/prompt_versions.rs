//! The versions of a prompt, and what differs between two of them.

use axum::{extract::State, response::IntoResponse};
use http::{StatusCode, header::LOCATION};
use sequent_core::Timestamp;
use sequent_definitions::{
    DefinitionName, DiffLine, NamedPrompt, NewVersion, PromptTemplate, VersionSummary,
};
use sequent_http::{
    Caller, Json, Limit, ListQuery, ListResponse, Path, Problem, Query, idempotency::IdempotencyKey,
    openapi::Problems,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::App;

/// The version of a prompt to add.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPromptVersion {
    /// A template of at most 32,000 bytes, in the language of an agent's instructions, without includes.
    #[schema(max_length = 32000)]
    template: String,
    /// A note about what is new.
    #[serde(default)]
    #[schema(max_length = 500)]
    change: Option<String>,
}

/// The query of `GET /api/prompts/{name}/diff`.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct DiffQuery {
    /// The number of the former version.
    from: u32,
    /// The number of the latter version.
    to: u32,
}

/// The difference between two versions of a prompt.
#[derive(Serialize, ToSchema)]
pub(crate) struct PromptDiff {
    /// The number of the former version.
    from: u32,
    /// The number of the latter version.
    to: u32,
    /// The lines of both, in their order.
    lines: Vec<DiffLine>,
}

type VersionSummaryList = ListResponse<VersionSummary>;

/// List the versions of a prompt.
///
/// Their notes are its changelog.
#[utoipa::path(
    get,
    path = "/api/prompts/{name}/versions",
    operation_id = "list_prompt_versions",
    tag = "agents",
    params(("name" = String, Path, description = "The name of the prompt."), ListQuery),
    responses(
        (status = 200, description = "One page, newest first.", body = VersionSummaryList),
        (status = 404, description = "The tenant has no such prompt (`prompt_not_found`)."),
        Problems
    ),
)]
pub(crate) async fn list_prompt_versions(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(name): Path<DefinitionName>,
    Query(query): Query<ListQuery>,
) -> Result<impl IntoResponse, Problem> {
    let secret = app.vault.get().await?;
    let limit = query.limit.map(Limit::get);
    let cursor = query.cursor.as_deref();
    let page = app.prompts().versions(caller.tenant, &name, secret.cursor(), cursor, limit).await?;
    Ok(Json(ListResponse::new(page, secret.cursor())))
}

/// Add a version of a prompt.
///
/// It becomes the latest. A label stays at its version until it is moved. A prompt can have 1,000 versions.
#[utoipa::path(
    post,
    path = "/api/prompts/{name}/versions",
    operation_id = "add_prompt_version",
    tag = "agents",
    params(("name" = String, Path, description = "The name of the prompt."), IdempotencyKey),
    request_body = NewPromptVersion,
    responses(
        (status = 201, description = "The prompt; `latest_version` is the number of the new version.", body = NamedPrompt, headers(("Location" = String, description = "The path of the version."))),
        (status = 404, description = "The tenant has no such prompt (`prompt_not_found`)."),
        (status = 409, description = "There are 1,000 versions (`definitions_limit`)."),
        (status = 422, description = "The template is not allowed (`validation_failed`, `template_invalid`)."),
        Problems
    ),
)]
pub(crate) async fn add_prompt_version(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(name): Path<DefinitionName>,
    Json(body): Json<NewPromptVersion>,
) -> Result<impl IntoResponse, Problem> {
    let new = NewVersion { content: body.template, change: body.change, user: caller.user };
    let adding = app.prompts().add_version(caller.tenant, &name, &new, Timestamp::now());
    let prompt = Box::pin(adding).await?;
    let location = [(LOCATION, format!("/api/prompts/{}/versions/{}", prompt.name, prompt.latest_version))];
    Ok((StatusCode::CREATED, location, Json(prompt)))
}

/// Get a version of a prompt.
#[utoipa::path(
    get,
    path = "/api/prompts/{name}/versions/{version}",
    operation_id = "get_prompt_version",
    tag = "agents",
    params(
        ("name" = String, Path, description = "The name of the prompt."),
        ("version" = u32, Path, description = "The number of the version."),
    ),
    responses(
        (status = 200, description = "The version.", body = PromptTemplate),
        (status = 404, description = "The tenant has no such prompt (`prompt_not_found`), or it has no such version (`version_not_found`)."),
        Problems
    ),
)]
pub(crate) async fn get_prompt_version(
    State(app): State<App>,
    Caller(caller): Caller,
    Path((name, version)): Path<(DefinitionName, u32)>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Json(app.prompts().version(caller.tenant, &name, version).await?))
}

/// List the changes between two versions of a prompt.
#[utoipa::path(
    get,
    path = "/api/prompts/{name}/diff",
    operation_id = "list_prompt_changes",
    tag = "agents",
    params(("name" = String, Path, description = "The name of the prompt."), DiffQuery),
    responses(
        (status = 200, description = "The lines of both versions.", body = PromptDiff),
        (status = 404, description = "The tenant has no such prompt (`prompt_not_found`), or it has no such version (`version_not_found`)."),
        Problems
    ),
)]
pub(crate) async fn list_prompt_changes(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(name): Path<DefinitionName>,
    Query(query): Query<DiffQuery>,
) -> Result<impl IntoResponse, Problem> {
    let DiffQuery { from, to } = query;
    let lines = app.prompts().diff(caller.tenant, &name, from, to).await?;
    Ok(Json(PromptDiff { from, to, lines }))
}
