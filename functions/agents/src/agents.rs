//! Creating, reading, renaming and deleting agents.

use axum::{extract::State, response::IntoResponse};
use http::{StatusCode, header::LOCATION};
use sequent_core::Timestamp;
use sequent_definitions::{Agent, AgentDefinition, AgentKey, DefinitionName, NewAgent, NewVersion};
use sequent_http::{
    Caller, Json, Limit, ListQuery, ListResponse, Path, Problem, Query, idempotency::IdempotencyKey,
    openapi::Problems,
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::App;

/// The agent to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateAgent {
    /// The name, unique among the agents of the tenant.
    #[schema(example = "support")]
    name: DefinitionName,
    /// The content of the first version.
    definition: AgentDefinition,
    /// A note about the first version.
    #[serde(default)]
    #[schema(max_length = 500)]
    change: Option<String>,
}

/// A change of an agent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgentChange {
    /// The new name of the agent.
    name: DefinitionName,
}

type AgentList = ListResponse<Agent>;

/// List the agents of the tenant.
#[utoipa::path(
    get,
    path = "/api/agents",
    operation_id = "list_agents",
    tag = "agents",
    params(ListQuery),
    responses((status = 200, description = "One page, newest first.", body = AgentList), Problems),
)]
pub(crate) async fn list_agents(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(query): Query<ListQuery>,
) -> Result<impl IntoResponse, Problem> {
    let secret = app.vault.get().await?;
    let limit = query.limit.map(Limit::get);
    let page = app.agents.list(caller.tenant, secret.cursor(), query.cursor.as_deref(), limit).await?;
    Ok(Json(ListResponse::new(page, secret.cursor())))
}

/// Create an agent.
///
/// The definition becomes version 1. `GET /api/agent-starters` returns bodies for this request to begin with. A tenant can have
/// 200 agents.
#[utoipa::path(
    post,
    path = "/api/agents",
    operation_id = "create_agent",
    tag = "agents",
    params(IdempotencyKey),
    request_body = CreateAgent,
    responses(
        (status = 201, description = "The agent.", body = Agent, headers(("Location" = String, description = "The path of the agent."))),
        (status = 404, description = "The tenant has no prompt that the definition names (`prompt_not_found`)."),
        (status = 409, description = "The name is taken (`name_taken`), or there are 200 agents (`definitions_limit`)."),
        (status = 422, description = "The definition or a template is not allowed (`validation_failed`, `template_invalid`)."),
        Problems
    ),
)]
pub(crate) async fn create_agent(
    State(app): State<App>,
    Caller(caller): Caller,
    Json(body): Json<CreateAgent>,
) -> Result<impl IntoResponse, Problem> {
    let version = NewVersion { content: body.definition, change: body.change, user: caller.user };
    let new = NewAgent { name: body.name, version };
    let agent = Box::pin(app.agents.create(caller.tenant, &new, Timestamp::now())).await?;
    let location = [(LOCATION, format!("/api/agents/{}", agent.id))];
    Ok((StatusCode::CREATED, location, Json(agent)))
}

/// Get an agent by its id or name.
#[utoipa::path(
    get,
    path = "/api/agents/{id}",
    operation_id = "get_agent",
    tag = "agents",
    params(("id" = String, Path, description = "The id or the name of the agent.")),
    responses(
        (status = 200, description = "The agent.", body = Agent),
        (status = 404, description = "The tenant has no such agent (`agent_not_found`)."),
        Problems
    ),
)]
pub(crate) async fn get_agent(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(agent): Path<AgentKey>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Json(app.agents.get(caller.tenant, &agent).await?))
}

/// Rename an agent.
///
/// The id stays, and so do runs and the default agent. Everything else of an agent belongs to a version.
#[utoipa::path(
    patch,
    path = "/api/agents/{id}",
    operation_id = "rename_agent",
    tag = "agents",
    params(("id" = String, Path, description = "The id or the name of the agent.")),
    request_body = AgentChange,
    responses(
        (status = 200, description = "The renamed agent.", body = Agent),
        (status = 404, description = "The tenant has no such agent (`agent_not_found`)."),
        (status = 409, description = "The name is taken (`name_taken`)."),
        Problems
    ),
)]
pub(crate) async fn rename_agent(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(agent): Path<AgentKey>,
    Json(body): Json<AgentChange>,
) -> Result<impl IntoResponse, Problem> {
    let renaming = app.agents.rename(caller.tenant, &agent, &body.name, Timestamp::now());
    Ok(Json(Box::pin(renaming).await?))
}

/// Delete an agent.
///
/// No new run can have it, and its name is free. Runs that were made with it go on, because its versions are kept for them. Its
/// notes about all people are deleted.
#[utoipa::path(
    delete,
    path = "/api/agents/{id}",
    operation_id = "delete_agent",
    tag = "agents",
    params(("id" = String, Path, description = "The id or the name of the agent.")),
    responses(
        (status = 204, description = "The agent is deleted."),
        (status = 404, description = "The tenant has no such agent (`agent_not_found`)."),
        Problems
    ),
)]
pub(crate) async fn delete_agent(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(agent): Path<AgentKey>,
) -> Result<impl IntoResponse, Problem> {
    let id = app.agents.get(caller.tenant, &agent).await?.id;
    Box::pin(app.agents.delete(caller.tenant, &AgentKey::Id(id))).await?;
    app.memory.delete_of_agent(caller.tenant, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
