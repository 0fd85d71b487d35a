//! The end of a job: its final row, everything it left and what its run's log says of it, in one transaction.

use std::sync::Arc;

use sequent_core::{TenantId, Timestamp};
use sequent_event::{Body, JobEnd, JobStatus, State};
use sequent_runlog::{AppendError, Decision, DynamoStorage, LogKey, TransactionRows, Unavailable, decide};
use sequent_tables::{Cancelled, Error as DataError, Item, Reason, Reasons, Transaction, key};

use crate::{Done, Error, Job, Status, enqueue::backoff};

const TRIES: u32 = 10;

/// What became of an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is stored, with everything that belongs to it.
    Stored,
    /// The job was no longer where the caller had seen it: somebody else's, or ended. Nothing was stored.
    Fenced,
}

/// Ends the job, seen as `before`, as `after`. `done` is what its handler wants stored with that.
///
/// # Errors
/// [`Error::Effects`] when what the handler wants stored is refused, or when the table or the log fails. After an error
/// the end may be stored; calling again tells.
pub async fn end(
    storage: &DynamoStorage,
    tenant: TenantId,
    (before, after): (&Job, &Job),
    done: &Done,
    now: Timestamp,
) -> Result<End, Error> {
    let companions = companions(storage, tenant, (before, after), done, now);
    if let Some(run) = after.run_id
        && let Some(end) = in_log(storage, LogKey { tenant, run }, after, done, &companions).await?
    {
        return Ok(end);
    }
    for attempt in 0..TRIES {
        match companions(Transaction::new()).run(storage.store()).await {
            Ok(()) => return Ok(End::Stored),
            Err(error) if error.is_transient() => {}
            Err(Cancelled::Failed(error)) => return Err(error.into()),
            Err(Cancelled::Reasons(reasons)) => return verdict(reasons, 0, after),
        }
        tokio::time::sleep(backoff(attempt)).await;
    }
    Err(Error::Contended)
}

/// The writes of an end, the job's own first.
fn companions(
    storage: &DynamoStorage,
    tenant: TenantId,
    (before, after): (&Job, &Job),
    done: &Done,
    now: Timestamp,
) -> TransactionRows {
    let (store, key) = (storage.store().clone(), key::job(tenant, after.id));
    let change = before.change_to(after, now);
    let (rows, writes) = (done.artifacts.clone(), done.writes.clone());
    Arc::new(move |transaction: Transaction| {
        let transaction = transaction.update(&store, &key, change.clone());
        let transaction =
            rows.iter().fold(transaction, |transaction, left| transaction.put(&store, left.row.clone()));
        match &writes {
            Some(writes) => writes(transaction),
            None => transaction,
        }
    })
}

/// Ends the job in its run's log too. `None`: the log does not wait for it, so its row alone has to be ended. That is so
/// after a redrive, when the log has told of a first end already.
async fn in_log(
    storage: &DynamoStorage,
    key: LogKey,
    after: &Job,
    done: &Done,
    companions: &TransactionRows,
) -> Result<Option<End>, Error> {
    let decided = decide(storage, key, |state: &State| {
        if !state.open_jobs().any(|open| open.job_id == after.id) {
            return Err(());
        }
        let artifacts = done.artifacts.iter().map(|left| {
            let artifact = sequent_event::Artifact { job_id: Some(after.id), ..left.artifact.clone() };
            Body::ArtifactCreated(artifact)
        });
        let more = done.events.iter().cloned();
        let ended = Body::JobFinished(JobEnd {
            job_id: after.id,
            status: if after.status == Status::Success { JobStatus::Success } else { JobStatus::Error },
            result: told(after),
            usage: done.usage,
            run: state.standing(),
        });
        Ok((artifacts.chain(more).chain([ended]).collect(), Some(Arc::clone(companions))))
    });
    match decided.await {
        Ok(Decision::Stored(_)) => Ok(Some(End::Stored)),
        Ok(Decision::Refused(()) | Decision::Missing) => Ok(None),
        // Place 0 is the segment's.
        Err(Unavailable(AppendError::RowsRefused(Cancelled::Reasons(reasons)))) => {
            verdict(reasons, 1, after).map(Some)
        }
        Err(error) => Err(error.into()),
    }
}

/// What a run is told of the end.
fn told(job: &Job) -> String {
    match (&job.result, &job.error) {
        (Some(result), _) => result.clone(),
        (None, Some(error)) => error.message.clone(),
        (None, None) => String::new(),
    }
}

/// What the refusal of an end means, whose own write stood at `place`.
fn verdict(mut reasons: Reasons, place: usize, after: &Job) -> Result<End, Error> {
    let own = reasons.get_mut(place).map(|reason| std::mem::replace(reason, Reason::None));
    match own {
        Some(Reason::Condition(found)) => {
            let found: Option<Item> = found.map(|item| *item);
            let found: Option<Job> = found.and_then(|item| serde_dynamo::from_item(item).ok());
            let stored = found.is_some_and(|found| found.is_already(after));
            Ok(if stored { End::Stored } else { End::Fenced })
        }
        Some(Reason::Other(code)) => Err(DataError::Refused(code.into()).into()),
        _ => Err(Error::Effects(format!("{reasons:?}").chars().take(500).collect())),
    }
}
