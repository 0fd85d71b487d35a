//! Jobs: background tasks whose effects happen once.
//!
//! A job is a row. Enqueuing inserts it; the table's stream turns its outbox attribute `queued_at` into a message. A
//! message says only that a job may want a worker. Messages may therefore be lost, duplicated, late and out of order.
//! Invariants:
//!
//! * **One job per key.** The row that claims a `job_key` is written together with the job's own. It is kept as long as
//!   the job, also after the job's end: the same key leads to the same job, and only a redrive retries a failed one.
//! * **One attempt counts.** Claiming a job increments its `attempt`, which is the fencing token: every later write of an
//!   attempt requires that the row is `running` with that number. A worker that was paused or lost its network until
//!   another took over can neither complete nor fail the job of its successor.
//! * **Effects with the end.** A handler stores nothing that must happen once. It returns rows, artifacts and a result
//!   ([`Done`]). The worker commits them with the job's final row and the events in the run's log, in one transaction. A
//!   handler that ran twice has therefore only wasted time. The exception is `sync_stripe`, which writes the account of
//!   another tenant than the job's: the cause of each of its postings makes the write happen once.
//! * **Nothing is lost in silence.** A message that cannot be read, and a job that fails for good, are stored as a row with
//!   their cause, and become messages of the dead-letter queue.
//!
//! A kind of job is a [`JobKind`]: its name, input, key, timeout, retry policy and handler, declared in one place and added
//! to the worker's [`Registry`].
//!
//! Decision 5 (`infra/decisions/0005-a-job-is-a-row.md`) explains why.

mod admin;
mod attempt;
mod batch;
mod deliver;
mod end;
mod enqueue;
mod jobs;
pub mod kinds;
mod registry;
mod remove;
mod room;
mod row;
mod step;
#[cfg(test)]
mod tests;
mod usage;
mod worker;

pub use admin::{Cancel, Redrive, cancel, redrive};
pub use attempt::{JobClaim, Renewal, claim, renew};
pub use batch::MessageHandler;
pub use deliver::{DeadLetter, Delivery, Dispatch, Effects, UNREADABLE, postpone, store_unreadable};
pub use end::{End, EndedJob, end};
pub use enqueue::{Enqueued, NewJob, enqueue, enqueue_about, enqueue_at};
pub use jobs::Jobs;
pub use registry::{
    Context, Done, Failed, JobKind, LeftArtifact, ProgressReporter, Queue, Registry, RetryPolicy,
};
pub use remove::remove;
pub use room::enqueue_within;
pub use row::{Job, JobFailure, JobProgress, JobStatus};
pub use usage::{JobUsage, UsageMeter};
pub use worker::{Worked, Worker};

use std::time::Duration;

use sequent_core::{ApiError, Code, ErrorDetails};
use sequent_runlog::{AppendError, Unavailable};
use sequent_tables::{Cancelled, Error as DataError, InvalidCursor};

/// Time after which a job that was queued, or whose pause is over, counts as undelivered.
pub const GRACE: Duration = Duration::from_secs(30);

/// Time after which a job of a tenant that has too many is likely to have ended.
const JOB_ENDS: Duration = Duration::from_secs(10);

/// A job operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tenant has no such job.
    #[error("the job does not exist")]
    NotFound,
    /// The run, artifact or conversation of the job has been deleted.
    #[error("the subject of the job does not exist")]
    NoSubject,
    /// The tenant has as many live jobs of the type as it may have.
    #[error("the tenant has too many jobs in progress")]
    NoRoom,
    /// The cursor was not issued by this list.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// The table could not be read or written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The log of the job's run is unavailable.
    #[error(transparent)]
    Log(Unavailable),
    /// Other writes changed the row again and again. The same call may succeed a moment later.
    #[error("the job's row is contended")]
    Contended,
    /// A condition among the writes of a handler did not hold.
    #[error("the job's effects were refused: {0}")]
    Effects(String),
    /// The tables or the log refuse the end of the job for its size or form. The same end is refused again.
    #[error("the end of the job cannot be stored: {0}")]
    Unstorable(String),
}

impl Error {
    /// Returns `true` if the same call may succeed a moment later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Contended | Self::Log(_) => true,
            Self::Data(error) => error.is_transient(),
            Self::NotFound
            | Self::NoSubject
            | Self::NoRoom
            | Self::Cursor(_)
            | Self::Effects(_)
            | Self::Unstorable(_) => false,
        }
    }
}

impl From<Unavailable> for Error {
    fn from(Unavailable(error): Unavailable) -> Self {
        match error {
            AppendError::Busy | AppendError::Ambiguous | AppendError::Conflict(_) => {
                Self::Log(Unavailable(error))
            }
            AppendError::Refused(why) => Self::Unstorable(why.to_string()),
            refused => Self::Unstorable(refused.to_string()),
        }
    }
}

impl From<Cancelled> for Error {
    fn from(cancelled: Cancelled) -> Self {
        match cancelled {
            contended if contended.is_transient() => Self::Contended,
            Cancelled::Failed(error) => Self::Data(error),
            refused @ Cancelled::Reasons(_) => Self::Data(DataError::Refused(Box::new(refused))),
        }
    }
}

impl ApiError for Error {
    fn details(&self) -> ErrorDetails {
        match self {
            Self::NotFound => ErrorDetails::new(Code::NotFound, "There is no job with this id."),
            Self::NoSubject => ErrorDetails::new(Code::NotFound, "The subject of the job has been deleted."),
            Self::NoRoom => {
                let detail = "As many jobs of this kind are in progress as a tenant may have. Wait for one of them to end.";
                ErrorDetails::new(Code::TooManyJobs, detail).retry_after(JOB_ENDS)
            }
            Self::Cursor(error) => error.details(),
            Self::Data(error) => error.details(),
            Self::Log(_) | Self::Contended | Self::Effects(_) | Self::Unstorable(_) => {
                ErrorDetails::unavailable()
            }
        }
    }
}
