//! The ownership of a job: claiming it and renewing the lease.

use std::time::Duration;

use sequent_core::{JobId, TenantId, Timestamp};
use sequent_tables::{Store, Update, attribute, attributes::LEASE_UNTIL, key};

use crate::{Error, Job, JobProgress, JobStatus, JobUsage, step::JobStep};

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
    let won = JobStep::new(tenant, &job, &claimed, now).take(store).await?;
    Ok(if won { JobClaim::Won(Box::new(claimed)) } else { JobClaim::Held })
}

/// The sign of life of an attempt.
#[derive(Debug, Clone, Copy)]
pub struct Renewal<'a> {
    /// The new end of the lease.
    pub until: Timestamp,
    /// The latest progress. `None` leaves the stored one.
    pub progress: Option<&'a JobProgress>,
    /// The usage of the job up to now, in case the process is lost.
    pub usage: JobUsage,
}

/// Renews the lease of an attempt. Returns `false` if another attempt has the job, or the job has ended.
///
/// # Errors
/// Returns an error if the table fails.
pub async fn renew(store: &Store, tenant: TenantId, job: &Job, renewal: Renewal<'_>) -> Result<bool, Error> {
    let Renewal { until, progress, usage } = renewal;
    let update = Update::of(&key::job(tenant, job.id))
        .set(LEASE_UNTIL, until)
        .set("usage", usage)
        .gsi2(&key::active_job(job.id, until))
        .when(attribute("status").equals(JobStatus::Running))
        .when(attribute("attempt").equals(job.attempt));
    let update = match progress {
        Some(progress) => update.set("progress", progress),
        None => update,
    };
    Ok(store.write_if(update).await?)
}

/// Stores the usage of an attempt whose job ended without it: a cancellation knows the usage up to the last renewal only.
///
/// # Errors
/// Returns an error if the table fails.
pub(crate) async fn count_late(store: &Store, tenant: TenantId, job: &Job) -> Result<(), Error> {
    let update = Update::of(&key::job(tenant, job.id))
        .set("usage", job.usage)
        .when(attribute("attempt").equals(job.attempt))
        .when(attribute("redrives").equals(job.redrives));
    store.write_if(update).await?;
    Ok(())
}
