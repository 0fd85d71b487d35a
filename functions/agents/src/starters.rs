//! Agents to begin with.

use axum::response::IntoResponse;
use sequent_http::{Caller, Json, Problem, openapi::Problems};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::agents::CreateAgent;

/// Agents to begin with.
#[derive(Serialize, ToSchema)]
pub(crate) struct AgentStarters {
    /// Bodies for `POST /api/agents`.
    #[schema(value_type = Vec<CreateAgent>)]
    items: Vec<Value>,
}

/// List agents to begin with.
///
/// Each is the body of a request that creates an agent: a general assistant, a researcher that plans and cites, a writer of
/// reports, and an extractor of data with a schema. Change them as you like.
#[utoipa::path(
    get,
    path = "/api/agent-starters",
    operation_id = "list_agent_starters",
    tag = "agents",
    responses((status = 200, description = "All starters.", body = AgentStarters), Problems),
)]
pub(crate) async fn list_agent_starters(Caller(_caller): Caller) -> Result<impl IntoResponse, Problem> {
    Ok(Json(AgentStarters { items: sequent_definitions::starters() }))
}
