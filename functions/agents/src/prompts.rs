//! Creating, reading and deleting prompts.

use axum::{extract::State, response::IntoResponse};
use http::{StatusCode, header::LOCATION};
use sequent_core::Timestamp;
use sequent_definitions::{DefinitionName, NamedPrompt, NewPrompt, NewVersion};
use sequent_http::{
    Caller, Json, Limit, ListQuery, ListResponse, Path, Problem, Query, idempotency::IdempotencyKey,
    openapi::Problems,
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::App;

/// The prompt to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreatePrompt {
    /// The name, unique among the prompts of the tenant.
    #[schema(example = "house-style")]
    name: DefinitionName,
    /// The first version: a template of at most 32,000 bytes, in the language of an agent's instructions, without includes.
    #[schema(max_length = 32000, example = "Write to {{ user_name }} in short sentences.")]
    template: String,
    /// A note about the first version.
    #[serde(default)]
    #[schema(max_length = 500)]
    change: Option<String>,
}

type PromptList = ListResponse<NamedPrompt>;

/// List the prompts of the tenant.
#[utoipa::path(
    get,
    path = "/api/prompts",
    operation_id = "list_prompts",
    tag = "agents",
    params(ListQuery),
    responses((status = 200, description = "One page, sorted by name.", body = PromptList), Problems),
)]
pub(crate) async fn list_prompts(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(query): Query<ListQuery>,
) -> Result<impl IntoResponse, Problem> {
    let secret = app.vault.get().await?;
    let limit = query.limit.map(Limit::get);
    let page = app.prompts().list(caller.tenant, secret.cursor(), query.cursor.as_deref(), limit).await?;
    Ok(Json(ListResponse::new(page, secret.cursor())))
}

/// Create a prompt.
///
/// Agents that list it in `prompts` can include it in their instructions: `{% include "name" %}`. A prompt of this name that was
/// deleted has left its versions; their numbers are continued. A tenant can have 200 prompts. Names that begin with `sequent-` are
/// reserved: `GET /api/agent-starters` lists them, and such a prompt instructs a job of the service, with the variables of that job only.
#[utoipa::path(
    post,
    path = "/api/prompts",
    operation_id = "create_prompt",
    tag = "agents",
    params(IdempotencyKey),
    request_body = CreatePrompt,
    responses(
        (status = 201, description = "The prompt.", body = NamedPrompt, headers(("Location" = String, description = "The path of the prompt."))),
        (status = 409, description = "The name is taken (`name_taken`), or there are 200 prompts (`definitions_limit`)."),
        (status = 422, description = "The template is not allowed (`validation_failed`, `template_invalid`)."),
        Problems
    ),
)]
pub(crate) async fn create_prompt(
    State(app): State<App>,
    Caller(caller): Caller,
    Json(body): Json<CreatePrompt>,
) -> Result<impl IntoResponse, Problem> {
    let version = NewVersion { content: body.template, change: body.change, user: caller.user };
    let new = NewPrompt { name: body.name, version };
    let prompt = Box::pin(app.prompts().create(caller.tenant, &new, Timestamp::now())).await?;
    let location = [(LOCATION, format!("/api/prompts/{}", prompt.name))];
    Ok((StatusCode::CREATED, location, Json(prompt)))
}

/// Get a prompt by its name.
#[utoipa::path(
    get,
    path = "/api/prompts/{name}",
    operation_id = "get_prompt",
    tag = "agents",
    params(("name" = String, Path, description = "The name of the prompt.")),
    responses(
        (status = 200, description = "The prompt.", body = NamedPrompt),
        (status = 404, description = "The tenant has no such prompt (`prompt_not_found`)."),
        Problems
    ),
)]
pub(crate) async fn get_prompt(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(name): Path<DefinitionName>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Json(app.prompts().get(caller.tenant, &name).await?))
}

/// Delete a prompt.
///
/// Agents that name it can no longer be chosen for a run. Runs that were made with it go on, because its versions are kept for
/// them.
#[utoipa::path(
    delete,
    path = "/api/prompts/{name}",
    operation_id = "delete_prompt",
    tag = "agents",
    params(("name" = String, Path, description = "The name of the prompt.")),
    responses(
        (status = 204, description = "The prompt is deleted."),
        (status = 404, description = "The tenant has no such prompt (`prompt_not_found`)."),
        Problems
    ),
)]
pub(crate) async fn delete_prompt(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(name): Path<DefinitionName>,
) -> Result<impl IntoResponse, Problem> {
    Box::pin(app.prompts().delete(caller.tenant, &name)).await?;
    Ok(StatusCode::NO_CONTENT)
}
