//! The end of a job: its final row, everything that it leaves, and the events in its run's log, in one transaction.

use std::sync::Arc;

use sequent_core::{TenantId, Timestamp};
use sequent_event::{Body, JobEnd, JobStatus as EndStatus, State};
use sequent_runlog::{AppendError, Decision, DynamoStorage, LogKey, TransactionRows, Unavailable, decide};
use sequent_tables::{Cancelled, Error as DataError, Label, Reason, Retry, Transaction, Write};

use crate::{Done, Error, Job, JobFailure, JobStatus};

/// The write of the job's own row.
const JOB: Label = Label::new("job");

/// The outcome of an attempt to end a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The end is stored, with everything that belongs to it.
    Stored,
    /// The job was no longer in the state that the caller had read: another attempt has it, or it has ended. Nothing was
    /// stored.
    Fenced,
}

/// A job that is to end.
#[derive(Debug, Clone, Copy)]
pub struct EndedJob<'a> {
    /// The tenant that has the job.
    pub tenant: TenantId,
    /// The row as it was read.
    pub before: &'a Job,
    /// The row as it will be.
    pub after: &'a Job,
    /// The rest of what is stored with the end.
    pub done: &'a Done,
}

/// Ends a job. After an error the end may be stored; a second call returns the outcome.
///
/// # Errors
/// [`Error::Effects`] if a condition of the handler's writes does not hold, [`Error::Unstorable`] if the end is refused for
/// its size or form, or an error of the table or of the log.
pub async fn end(storage: &DynamoStorage, ended: EndedJob<'_>, now: Timestamp) -> Result<End, Error> {
    let rows = rows(ended, now);
    if let Some(run) = ended.after.run_id {
        let key = LogKey { tenant: ended.tenant, run };
        if let Some(end) = end_in_log(storage, key, ended, &rows).await? {
            return Ok(end);
        }
    }
    end_rows(storage, ended.after, &rows).await
}

/// Ends a job with a failure. If its run's log refuses the event for good, the rows end alone: such a run cannot continue
/// either, and a job that cannot end would be tried for ever.
///
/// # Errors
/// An error of the table, or of a log that is unavailable.
pub(crate) async fn end_failed(
    storage: &DynamoStorage,
    ended: EndedJob<'_>,
    now: Timestamp,
) -> Result<End, Error> {
    match end(storage, ended, now).await {
        Err(Error::Unstorable(why)) => {
            tracing::error!(
                job = %ended.after.id, why,
                "could not write the end of a job into the log of its run; the job ends without it"
            );
            end_rows(storage, ended.after, &rows(ended, now)).await
        }
        ended => ended,
    }
}

async fn end_rows(storage: &DynamoStorage, after: &Job, rows: &TransactionRows) -> Result<End, Error> {
    match storage.store().commit(rows(Transaction::new()), Retry::BRIEF).await {
        Ok(()) => Ok(End::Stored),
        Err(cancelled) if cancelled.is_transient() => Err(Error::Contended),
        Err(cancelled) => verdict(cancelled, after),
    }
}

/// The rows of an end, the job's own first.
fn rows(ended: EndedJob<'_>, now: Timestamp) -> TransactionRows {
    let update = ended.before.update_to(ended.tenant, ended.after, now);
    let artifacts: Vec<Write> =
        ended.done.artifacts.iter().map(|artifact| Write::put(artifact.row.clone())).collect();
    let more = ended.done.writes.clone();
    Arc::new(move |transaction: Transaction| {
        let transaction = transaction.write(update.clone()).label(JOB);
        let transaction = artifacts.iter().cloned().fold(transaction, Transaction::write);
        match &more {
            Some(more) => more(transaction),
            None => transaction,
        }
    })
}

/// Ends the job in its run's log, too. Returns `None` if the log does not wait for the job, so that its row alone has to
/// end. This is the case after a redrive, when the log already contains a first end.
async fn end_in_log(
    storage: &DynamoStorage,
    key: LogKey,
    ended: EndedJob<'_>,
    rows: &TransactionRows,
) -> Result<Option<End>, Error> {
    let EndedJob { before, after, done, .. } = ended;
    let decided = decide(storage, key, |state: &State| {
        if !state.open_jobs().any(|open| open.job_id == after.id) {
            return Err(());
        }
        let artifacts = done.artifacts.iter().map(|left| {
            let artifact = sequent_event::Artifact { job_id: Some(after.id), ..left.artifact.clone() };
            Body::ArtifactCreated(artifact)
        });
        let is_success = after.status == JobStatus::Success;
        let is_cancelled = after.error.as_ref().is_some_and(|error| error.code == JobFailure::CANCELLED);
        let finished = Body::JobFinished(JobEnd {
            job_id: after.id,
            status: if is_success { EndStatus::Success } else { EndStatus::Error },
            result: result_text(after),
            usage: after.usage.into(),
            usage_may_grow: is_cancelled && before.attempt > 0,
            run: state.stage(),
        });
        let bodies = artifacts.chain(done.events.iter().cloned()).chain([finished]).collect();
        Ok((bodies, Some(Arc::clone(rows))))
    });
    match decided.await {
        Ok(Decision::Stored(_)) => Ok(Some(End::Stored)),
        Ok(Decision::Refused(()) | Decision::Missing) => Ok(None),
        Err(Unavailable(AppendError::RowsRefused(cancelled))) => verdict(cancelled, after).map(Some),
        Err(error) => Err(error.into()),
    }
}

/// The text that the run gets as the result of the job.
fn result_text(job: &Job) -> String {
    let result = match (&job.result, &job.error) {
        (Some(result), _) => result.clone(),
        (None, Some(error)) => error.message.clone(),
        (None, None) => String::new(),
    };
    job.warnings.iter().fold(result, |text, warning| text + "\nWarning: " + warning)
}

/// Interprets a refusal: of the job's own row, or of a write of its handler.
fn verdict(cancelled: Cancelled, after: &Job) -> Result<End, Error> {
    if cancelled.refused(JOB) {
        // An earlier try of the same write, whose answer was lost, is a success.
        let is_stored = cancelled.found::<Job>(JOB).is_some_and(|found| found.is_already(after));
        return Ok(if is_stored { End::Stored } else { End::Fenced });
    }
    match cancelled {
        Cancelled::Failed(DataError::Limit(limit)) => Err(Error::Unstorable(limit.to_string())),
        Cancelled::Failed(DataError::Refused(why)) => Err(Error::Unstorable(why.to_string())),
        Cancelled::Failed(error) => Err(error.into()),
        Cancelled::Reasons(reasons) => Err(refusal(&reasons)),
    }
}

/// A condition that did not hold may hold for the next attempt. A refusal for another reason, such as the size of an item,
/// meets every attempt.
fn refusal(reasons: &[Reason]) -> Error {
    let other = reasons.iter().find_map(|reason| match reason {
        Reason::Other(code) => Some(format!("the tables refuse a write: {code}")),
        _ => None,
    });
    let refused = || reasons.iter().enumerate().filter(|(_, reason)| matches!(reason, Reason::Condition(_)));
    other.map_or_else(
        || {
            let positions: Vec<String> = refused().map(|(at, _)| at.to_string()).collect();
            Error::Effects(format!("the conditions of the writes {} did not hold", positions.join(", ")))
        },
        Error::Unstorable,
    )
}
