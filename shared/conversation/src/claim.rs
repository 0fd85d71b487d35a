//! Becoming the owner of a run.

use std::sync::Arc;

use sequent_event::CancelReason;
use sequent_runlog::{Claim, DynamoStorage, LogKey, Segment, Writer};
use tokio::sync::mpsc::Sender;

use crate::{
    Error, Run, RunStatus, RunStore, cancel,
    cancel::end,
    turn::{self, TurnClaim},
    waiting::has_news,
};

/// Makes the caller the owner of a run that has none: one that is pending, one whose owner died or handed it over, or one
/// whose questions were answered. `run` is its row as the caller has read it. `observer` receives every segment that the
/// owner stores.
///
/// A pending run needs the turn of its project first. A crash between the two claims leaves the turn with a run that is
/// still pending; the next claim of that run continues there. A child run answers in no project and needs no turn. A run
/// whose project was deleted is cancelled.
///
/// A run that was cancelled before it began is ended here: it never begins.
///
/// The row may be older than the run's state, because deliveries are late and duplicated. A claim therefore never
/// releases the turn: the run may have begun meanwhile, and wait for a person.
///
/// Returns `None` if there is nothing for the caller to execute: the run has an owner, its turn has not come, it waits for
/// child runs or jobs, or it has ended.
///
/// # Errors
/// Fails if the table or the log fails.
pub async fn claim(
    runs: &RunStore,
    key: LogKey,
    run: &Run,
    observer: Option<Sender<Arc<Segment>>>,
) -> Result<Option<Box<Writer<DynamoStorage>>>, Error> {
    if let Some(waiting) = &run.waiting
        && !has_news(runs, key, waiting).await?
    {
        return Ok(None);
    }
    let is_pending = run.status == RunStatus::Pending;
    if is_pending && run.parent_run_id.is_none() {
        match turn::claim(runs.tables(), key.tenant, run).await? {
            TurnClaim::Claimed => {}
            TurnClaim::Taken => return Ok(None),
            TurnClaim::ProjectDeleted => {
                Box::pin(cancel(runs, key, None, CancelReason::Requested)).await?;
                return Ok(None);
            }
        }
    }
    let claimed = sequent_runlog::claim(runs.storage(), key, runs.settings(), is_pending, observer).await?;
    match claimed {
        Claim::Won(writer) if writer.opening().cancel.is_some() && writer.opening().started_at.is_none() => {
            Box::pin(end(runs, key, run, &writer)).await?;
            Ok(None)
        }
        Claim::Won(writer) => Ok(Some(writer)),
        Claim::Held | Claim::Closed | Claim::Missing => Ok(None),
    }
}
