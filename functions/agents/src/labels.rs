//! The labels of agents and prompts.

use axum::{extract::State, response::IntoResponse};
use sequent_core::Timestamp;
use sequent_definitions::{Agent, AgentKey, DefinitionName, LabelMove, NamedPrompt, VersionLabel};
use sequent_http::{Caller, Json, Path, Problem, openapi::Problems};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::App;

/// The move of a label.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LabelChange {
    /// The version that the label is to have.
    version: u32,
    /// The version that the label has now. Null or absent if there is no such label.
    #[serde(default)]
    expected: Option<u32>,
}

impl From<LabelChange> for LabelMove {
    fn from(LabelChange { version, expected }: LabelChange) -> Self {
        Self { version, expected }
    }
}

/// Change a label of an agent.
///
/// The label moves only if it has the version `expected`: of two people who move it at once, one is told. To roll back, move it to
/// an earlier version. A label that has the version already stays. Runs that ask for no version have that with the label
/// `production`. An agent can have 20 labels.
#[utoipa::path(
    put,
    path = "/api/agents/{id}/labels/{label}",
    operation_id = "change_agent_label",
    tag = "agents",
    params(
        ("id" = String, Path, description = "The id or the name of the agent."),
        ("label" = String, Path, description = "The label."),
    ),
    request_body = LabelChange,
    responses(
        (status = 200, description = "The agent.", body = Agent),
        (status = 404, description = "The tenant has no such agent (`agent_not_found`), or it has no such version (`version_not_found`)."),
        (status = 409, description = "The label has another version, which is in `version` (`label_moved`), or there are 20 labels (`definitions_limit`)."),
        Problems
    ),
)]
pub(crate) async fn change_agent_label(
    State(app): State<App>,
    Caller(caller): Caller,
    Path((agent, label)): Path<(AgentKey, VersionLabel)>,
    Json(body): Json<LabelChange>,
) -> Result<impl IntoResponse, Problem> {
    let agents = &app.agents;
    Ok(Json(agents.set_label(caller.tenant, &agent, &label, body.into(), Timestamp::now()).await?))
}

/// Delete a label of an agent.
#[utoipa::path(
    delete,
    path = "/api/agents/{id}/labels/{label}",
    operation_id = "delete_agent_label",
    tag = "agents",
    params(
        ("id" = String, Path, description = "The id or the name of the agent."),
        ("label" = String, Path, description = "The label."),
    ),
    responses(
        (status = 200, description = "The agent without the label.", body = Agent),
        (status = 404, description = "The tenant has no such agent (`agent_not_found`), or it has no such label (`label_not_found`)."),
        Problems
    ),
)]
pub(crate) async fn delete_agent_label(
    State(app): State<App>,
    Caller(caller): Caller,
    Path((agent, label)): Path<(AgentKey, VersionLabel)>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Json(app.agents.remove_label(caller.tenant, &agent, &label, Timestamp::now()).await?))
}

/// Change a label of a prompt.
///
/// As the labels of agents. Agents that name the prompt without a version have that with the label `production`.
#[utoipa::path(
    put,
    path = "/api/prompts/{name}/labels/{label}",
    operation_id = "change_prompt_label",
    tag = "agents",
    params(
        ("name" = String, Path, description = "The name of the prompt."),
        ("label" = String, Path, description = "The label."),
    ),
    request_body = LabelChange,
    responses(
        (status = 200, description = "The prompt.", body = NamedPrompt),
        (status = 404, description = "The tenant has no such prompt (`prompt_not_found`), or it has no such version (`version_not_found`)."),
        (status = 409, description = "The label has another version, which is in `version` (`label_moved`), or there are 20 labels (`definitions_limit`)."),
        Problems
    ),
)]
pub(crate) async fn change_prompt_label(
    State(app): State<App>,
    Caller(caller): Caller,
    Path((name, label)): Path<(DefinitionName, VersionLabel)>,
    Json(body): Json<LabelChange>,
) -> Result<impl IntoResponse, Problem> {
    let prompts = app.prompts();
    Ok(Json(prompts.set_label(caller.tenant, &name, &label, body.into(), Timestamp::now()).await?))
}
