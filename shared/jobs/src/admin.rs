//! What people do with jobs: stop them, and have what failed tried again.

use sequent_core::{JobId, TenantId, Timestamp};
use sequent_runlog::DynamoStorage;
use sequent_tables::{Store, key};

use crate::{Done, End, Error, Failure, Job, Status, attempt::write, end};

const TRIES: u32 = 10;

/// What became of a cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancel {
    /// The job has ended now. Whoever works on it learns so at its next sign of life, and can store nothing any more.
    Done(Box<Job>),
    /// It had ended before.
    AlreadyEnded(Box<Job>),
}

/// What became of a redrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redrive {
    /// The job waits again, with all its attempts before it.
    Done(Box<Job>),
    /// It has not failed, so there is nothing to try again.
    NotFailed(Box<Job>),
}

/// Ends a job with the failure `cancelled`, unless it has ended. It keeps its key.
///
/// # Errors
/// [`Error::NotFound`], or when the table or the log of its run fails.
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
        let after = job.failed(Failure::new(Failure::CANCELLED, why), now);
        if end(storage, tenant, (&job, &after), &Done::default(), now).await? == End::Stored {
            return Ok(Cancel::Done(Box::new(after)));
        }
    }
    Err(Error::Contended)
}

/// Has a job that failed tried again, once for each time it failed: a second redrive finds it waiting.
///
/// The log of its run has told of the failure and is not rewritten: a redriven job has its effects, and its row its
/// result, but the tool call it belonged to is answered already.
///
/// # Errors
/// [`Error::NotFound`], or when the table fails.
pub async fn redrive(store: &Store, tenant: TenantId, id: JobId, now: Timestamp) -> Result<Redrive, Error> {
    for _ in 0..TRIES {
        let job = get(store, tenant, id).await?;
        if job.status != Status::Error {
            return Ok(Redrive::NotFailed(Box::new(job)));
        }
        let after = job.redriven();
        if write(store, tenant, id, job.change_to(&after, now)).await? {
            return Ok(Redrive::Done(Box::new(after)));
        }
    }
    Err(Error::Contended)
}

async fn get(store: &Store, tenant: TenantId, id: JobId) -> Result<Job, Error> {
    store.get(&key::job(tenant, id)).await?.ok_or(Error::NotFound)
}
