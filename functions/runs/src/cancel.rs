//! Stopping a run.

use axum::{extract::State, response::IntoResponse};
use http::StatusCode;
use sequent_conversation::{Cancel, Run, Runs};
use sequent_core::RunId;
use sequent_event::CancelReason;
use sequent_http::{Caller, Json, Path, Problem, Scope, openapi::Problems};

use crate::{Executions, problem};

/// Cancel a run.
///
/// What it has said so far is kept. A run that executes stops within a second and is answered with 202; one that
/// nobody executes is ended here and now. Cancelling a run that has ended changes nothing, so the request may be
/// repeated.
#[utoipa::path(
    post,
    path = "/api/runs/{id}/cancel",
    operation_id = "cancel_run",
    tag = "runs",
    params(("id" = RunId, Path, description = "The run.")),
    responses(
        (status = 200, description = "The run, which has ended now or had ended before.", body = Run),
        (status = 202, description = "The run, which was asked to stop.", body = Run),
        (status = 404, description = "The tenant has no such run."),
        Problems
    ),
)]
pub(crate) async fn cancel(
    State(executions): State<Executions>,
    Caller(caller): Caller,
    Path(id): Path<RunId>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::RunsWrite)?;
    let Executions { storage, settings, .. } = &executions;
    let by = Some(caller.user);
    let cancelling =
        sequent_conversation::cancel(storage, *settings, caller.tenant, id, by, CancelReason::Requested);
    let status = match Box::pin(cancelling).await.map_err(problem)? {
        Cancel::Requested => StatusCode::ACCEPTED,
        Cancel::Done | Cancel::AlreadyEnded => StatusCode::OK,
    };
    let run = Runs::new(storage.store(), caller.tenant).get(id).await.map_err(problem)?;
    Ok((status, Json(run)))
}
