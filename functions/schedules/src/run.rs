//! `POST /api/schedules/{id}/run`: running a schedule by hand.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use sequent_conversation::Run;
use sequent_core::{ScheduleId, Timestamp};
use sequent_http::{
    Caller, Json, Path, Problem,
    idempotency::{IdempotencyKey, REPLAYED},
    openapi::Problems,
};

use crate::App;

/// Start a run of a schedule now.
///
/// Starts a run with the task of the schedule, for the caller, whether or not the schedule is paused. The due times of the
/// schedule stay as they are. If the runs continue one project that is busy, the request is refused, waits or cancels the
/// live run, as `overlap` says.
#[utoipa::path(
    post,
    path = "/api/schedules/{id}/run",
    operation_id = "start_scheduled_run",
    tag = "schedules",
    params(("id" = ScheduleId, Path, description = "The schedule."), IdempotencyKey),
    responses(
        (status = 202, description = "The run, which is executed as soon as possible.", body = Run,
         headers(("Location" = String, description = "The address of the run."))),
        (status = 404, description = "The tenant has no such schedule, or no such agent any more (`agent_not_found`)."),
        Problems
    ),
)]
pub(crate) async fn start_scheduled_run(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<ScheduleId>,
    key: Option<IdempotencyKey>,
) -> Result<Response, Problem> {
    let path = format!("/api/schedules/{id}/run");
    let idempotency = IdempotencyKey::of_run(key, caller.tenant, "schedules.run", &path, &())?;
    let running = app.launcher.run_now(&caller, id, idempotency, Timestamp::now());
    let (run, is_replayed) = Box::pin(running).await?;
    let location = HeaderValue::try_from(format!("/api/runs/{}", run.id)).expect("ids are ASCII");
    let mut response = (StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(run)).into_response();
    if is_replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}
