//! Agents and prompts to begin with.

use axum::response::IntoResponse;
use sequent_definitions::ServicePrompt;
use sequent_http::{Caller, Json, Problem, openapi::Problems};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::{agents::CreateAgent, prompts::CreatePrompt};

/// Agents and prompts to begin with.
#[derive(Serialize, ToSchema)]
pub(crate) struct AgentStarters {
    /// Bodies for `POST /api/agents`.
    #[schema(value_type = Vec<CreateAgent>)]
    items: Vec<Value>,
    /// Bodies for `POST /api/prompts`: the built-in prompts of the service's own jobs, under their reserved names. A prompt of
    /// the tenant with such a name replaces the built-in one.
    #[schema(value_type = Vec<CreatePrompt>)]
    prompts: Vec<Value>,
}

/// List agents to begin with.
///
/// Each is the body of a request that creates an agent: a general assistant, a researcher that plans and cites, a writer of
/// reports, and an extractor of data with a schema. Change them as you like. `prompts` has what the service itself asks models to
/// do: naming conversations, collecting entities, writing companion reports.
#[utoipa::path(
    get,
    path = "/api/agent-starters",
    operation_id = "list_agent_starters",
    tag = "agents",
    responses((status = 200, description = "All starters.", body = AgentStarters), Problems),
)]
pub(crate) async fn list_agent_starters(Caller(_caller): Caller) -> Result<impl IntoResponse, Problem> {
    let prompts =
        ServicePrompt::ALL.map(|prompt| json!({"name": prompt.name(), "template": prompt.built_in()}));
    Ok(Json(AgentStarters { items: sequent_definitions::starters(), prompts: prompts.into() }))
}
