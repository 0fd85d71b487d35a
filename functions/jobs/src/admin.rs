//! Steering jobs.

use axum::{extract::State, response::IntoResponse};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use sequent_core::{JobId, Timestamp};
use sequent_http::{Json, Path, Problem, Query, from_json, openapi::Problems};
use sequent_jobs::{
    Cancel, Job, New, Redrive, enqueue,
    kinds::{HelloInput, HelloWorld},
};

use crate::{
    Background,
    access::{Access, Whose},
    problem,
};

/// Longest name and key of a greeting, in bytes.
const LONGEST: usize = 200;

/// Redrive a job.
///
/// Has a job that failed tried again, with all its attempts before it. It is queued once for each time it failed: a
/// repeated request finds it waiting. A job that has not failed is left as it is.
#[utoipa::path(
    post,
    path = "/api/admin/jobs/{id}/redrive",
    operation_id = "redrive_job",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job."), Whose),
    security(("bearer" = []), ("apiKey" = []), ("cookie" = []), ("adminKey" = [])),
    responses(
        (status = 202, description = "The job, which waits again.", body = Job),
        (status = 404, description = "The tenant has no such job."),
        (status = 409, description = "It has not failed (`not_failed`)."),
        Problems
    ),
)]
pub(crate) async fn redrive(
    State(background): State<Background>,
    access: Access,
    Path(id): Path<JobId>,
    Query(whose): Query<Whose>,
) -> Result<impl IntoResponse, Problem> {
    let tenant = access.steers(&background, whose.tenant_id).await?;
    let store = background.storage.store();
    match sequent_jobs::redrive(store, tenant, id, Timestamp::now()).await.map_err(problem)? {
        Redrive::Done(job) => Ok((StatusCode::ACCEPTED, Json(*job))),
        Redrive::NotFailed(_) => Err(Problem::conflict("not_failed", "The job has not failed.")),
    }
}

/// Cancel a job.
///
/// It ends at once with the error `cancelled`; nothing that its worker still does is stored. Cancelling a job that has
/// ended changes nothing, so the request may be repeated.
#[utoipa::path(
    post,
    path = "/api/admin/jobs/{id}/cancel",
    operation_id = "cancel_job",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job."), Whose),
    security(("bearer" = []), ("apiKey" = []), ("cookie" = []), ("adminKey" = [])),
    responses(
        (status = 200, description = "The job, which has ended now or had ended before.", body = Job),
        (status = 404, description = "The tenant has no such job."),
        Problems
    ),
)]
pub(crate) async fn cancel(
    State(background): State<Background>,
    access: Access,
    Path(id): Path<JobId>,
    Query(whose): Query<Whose>,
) -> Result<impl IntoResponse, Problem> {
    let tenant = access.steers(&background, whose.tenant_id).await?;
    let why = "Somebody cancelled it.";
    let cancelled = sequent_jobs::cancel(&background.storage, tenant, id, why, Timestamp::now());
    let (Cancel::Done(job) | Cancel::AlreadyEnded(job)) = Box::pin(cancelled).await.map_err(problem)?;
    Ok(Json(*job))
}

/// Enqueue a greeting.
///
/// `hello_world` is the smallest job there is. With a `key` that was used before, the job that has it is given.
#[utoipa::path(
    post,
    path = "/v1/admin/jobs/hello",
    operation_id = "enqueue_hello",
    tag = "jobs",
    params(Whose),
    request_body(content = Option<HelloInput>, content_type = "application/json"),
    security(("bearer" = []), ("apiKey" = []), ("cookie" = []), ("adminKey" = [])),
    responses(
        (status = 202, description = "The job.", body = Job, headers(("Location" = String, description = "Where to look at it."))),
        Problems
    ),
)]
pub(crate) async fn hello(
    State(background): State<Background>,
    access: Access,
    Query(whose): Query<Whose>,
    body: Bytes,
) -> Result<impl IntoResponse, Problem> {
    let tenant = access.steers(&background, whose.tenant_id).await?;
    let input: HelloInput = if body.is_empty() { HelloInput::default() } else { from_json(&body)? };
    for (pointer, text) in [("/name", &input.name), ("/key", &input.key)] {
        if text.as_ref().is_some_and(|text| text.len() > LONGEST) {
            let why = format!("At most {LONGEST} bytes.");
            return Err(Problem::invalid("The greeting is not acceptable.").at(pointer, why));
        }
    }
    let new = New::of::<HelloWorld>(tenant, &input);
    let enqueued = enqueue(background.storage.store(), &new, Timestamp::now()).await.map_err(problem)?;
    let job = enqueued.into_job();
    let location = HeaderValue::from_str(&format!("/api/jobs/{}", job.id)).map_err(Problem::internal)?;
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(job)))
}
