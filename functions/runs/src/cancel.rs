//! `POST /api/runs/{id}/cancel`: cancels a run.

use axum::{extract::State, response::IntoResponse};
use http::StatusCode;
use sequent_conversation::{Cancel, Run};
use sequent_core::RunId;
use sequent_event::CancelReason;
use sequent_http::{Caller, Json, Path, Problem, openapi::Problems};
use sequent_runlog::LogKey;

use crate::App;

/// Cancel a run.
///
/// The text of the run so far is kept. A run that is being executed stops within a second and is answered with 202. A
/// run without an owner is ended before the response. Cancelling a run that has ended changes nothing, so the request
/// can be repeated.
#[utoipa::path(
    post,
    path = "/api/runs/{id}/cancel",
    operation_id = "cancel_run",
    tag = "runs",
    params(("id" = RunId, Path, description = "The run.")),
    responses(
        (status = 200, description = "The run, which has ended.", body = Run),
        (status = 202, description = "The run, which was asked to stop.", body = Run),
        (status = 404, description = "The tenant has no such run."),
        Problems
    ),
)]
pub(crate) async fn cancel(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<RunId>,
) -> Result<impl IntoResponse, Problem> {
    let key = LogKey { tenant: caller.tenant, run: id };
    let cancelling =
        sequent_conversation::cancel(app.store(), key, Some(caller.user), CancelReason::Requested);
    let status = match Box::pin(cancelling).await? {
        Cancel::Requested => StatusCode::ACCEPTED,
        Cancel::Done | Cancel::AlreadyEnded => StatusCode::OK,
    };
    let run = app.runs_of(&caller).get_for_caller(id).await?;
    Ok((status, Json(run)))
}
