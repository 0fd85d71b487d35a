//! Administration of jobs: cancelling them, and trying failed ones again.

use sequent_core::{JobId, TenantId, Timestamp};
use sequent_runlog::DynamoStorage;
use sequent_tables::{Store, key};

use crate::{Done, End, EndedJob, Error, Job, JobFailure, JobStatus, end::end_failed, step::JobStep};

/// Tries of a change against other changes of the same job.
const TRIES: u32 = 10;

/// The outcome of a cancellation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancel {
    /// The job has ended now. Its worker learns this at its next renewal and can store nothing more.
    Done(Box<Job>),
    /// The job had ended before.
    AlreadyEnded(Box<Job>),
}

/// The outcome of a redrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redrive {
    /// The job is pending again, with all its attempts ahead.
    Done(Box<Job>),
    /// The job has not failed, so nothing was changed.
    NotFailed(Box<Job>),
}

/// Ends a job with the failure `cancelled`, unless it has ended. The job keeps its key.
///
/// # Errors
/// [`Error::NotFound`], or an error of the table or of the log of the job's run.
pub async fn cancel(
    storage: &DynamoStorage,
    tenant: TenantId,
    id: JobId,
    why: &str,
    now: Timestamp,
) -> Result<Cancel, Error> {
    for _ in 0..TRIES {
        let job = get(storage.store(), tenant, id).await?;
        if job.has_ended() {
            return Ok(Cancel::AlreadyEnded(Box::new(job)));
        }
        let after = job.failed(JobFailure::new(JobFailure::CANCELLED, why), now);
        let ended = EndedJob { tenant, before: &job, after: &after, done: &Done::default() };
        if end_failed(storage, ended, now).await? == End::Stored {
            return Ok(Cancel::Done(Box::new(after)));
        }
    }
    Err(Error::Contended)
}

/// Makes a failed job pending again, once for each failure: a second redrive finds it pending.
///
/// The log of its run already contains the failure and is not rewritten. A redriven job has its effects, and its row
/// gets the result, but the tool call it belonged to has its answer already.
///
/// # Errors
/// [`Error::NotFound`], or an error of the table.
pub async fn redrive(store: &Store, tenant: TenantId, id: JobId, now: Timestamp) -> Result<Redrive, Error> {
    for _ in 0..TRIES {
        let job = get(store, tenant, id).await?;
        if job.status != JobStatus::Error {
            return Ok(Redrive::NotFailed(Box::new(job)));
        }
        let after = job.redriven();
        if JobStep::new(tenant, &job, &after, now).take(store).await? {
            return Ok(Redrive::Done(Box::new(after)));
        }
    }
    Err(Error::Contended)
}

async fn get(store: &Store, tenant: TenantId, id: JobId) -> Result<Job, Error> {
    store.get(&key::job(tenant, id)).await?.ok_or(Error::NotFound)
}
