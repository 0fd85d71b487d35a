//! The agent of runs that ask for none.

use axum::{extract::State, response::IntoResponse};
use sequent_definitions::{AgentReference, DefaultAgent};
use sequent_http::{Caller, Json, Problem, openapi::Problems};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::App;

/// The default agent of a tenant, if it has one.
#[derive(Serialize, ToSchema)]
pub(crate) struct DefaultAgentSetting {
    /// Null if runs that ask for no agent have none.
    default_agent: Option<DefaultAgent>,
}

/// The agent to make the default.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDefaultAgent {
    /// Its id or its name, alone or followed by `@` and a label or the number of a version. Null for no default agent.
    // Without the attribute, a missing member would count as null.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required = true, example = "support@production")]
    agent: Option<AgentReference>,
}

/// Get the default agent.
#[utoipa::path(
    get,
    path = "/api/default-agent",
    operation_id = "get_default_agent",
    tag = "agents",
    responses(
        (status = 200, description = "The default agent.", body = DefaultAgentSetting),
        (status = 404, description = "The label of the default agent was removed (`label_not_found`)."),
        Problems
    ),
)]
pub(crate) async fn get_default_agent(
    State(app): State<App>,
    Caller(caller): Caller,
) -> Result<impl IntoResponse, Problem> {
    let default_agent = app.agents.default_agent(caller.tenant).await?;
    Ok(Json(DefaultAgentSetting { default_agent }))
}

/// Change the default agent.
///
/// Runs that ask for no agent have it. It is kept by its id, so it may be renamed. When it is deleted, there is no default agent.
#[utoipa::path(
    put,
    path = "/api/default-agent",
    operation_id = "change_default_agent",
    tag = "agents",
    request_body = NewDefaultAgent,
    responses(
        (status = 200, description = "The default agent.", body = DefaultAgentSetting),
        (status = 404, description = "The tenant has no such agent (`agent_not_found`), or it has no such label or version (`label_not_found`, `version_not_found`)."),
        Problems
    ),
)]
pub(crate) async fn change_default_agent(
    State(app): State<App>,
    Caller(caller): Caller,
    Json(body): Json<NewDefaultAgent>,
) -> Result<impl IntoResponse, Problem> {
    let default_agent = match body.agent {
        Some(agent) => Some(app.agents.set_default(caller.tenant, agent).await?),
        None => {
            app.agents.clear_default(caller.tenant).await?;
            None
        }
    };
    Ok(Json(DefaultAgentSetting { default_agent }))
}
