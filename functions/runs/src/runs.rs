//! Reads runs: the list, and one run by its id.

use axum::{extract::State, response::IntoResponse};
use sequent_conversation::{Feedback, Run, feedback_of_run};
use sequent_core::RunId;
use sequent_http::{Caller, Json, Limit, ListResponse, Path, Problem, Query, openapi::Problems};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::App;

/// The query of `GET /api/runs`.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunsQuery {
    /// Only the runs that the caller started.
    #[serde(default)]
    #[param(required = false)]
    mine: bool,
    /// Maximum number of items; 50 if not given.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Option<Limit>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

type RunList = ListResponse<Run>;

/// List runs.
///
/// The runs of the tenant or, with `mine`, only those of the caller. A cursor is valid only for the list that it came
/// from.
#[utoipa::path(
    get,
    path = "/api/runs",
    operation_id = "list_runs",
    tag = "runs",
    params(RunsQuery),
    responses((status = 200, description = "One page, newest first.", body = RunList), Problems),
)]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(query): Query<RunsQuery>,
) -> Result<impl IntoResponse, Problem> {
    let secret = app.vault.get().await?;
    let cursors = secret.cursor();
    let cursor = query.cursor.as_deref();
    let limit = query.limit.map(Limit::get);
    let runs = app.runs_of(&caller);
    let page = if query.mine {
        runs.list_of_user(caller.user, cursors, cursor, limit).await?
    } else {
        runs.list(cursors, cursor, limit).await?
    };
    Ok(Json(ListResponse::new(page, cursors)))
}

/// A run with the feedback on it.
#[derive(Serialize, ToSchema)]
pub(crate) struct RatedRun {
    #[serde(flatten)]
    run: Run,
    /// The feedback on the run and on its answers, up to 100 of it. Absent if there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    feedback: Vec<Feedback>,
}

/// Get a run.
///
/// Usage and cost are complete when the run has ended.
#[utoipa::path(
    get,
    path = "/api/runs/{id}",
    operation_id = "get_run",
    tag = "runs",
    params(("id" = RunId, Path, description = "The run.")),
    responses(
        (status = 200, description = "The run.", body = RatedRun),
        (status = 404, description = "The tenant has no such run."),
        Problems
    ),
)]
pub(crate) async fn get(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<RunId>,
) -> Result<impl IntoResponse, Problem> {
    let run = app.runs_of(&caller).get_for_caller(id).await?;
    let feedback = feedback_of_run(app.store().tables(), caller.tenant, &run).await?;
    Ok(Json(RatedRun { run, feedback }))
}
