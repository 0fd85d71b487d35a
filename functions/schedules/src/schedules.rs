//! Creating, reading, changing and deleting schedules.

use axum::{extract::State, response::IntoResponse};
use http::{StatusCode, header::LOCATION};
use sequent_core::{ScheduleId, Timestamp};
use sequent_http::{
    Caller, Json, Limit, ListQuery, ListResponse, Path, Problem, Query, idempotency::IdempotencyKey,
    openapi::Problems,
};
use sequent_schedules::{ScheduleChange, ScheduleSpec};

use crate::{App, shown::ShownSchedule};

type ScheduleList = ListResponse<ShownSchedule>;

/// List the schedules of the tenant.
#[utoipa::path(
    get,
    path = "/api/schedules",
    operation_id = "list_schedules",
    tag = "schedules",
    params(ListQuery),
    responses((status = 200, description = "One page, newest first.", body = ScheduleList), Problems),
)]
pub(crate) async fn list_schedules(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(query): Query<ListQuery>,
) -> Result<impl IntoResponse, Problem> {
    let secret = app.vault.get().await?;
    let limit = query.limit.map(Limit::get);
    let page = app.schedules.list(caller.tenant, secret.cursor(), query.cursor.as_deref(), limit).await?;
    Ok(Json(ListResponse::new(page.map(ShownSchedule::from), secret.cursor())))
}

/// Create a schedule.
///
/// At each due time a run is started in the name of the caller, with the scopes of the credential, and with the same limits,
/// holds and problems as `POST /api/runs`. A due time whose run could not be started within ten minutes is missed: it is
/// counted, and one run at most makes up for all that were missed together. After five refused starts in a row the schedule
/// is paused, and also when the API key of the request ends. A tenant can have 100 schedules.
#[utoipa::path(
    post,
    path = "/api/schedules",
    operation_id = "create_schedule",
    tag = "schedules",
    params(IdempotencyKey),
    request_body = ScheduleSpec,
    responses(
        (status = 201, description = "The schedule.", body = ShownSchedule, headers(("Location" = String, description = "The path of the schedule."))),
        (status = 404, description = "The tenant has no such agent (`agent_not_found`)."),
        (status = 409, description = "There are 100 schedules (`schedules_limit`)."),
        (status = 422, description = "The schedule is not allowed (`validation_failed`, `variables_invalid`)."),
        Problems
    ),
)]
pub(crate) async fn create_schedule(
    State(app): State<App>,
    Caller(caller): Caller,
    Json(spec): Json<ScheduleSpec>,
) -> Result<impl IntoResponse, Problem> {
    Box::pin(app.launcher.check(&caller, &spec)).await?;
    let schedule = app.schedules.create(&caller, spec, Timestamp::now()).await?;
    let location = [(LOCATION, format!("/api/schedules/{}", schedule.id))];
    Ok((StatusCode::CREATED, location, Json(ShownSchedule::from(schedule))))
}

/// Get a schedule.
#[utoipa::path(
    get,
    path = "/api/schedules/{id}",
    operation_id = "get_schedule",
    tag = "schedules",
    params(("id" = ScheduleId, Path, description = "The schedule.")),
    responses(
        (status = 200, description = "The schedule, with its next due times and its last runs.", body = ShownSchedule),
        (status = 404, description = "The tenant has no such schedule."),
        Problems
    ),
)]
pub(crate) async fn get_schedule(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<ScheduleId>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Json(ShownSchedule::from(app.schedules.get(caller.tenant, id).await?)))
}

/// Change a schedule.
///
/// A change can pause the schedule and let it go on. Due times that have passed stay as they are, and those during a pause have
/// no run. Who changes more than the pause, or lets a schedule go on that was paused because its API key had ended, has the runs
/// in their own name from then on, with the scopes of the credential of the request.
#[utoipa::path(
    patch,
    path = "/api/schedules/{id}",
    operation_id = "change_schedule",
    tag = "schedules",
    params(("id" = ScheduleId, Path, description = "The schedule.")),
    request_body = ScheduleChange,
    responses(
        (status = 200, description = "The schedule.", body = ShownSchedule),
        (status = 404, description = "The tenant has no such schedule, or no such agent (`agent_not_found`)."),
        (status = 422, description = "The schedule is not allowed (`validation_failed`, `variables_invalid`)."),
        Problems
    ),
)]
pub(crate) async fn change_schedule(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<ScheduleId>,
    Json(change): Json<ScheduleChange>,
) -> Result<impl IntoResponse, Problem> {
    let now = Timestamp::now();
    let before = app.schedules.get(caller.tenant, id).await?;
    if before.is_taken_over_by(&change) {
        let changed = before.changed(change.clone(), &caller, now)?;
        Box::pin(app.launcher.check(&caller, &changed.spec)).await?;
    }
    let schedule = app.schedules.change(&caller, id, &change, now).await?;
    Ok(Json(ShownSchedule::from(schedule)))
}

/// Delete a schedule.
///
/// Its runs stay. A run that was started goes on.
#[utoipa::path(
    delete,
    path = "/api/schedules/{id}",
    operation_id = "delete_schedule",
    tag = "schedules",
    params(("id" = ScheduleId, Path, description = "The schedule.")),
    responses(
        (status = 204, description = "The schedule was deleted."),
        (status = 404, description = "The tenant has no such schedule."),
        Problems
    ),
)]
pub(crate) async fn delete_schedule(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<ScheduleId>,
) -> Result<impl IntoResponse, Problem> {
    app.schedules.delete(caller.tenant, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
