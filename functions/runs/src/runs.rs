//! Reading runs.

use axum::{extract::State, response::IntoResponse};
use sequent_conversation::{Run, Runs};
use sequent_core::RunId;
use sequent_http::{Caller, Json, Limit, Path, Problem, Query, Scope, openapi::Problems};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{Executions, problem};

/// Which runs, and which page of them.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunsQuery {
    /// Only those the caller started.
    #[serde(default)]
    #[param(required = false)]
    mine: bool,
    /// Most items of the page; 50 if not given.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// One page of runs.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunList {
    items: Vec<Run>,
    /// Where the next page starts; null at the end.
    next_cursor: Option<String>,
}

/// List runs.
///
/// Those of the tenant or, with `mine`, of the caller alone. A cursor belongs to the list it came from.
#[utoipa::path(
    get,
    path = "/api/runs",
    operation_id = "list_runs",
    tag = "runs",
    params(RunsQuery),
    responses((status = 200, description = "One page, newest first.", body = RunList), Problems),
)]
pub(crate) async fn list(
    State(executions): State<Executions>,
    Caller(caller): Caller,
    Query(query): Query<RunsQuery>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::RunsRead)?;
    let secret = executions.vault.get().await?;
    let (key, cursor, limit) = (secret.cursor(), query.cursor.as_deref(), query.limit.map(Limit::get));
    let runs = Runs::new(executions.storage.store(), caller.tenant);
    let page = if query.mine {
        runs.list_of_user(caller.user, key, cursor, limit).await
    } else {
        runs.list(key, cursor, limit).await
    };
    let page = page.map_err(problem)?;
    Ok(Json(RunList { next_cursor: page.next_cursor(key), items: page.items }))
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
        (status = 200, description = "The run.", body = Run),
        (status = 404, description = "The tenant has no such run."),
        Problems
    ),
)]
pub(crate) async fn get(
    State(executions): State<Executions>,
    Caller(caller): Caller,
    Path(id): Path<RunId>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::RunsRead)?;
    Runs::new(executions.storage.store(), caller.tenant).get(id).await.map(Json).map_err(problem)
}
