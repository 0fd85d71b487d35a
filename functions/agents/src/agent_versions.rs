//! The versions of an agent.

use axum::{extract::State, response::IntoResponse};
use http::{StatusCode, header::LOCATION};
use sequent_core::Timestamp;
use sequent_definitions::{Agent, AgentDefinition, AgentKey, AgentVersion, NewVersion, VersionSummary};
use sequent_http::{
    Caller, Json, Limit, ListQuery, ListResponse, Path, Problem, Query, idempotency::IdempotencyKey,
    openapi::Problems,
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::App;

/// The version of an agent to add.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAgentVersion {
    /// The whole content: nothing is taken from the version before.
    definition: AgentDefinition,
    /// A note about what is new.
    #[serde(default)]
    #[schema(max_length = 500)]
    change: Option<String>,
}

type VersionSummaryList = ListResponse<VersionSummary>;

/// List the versions of an agent.
#[utoipa::path(
    get,
    path = "/api/agents/{id}/versions",
    operation_id = "list_agent_versions",
    tag = "agents",
    params(("id" = String, Path, description = "The id or the name of the agent."), ListQuery),
    responses(
        (status = 200, description = "One page, newest first.", body = VersionSummaryList),
        (status = 404, description = "The tenant has no such agent (`agent_not_found`)."),
        Problems
    ),
)]
pub(crate) async fn list_agent_versions(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(agent): Path<AgentKey>,
    Query(query): Query<ListQuery>,
) -> Result<impl IntoResponse, Problem> {
    let secret = app.vault.get().await?;
    let limit = query.limit.map(Limit::get);
    let cursor = query.cursor.as_deref();
    let page = app.agents.versions(caller.tenant, &agent, secret.cursor(), cursor, limit).await?;
    Ok(Json(ListResponse::new(page, secret.cursor())))
}

/// Add a version of an agent.
///
/// It becomes the latest. A label stays at its version until it is moved. An agent can have 1,000 versions.
#[utoipa::path(
    post,
    path = "/api/agents/{id}/versions",
    operation_id = "add_agent_version",
    tag = "agents",
    params(("id" = String, Path, description = "The id or the name of the agent."), IdempotencyKey),
    request_body = NewAgentVersion,
    responses(
        (status = 201, description = "The agent; `latest_version` is the number of the new version.", body = Agent, headers(("Location" = String, description = "The path of the version."))),
        (status = 404, description = "The tenant has no such agent (`agent_not_found`), or no prompt that the definition names (`prompt_not_found`)."),
        (status = 409, description = "There are 1,000 versions (`definitions_limit`)."),
        (status = 422, description = "The definition or a template is not allowed (`validation_failed`, `template_invalid`)."),
        Problems
    ),
)]
pub(crate) async fn add_agent_version(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(agent): Path<AgentKey>,
    Json(body): Json<NewAgentVersion>,
) -> Result<impl IntoResponse, Problem> {
    let new = NewVersion { content: body.definition, change: body.change, user: caller.user };
    let adding = app.agents.add_version(caller.tenant, &agent, &new, Timestamp::now());
    let agent = Box::pin(adding).await?;
    let location = [(LOCATION, format!("/api/agents/{}/versions/{}", agent.id, agent.latest_version))];
    Ok((StatusCode::CREATED, location, Json(agent)))
}

/// Get a version of an agent.
#[utoipa::path(
    get,
    path = "/api/agents/{id}/versions/{version}",
    operation_id = "get_agent_version",
    tag = "agents",
    params(
        ("id" = String, Path, description = "The id or the name of the agent."),
        ("version" = u32, Path, description = "The number of the version."),
    ),
    responses(
        (status = 200, description = "The version.", body = AgentVersion),
        (status = 404, description = "The tenant has no such agent (`agent_not_found`), or it has no such version (`version_not_found`)."),
        Problems
    ),
)]
pub(crate) async fn get_agent_version(
    State(app): State<App>,
    Caller(caller): Caller,
    Path((agent, version)): Path<(AgentKey, u32)>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Json(app.agents.shown_version(caller.tenant, &agent, version).await?))
}
