//! The errors of a deletion. Each leads to another attempt, which continues where this one stopped.

use sequent_core::{ProjectId, RunId};
use sequent_runlog::ReadError;
use sequent_tables::Cancelled;

/// A part of a conversation could not be deleted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The owner of a run has not ended it in time, or the run's job `settle_run` has not ended.
    #[error("{0} was cancelled and has not ended yet, or is not settled yet")]
    StillRunning(RunId),
    /// Credits are held for a run that cannot be settled: it has a posting already, or its log or its row is damaged.
    #[error(
        "{0} has ended and its credits are still held, but its log and the ledger do not agree about them; settle the hold by hand"
    )]
    Unsettled(RunId),
    /// A conversation of an account is not deleted yet. Its own job does that.
    #[error("{0} is being deleted; if that does not end, redrive its job delete_conversation")]
    ConversationLeft(ProjectId),
    /// The credentials or records of an account could not be deleted.
    #[error(transparent)]
    Identity(#[from] sequent_identity::Error),
    /// The project is no longer marked as being deleted, or rows changed meanwhile.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The table could not be read or written.
    #[error(transparent)]
    Table(#[from] sequent_tables::Error),
    /// A log could not be read.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// A run could not be cancelled.
    #[error(transparent)]
    Run(#[from] sequent_conversation::Error),
    /// A job could not be cancelled or removed.
    #[error(transparent)]
    Job(#[from] sequent_jobs::Error),
    /// An artifact could not be deleted.
    #[error(transparent)]
    Artifact(#[from] sequent_artifacts::Error),
}
