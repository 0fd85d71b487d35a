//! Jobs: tasks in the background that have their effect once.
//!
//! A job is a row. Enqueuing is inserting it; the table's stream turns the mark on it into a message, and a message says
//! no more than that a job may want a worker. So messages may be lost, doubled, late and out of order. What holds:
//!
//! * **One job per key.** The row that claims a `job_key` is written with the job's own. It stays as long as the job is
//!   kept, also after its end: the same key gives the same job, and what failed is tried again by a redrive alone.
//! * **One attempt that counts.** Claiming a job raises its `attempt`, which is the fencing token: every later write of
//!   an attempt holds only while the row says `running` with that number. Whoever was paused, or lost its network, until
//!   another took over can neither complete nor fail what is its successor's.
//! * **Effects with the end.** A handler stores nothing that must happen once. It gives back rows, artifacts and a result
//!   ([`Done`]), and the worker commits them with the job's final row and the events in the run's log, in one
//!   transaction. A handler that ran twice therefore did no more than waste time.
//! * **Nothing is lost in silence.** What cannot be read or fails for good is a row with its cause, and a message in the
//!   dead letters.
//!
//! A type of job is a [`Kind`]: its name, input, key, timeout, retry policy and handler, declared in one place and made
//! known to the worker by its [`Registry`].

mod admin;
mod attempt;
mod batch;
mod deliver;
mod end;
mod enqueue;
mod jobs;
pub mod kinds;
mod registry;
mod row;
mod sweep;
#[cfg(test)]
mod tests;
mod worker;

pub use admin::{Cancel, Redrive, cancel, redrive};
pub use attempt::{Claim, claim, renew};
pub use deliver::{Burial, Called, Delivery, UNREADABLE, bury_unreadable, called_for};
pub use end::{End, end};
pub use enqueue::{Enqueued, New, enqueue};
pub use jobs::Jobs;
pub use registry::{Context, Done, Failed, Kind, Left, Progress, Queue, Registry, Retry};
pub use row::{Failure, Job, Progressed, Status};
pub use sweep::{Due, GRACE, Sweep};
pub use worker::{Worked, Worker};

use sequent_runlog::Unavailable;
use sequent_tables::{Error as DataError, InvalidCursor};

/// A job operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tenant has no such job.
    #[error("no such job")]
    NotFound,
    /// The cursor is not one of this list.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// The table failed.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The log of the job's run failed.
    #[error(transparent)]
    Log(#[from] Unavailable),
    /// Others wrote the row again and again; the same call may succeed a moment later.
    #[error("the job's row is contended")]
    Contended,
    /// What a handler wanted stored with the end of its job was refused.
    #[error("the job's effects were refused: {0}")]
    Effects(String),
}
