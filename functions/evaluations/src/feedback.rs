//! Lists of the feedback in a tenant.

use axum::{extract::State, response::IntoResponse};
use sequent_conversation::{Feedback, FeedbackFilter};
use sequent_definitions::AgentKey;
use sequent_http::{Caller, Json, Limit, ListResponse, Problem, Query, openapi::Problems};
use sequent_tables::key::NumberedAgent;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::App;

/// The query of `GET /api/feedback`.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeedbackQuery {
    /// Only feedback on runs of this agent: its id or its name.
    #[param(value_type = Option<String>)]
    agent: Option<AgentKey>,
    /// Only feedback on runs of this version of the agent.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 1_000)]
    version: Option<u32>,
    /// Maximum number of items; 50 if not given.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Option<Limit>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

type FeedbackList = ListResponse<Feedback>;

/// List the feedback on runs.
///
/// By agents and their versions, the latest versions first, and within a version that on the newest runs first. A page may have
/// fewer items than its limit, because feedback on conversations that are being deleted is left out.
#[utoipa::path(
    get,
    path = "/api/feedback",
    operation_id = "list_feedback",
    tag = "evaluations",
    params(FeedbackQuery),
    responses(
        (status = 200, description = "One page.", body = FeedbackList),
        (status = 404, description = "The tenant has no such agent (`agent_not_found`)."),
        Problems
    ),
)]
pub(crate) async fn list_feedback(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(query): Query<FeedbackQuery>,
) -> Result<impl IntoResponse, Problem> {
    let agent = match &query.agent {
        Some(agent) => Some(app.agents.get(caller.tenant, agent).await?.id),
        None => None,
    };
    let filter = match (agent, query.version) {
        (Some(agent), Some(version)) => FeedbackFilter::Version(NumberedAgent { agent, version }),
        (Some(agent), None) => FeedbackFilter::Agent(agent),
        (None, None) => FeedbackFilter::All,
        (None, Some(_)) => {
            return Err(Problem::invalid("A version is a version of an agent. Name the agent, too.")
                .at_parameter("version", "must not be given without `agent`"));
        }
    };
    let secret = app.vault.get().await?;
    let cursors = secret.cursor();
    let listing = sequent_conversation::list_feedback(
        app.store(),
        caller.tenant,
        filter,
        cursors,
        query.cursor.as_deref(),
        query.limit.map(Limit::get),
    );
    Ok(Json(ListResponse::new(listing.await?, cursors)))
}
