//! The policies and limits that a tenant sets to the tools of all its agents.

use axum::{extract::State, response::IntoResponse};
use sequent_definitions::ToolRules;
use sequent_http::{Caller, Json, Problem, openapi::Problems};
use sequent_tool::ToolRule;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::App;

/// The policies to have from now on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToolPolicies {
    /// The revision of the policies that these replace.
    revision: u32,
    /// All policies. Those that are not listed are removed.
    #[schema(max_items = 100)]
    items: Vec<ToolRule>,
}

/// List the policies of tools.
#[utoipa::path(
    get,
    path = "/api/tool-policies",
    operation_id = "list_tool_policies",
    tag = "agents",
    responses((status = 200, description = "All policies, and their revision.", body = ToolRules), Problems),
)]
pub(crate) async fn list_tool_policies(
    State(app): State<App>,
    Caller(caller): Caller,
) -> Result<impl IntoResponse, Problem> {
    Ok(Json(ToolRules::read(&app.store, caller.tenant).await?))
}

/// Change the policies of tools.
///
/// Replaces all of them, if they have the revision of the request: of two people who change them at once, one is told. They hold for
/// the tools of the deployment, of the tenant and of its MCP servers, in every run from its next execution on. A call beyond a limit
/// is not made, and its result tells the model so. The tools by which runs write their plans and documents have no policy.
#[utoipa::path(
    put,
    path = "/api/tool-policies",
    operation_id = "change_tool_policies",
    tag = "agents",
    request_body = NewToolPolicies,
    responses(
        (status = 200, description = "The policies and their new revision.", body = ToolRules),
        (status = 409, description = "The policies have another revision, which is in `revision` (`tool_policies_changed`)."),
        Problems
    ),
)]
pub(crate) async fn change_tool_policies(
    State(app): State<App>,
    Caller(caller): Caller,
    Json(body): Json<NewToolPolicies>,
) -> Result<impl IntoResponse, Problem> {
    let changing = ToolRules::replace(&app.store, caller.tenant, body.revision, body.items);
    Ok(Json(Box::pin(changing).await?))
}
