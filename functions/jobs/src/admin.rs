//! Redriving, cancelling and enqueuing jobs.

use axum::{extract::State, response::IntoResponse};
use bytes::Bytes;
use http::{StatusCode, header::LOCATION};
use sequent_core::{Code, JobId, Timestamp};
use sequent_http::{Json, Path, Problem, Query, openapi::Problems, optional_json};
use sequent_jobs::{
    Cancel, Job, Jobs, NewJob, Redrive, enqueue,
    kinds::{HelloInput, HelloWorld},
};

use crate::{
    App,
    access::{Access, TenantQuery},
};

/// Longest name and longest key of a greeting, in bytes.
const LONGEST: usize = 200;

/// Redrive a job.
///
/// Queues a job that has failed again, with its full number of attempts. A repeated request finds the job
/// waiting and returns an error. Only the operator can redrive a job of a run: the run does not pay for further attempts.
#[utoipa::path(
    post,
    path = "/api/admin/jobs/{id}/redrive",
    operation_id = "redrive_job",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job."), TenantQuery),
    security(("bearer" = []), ("apiKey" = []), ("cookie" = []), ("adminKey" = [])),
    responses(
        (status = 202, description = "The job, which is pending again.", body = Job),
        (status = 404, description = "The tenant has no such job."),
        (status = 409, description = "The job has not failed (`not_failed`), or belongs to a run (`job_of_run`)."),
        Problems
    ),
)]
pub(crate) async fn redrive_job(
    State(app): State<App>,
    access: Access,
    Path(id): Path<JobId>,
    Query(query): Query<TenantQuery>,
) -> Result<impl IntoResponse, Problem> {
    let tenant = access.to_manage(&app, query.tenant_id).await?;
    let job = Jobs::new(app.store(), tenant).get(id).await?;
    if matches!(access, Access::Tenant(_)) && job.run_id.is_some() {
        return Err(Problem::new(
            Code::JobOfRun,
            "The job belongs to a run. Send a message that asks for its result again.",
        ));
    }
    match sequent_jobs::redrive(app.store(), tenant, id, Timestamp::now()).await? {
        Redrive::Done(job) => Ok((StatusCode::ACCEPTED, Json(*job))),
        Redrive::NotFailed(_) => {
            Err(Problem::new(Code::NotFailed, "The job has not failed, so it cannot be redriven."))
        }
    }
}

/// Cancel a job.
///
/// The job ends at once with the error `cancelled`. Nothing that its worker still does is stored. Cancelling
/// a job that has ended changes nothing, so the request may be repeated.
#[utoipa::path(
    post,
    path = "/api/admin/jobs/{id}/cancel",
    operation_id = "cancel_job",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job."), TenantQuery),
    security(("bearer" = []), ("apiKey" = []), ("cookie" = []), ("adminKey" = [])),
    responses(
        (status = 200, description = "The job, which has ended.", body = Job),
        (status = 404, description = "The tenant has no such job."),
        Problems
    ),
)]
pub(crate) async fn cancel_job(
    State(app): State<App>,
    access: Access,
    Path(id): Path<JobId>,
    Query(query): Query<TenantQuery>,
) -> Result<impl IntoResponse, Problem> {
    let tenant = access.to_manage(&app, query.tenant_id).await?;
    let reason = "The job was cancelled by a request.";
    let cancelled = sequent_jobs::cancel(&app.storage, tenant, id, reason, Timestamp::now());
    let (Cancel::Done(job) | Cancel::AlreadyEnded(job)) = Box::pin(cancelled).await?;
    Ok(Json(*job))
}

/// Enqueue a greeting.
///
/// Enqueues a job of the type `hello_world`, the smallest there is. With a `key` that was used before it
/// returns the job that has the key.
#[utoipa::path(
    post,
    path = "/v1/admin/jobs/hello",
    operation_id = "enqueue_hello",
    tag = "jobs",
    params(TenantQuery),
    request_body(content = Option<HelloInput>, content_type = "application/json"),
    security(("bearer" = []), ("apiKey" = []), ("cookie" = []), ("adminKey" = [])),
    responses(
        (status = 202, description = "The job.", body = Job, headers(("Location" = String, description = "The path of the job."))),
        Problems
    ),
)]
pub(crate) async fn enqueue_hello(
    State(app): State<App>,
    access: Access,
    Query(query): Query<TenantQuery>,
    body: Bytes,
) -> Result<impl IntoResponse, Problem> {
    let tenant = access.to_manage(&app, query.tenant_id).await?;
    let input: HelloInput = optional_json(&body)?.unwrap_or_default();
    for (pointer, text) in [("/name", &input.name), ("/key", &input.key)] {
        if text.as_ref().is_some_and(|text| text.len() > LONGEST) {
            let rule = format!("must have at most {LONGEST} bytes");
            return Err(Problem::invalid("A field of the greeting is too long.").at(pointer, rule));
        }
    }
    let new = NewJob::of::<HelloWorld>(tenant, &input);
    let enqueued = enqueue(app.store(), &new, Timestamp::now()).await?;
    let job = enqueued.into_job();
    let location = [(LOCATION, format!("/api/jobs/{}", job.id))];
    Ok((StatusCode::ACCEPTED, location, Json(job)))
}
