//! Listing and reading jobs.

use axum::extract::State;
use sequent_core::{JobId, TenantId};
use sequent_http::{Json, Limit, ListResponse, Path, Problem, Query, openapi::Problems};
use sequent_jobs::{Job, Jobs};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    App,
    access::{Access, TenantQuery},
};

type JobList = ListResponse<Job>;

/// The query of `GET /api/jobs`.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobsQuery {
    /// With `X-Admin-Key`: the tenant of the jobs. Without it the jobs of the deployment itself, which
    /// include messages that could not be read. Other callers can only name their own tenant.
    tenant_id: Option<TenantId>,
    /// Maximum number of items; 50 if not given.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Option<Limit>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

/// List jobs.
///
/// A job stays in the list for 30 days after its end. The field `error` of a failed job contains the reason.
/// A message that could not be read becomes a failed job of the deployment itself, of the type `unreadable`.
///
/// Jobs that serve the deployment and not the tenant, such as the delivery of webhooks, are in the list with `X-Admin-Key` only. A page
/// between very many of them can have fewer items than `limit`; `next_cursor` says whether more follow.
#[utoipa::path(
    get,
    path = "/api/jobs",
    operation_id = "list_jobs",
    tag = "jobs",
    params(JobsQuery),
    security(("bearer" = []), ("apiKey" = []), ("cookie" = []), ("adminKey" = [])),
    responses((status = 200, description = "One page, newest first.", body = JobList), Problems),
)]
pub(crate) async fn list_jobs(
    State(app): State<App>,
    access: Access,
    Query(query): Query<JobsQuery>,
) -> Result<Json<JobList>, Problem> {
    let tenant = access.to_read(query.tenant_id)?;
    let secret = app.vault.get().await?;
    let jobs = Jobs::new(app.store(), tenant);
    let limit = query.limit.map(Limit::get);
    let cursor = query.cursor.as_deref();
    let page = match access {
        Access::Operator => jobs.list(secret.cursor(), cursor, limit).await?,
        Access::Tenant(_) => jobs.list_of_tenant(secret.cursor(), cursor, limit).await?,
    };
    Ok(Json(ListResponse::new(page, secret.cursor())))
}

/// Get a job.
///
/// The field `progress` shows the progress of a running job.
#[utoipa::path(
    get,
    path = "/api/jobs/{id}",
    operation_id = "get_job",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job."), TenantQuery),
    security(("bearer" = []), ("apiKey" = []), ("cookie" = []), ("adminKey" = [])),
    responses(
        (status = 200, description = "The job.", body = Job),
        (status = 404, description = "The tenant has no such job."),
        Problems
    ),
)]
pub(crate) async fn get_job(
    State(app): State<App>,
    access: Access,
    Path(id): Path<JobId>,
    Query(query): Query<TenantQuery>,
) -> Result<Json<Job>, Problem> {
    let tenant = access.to_read(query.tenant_id)?;
    Ok(Json(Jobs::new(app.store(), tenant).get(id).await?))
}
