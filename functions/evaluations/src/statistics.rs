//! The counters of a version of an agent, over HTTP.

use axum::{extract::State, response::IntoResponse};
use sequent_conversation::AgentStatistics;
use sequent_definitions::AgentKey;
use sequent_http::{Caller, Json, Path, Problem, openapi::Problems};
use sequent_tables::key::NumberedAgent;

use crate::App;

/// Get the statistics of a version of an agent.
///
/// The runs that were started with the version and have ended, their cost, tokens and latency, and the feedback on them. Two
/// versions are compared by reading both.
#[utoipa::path(
    get,
    path = "/api/agents/{id}/versions/{version}/statistics",
    operation_id = "get_agent_statistics",
    tag = "evaluations",
    params(
        ("id" = String, Path, description = "The id or the name of the agent."),
        ("version" = u32, Path, description = "The number of the version."),
    ),
    responses(
        (status = 200, description = "The statistics.", body = AgentStatistics),
        (status = 404, description = "The tenant has no such agent (`agent_not_found`), or it has no such version (`version_not_found`)."),
        Problems
    ),
)]
pub(crate) async fn get_agent_statistics(
    State(app): State<App>,
    Caller(caller): Caller,
    Path((agent, version)): Path<(AgentKey, u32)>,
) -> Result<impl IntoResponse, Problem> {
    let agent = app.agents.get(caller.tenant, &agent).await?.id;
    app.agents.version(caller.tenant, agent, version).await?;
    let of = NumberedAgent { agent, version };
    Ok(Json(AgentStatistics::read(app.store(), caller.tenant, of).await?))
}
