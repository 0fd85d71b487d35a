//! Reading jobs.

use axum::{extract::State, response::IntoResponse};
use sequent_core::{JobId, TenantId};
use sequent_http::{Json, Limit, Path, Problem, Query, openapi::Problems};
use sequent_jobs::{Job, Jobs};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    Background,
    access::{Access, Whose},
    problem,
};

/// Which page of whose jobs.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobsQuery {
    /// With `X-Admin-Key`: the tenant whose jobs are meant. Without it those of the deployment itself, among them messages
    /// that nobody could read. Other callers mean their own.
    tenant_id: Option<TenantId>,
    /// Most items of the page; 50 if not given.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// One page of jobs.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobList {
    items: Vec<Job>,
    /// Where the next page starts; null at the end.
    next_cursor: Option<String>,
}

/// List jobs.
///
/// A job that has ended stays listed for 30 days. One that failed says why in `error`, and one that came to nothing because
/// nobody could read its message is among the deployment's own, of the type `unreadable`.
#[utoipa::path(
    get,
    path = "/api/jobs",
    operation_id = "list_jobs",
    tag = "jobs",
    params(JobsQuery),
    security(("bearer" = []), ("apiKey" = []), ("cookie" = []), ("adminKey" = [])),
    responses((status = 200, description = "One page, newest first.", body = JobList), Problems),
)]
pub(crate) async fn list(
    State(background): State<Background>,
    access: Access,
    Query(query): Query<JobsQuery>,
) -> Result<impl IntoResponse, Problem> {
    let tenant = access.reads(query.tenant_id)?;
    let secret = background.vault.get().await?;
    let jobs = Jobs::new(background.storage.store(), tenant);
    let limit = query.limit.map(Limit::get);
    let page = jobs.list(secret.cursor(), query.cursor.as_deref(), limit).await.map_err(problem)?;
    Ok(Json(JobList { next_cursor: page.next_cursor(secret.cursor()), items: page.items }))
}

/// Get a job.
///
/// `progress` says how far it is while it runs.
#[utoipa::path(
    get,
    path = "/api/jobs/{id}",
    operation_id = "get_job",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job."), Whose),
    security(("bearer" = []), ("apiKey" = []), ("cookie" = []), ("adminKey" = [])),
    responses(
        (status = 200, description = "The job.", body = Job),
        (status = 404, description = "The tenant has no such job."),
        Problems
    ),
)]
pub(crate) async fn get(
    State(background): State<Background>,
    access: Access,
    Path(id): Path<JobId>,
    Query(whose): Query<Whose>,
) -> Result<impl IntoResponse, Problem> {
    let tenant = access.reads(whose.tenant_id)?;
    Jobs::new(background.storage.store(), tenant).get(id).await.map(Json).map_err(problem)
}
