//! A conversation: its project, its messages, and the runs that answer in it.
//!
//! Everything a run leaves in `main` is written in the same transaction as the event it repeats: its first segment
//! comes with the run's row, the user's message and the project's claim; its terminal segment with the run's final
//! row, the assistant's message and the project's release. No crash can leave the two telling different stories.
//!
//! `live_run_id` names the run that currently answers in a project; taking and clearing it are conditional writes,
//! which is what makes "one run at a time per conversation" hold under any concurrency.

mod answer;
mod cancel;
mod end;
mod message;
pub mod naming;
mod project;
pub mod projects;
mod question;
mod queue;
mod rebuild;
mod retention;
mod row;
mod runs;
mod start;
mod work;

pub use answer::{Refused, Reply, Then, answer, expire};
pub use cancel::{Cancel, cancel, cancel_child, cancel_jobs, end_if_abandoned};
pub use end::{closing_bodies, finish};
pub use message::{Message, Role, Standing};
pub use naming::NameProject;
pub use project::{Name, NameError, Project};
pub use projects::Projects;
pub use question::Question;
pub use queue::{Delivery, Due, GRACE, Sweep, has_waiting, queue, wake_next};
pub use rebuild::{RebuildInput, RebuildProjections};
pub use retention::{ForgetInput, ForgetOldProjects};
pub use row::{Cost, Failure, Run, Status, Tokens};
pub use runs::Runs;
pub use start::{
    Begin, OnConflict, Start, Started, Submitted, begin_pending, enqueue, release_project, start, submit,
};
pub use work::{Limits, Work};

use sequent_runlog::{ReadError, Stopped, Unavailable};
use sequent_tables::{Error as DataError, InvalidCursor};

/// A run operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tenant has no such run.
    #[error("no such run")]
    NotFound,
    /// The tenant has no such project.
    #[error("no such project")]
    NoProject,
    /// The cursor is not one of this list.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// A row that the start claims exists already: another request was first.
    #[error("another request was first")]
    ClaimTaken,
    /// The account does not have what was to be held for the run any more, or the plan does not allow the run: ask anew.
    #[error("the account has changed")]
    NotHeld,
    /// The table failed.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A job of the run's failed to be stored or stopped.
    #[error(transparent)]
    Jobs(#[from] sequent_jobs::Error),
    /// The log could not be written.
    #[error(transparent)]
    Log(#[from] Unavailable),
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The run's writer stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}
