//! The ownership of a job: claiming it and renewing the lease.

use std::time::Duration;

use sequent_core::{JobId, TenantId, Timestamp};
use sequent_tables::{Store, Update, attribute, key};

use crate::{Error, Job, JobProgress, JobStatus};

/// The outcome of an attempt to claim a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobClaim {
    /// The caller works on the job, under the `attempt` of the row.
    Won(Box<Job>),
    /// Another worker has the job.
    Held,
    /// The next attempt must not begin before this time.
    NotYet(Timestamp),
    /// The job has ended.
    Ended,
    /// The job does not exist.
    Missing,
}

/// Claims a job that is pending, or whose worker has let its lease run out.
///
/// # Errors
/// Returns an error if the table fails.
pub async fn claim(
    store: &Store,
    tenant: TenantId,
    id: JobId,
    now: Timestamp,
    lease: Duration,
) -> Result<JobClaim, Error> {
    let Some(job) = store.get::<Job>(&key::job(tenant, id)).await? else { return Ok(JobClaim::Missing) };
    match job.status {
        JobStatus::Success | JobStatus::Error => return Ok(JobClaim::Ended),
        JobStatus::Pending => {
            if let Some(at) = job.not_before.filter(|at| *at > now) {
                return Ok(JobClaim::NotYet(at));
            }
        }
        JobStatus::Running => {
            if job.lease_until.is_some_and(|until| until > now) {
                return Ok(JobClaim::Held);
            }
        }
    }
    let claimed = job.claimed(now, lease);
    let won = store.write_if(job.update_to(tenant, &claimed, now)).await?;
    Ok(if won { JobClaim::Won(Box::new(claimed)) } else { JobClaim::Held })
}

/// Renews the lease of an attempt and stores its progress. Returns `false` if another attempt has the job, or the job
/// has ended.
///
/// # Errors
/// Returns an error if the table fails.
pub async fn renew(
    store: &Store,
    tenant: TenantId,
    job: &Job,
    until: Timestamp,
    progress: Option<&JobProgress>,
) -> Result<bool, Error> {
    let update = Update::of(&key::job(tenant, job.id))
        .set("lease_until", until)
        .set("progress", progress)
        .gsi2(&key::active_job(job.id, until))
        .when(attribute("status").equals(JobStatus::Running))
        .when(attribute("attempt").equals(job.attempt));
    Ok(store.write_if(update).await?)
}
