//! `cleanup_old_jobs`: removes jobs of all tenants that ended long ago, together with their keys.
//!
//! A time to live on the rows would cost nothing, but DynamoDB deletes each row on its own, some days late and in any
//! order: a key could outlive its job or be free before it, and a job that is redriven on its last day could disappear.
//! So a job and its key are removed in one transaction, many at the same time.

use std::time::Duration;

use futures::{Stream, TryStreamExt as _, stream};
use sequent_core::Timestamp;
use sequent_tables::{Due, DueIndex, Error as DataError, Retry, Store, Sweep, Transaction, Write, key};
use serde::{Deserialize, Serialize};

use crate::{Context, Done, Error, Failed, Job, JobKind};

/// Days that a job is kept after its end, unless the input gives another number.
const DAYS: u32 = 30;
/// Jobs that are removed at the same time. A removal takes about 25 ms, so an invocation of 15 minutes removes more than a
/// million, and uses less than a tenth of the writes that a table takes without notice.
const AT_ONCE: usize = 32;

/// Removes jobs that ended some days ago.
#[derive(Debug, Clone, Copy, Default)]
pub struct CleanupOldJobs;

/// The input of [`CleanupOldJobs`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanupInput {
    /// The period of this clean-up, such as a date. Each period has one job, however many schedules fire.
    pub period: String,
    /// Days that a job is kept after its end; 30 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
}

impl CleanupInput {
    /// The clean-up of the day of `now`.
    #[must_use]
    pub fn of_day(now: Timestamp) -> Self {
        Self { period: now.to_string().chars().take(10).collect(), days: None }
    }
}

impl JobKind for CleanupOldJobs {
    const TYPE: &'static str = "cleanup_old_jobs";
    /// Longer than an invocation: at its end the job is handed back, and the next attempt continues.
    const TIMEOUT: Duration = Duration::from_secs(3600);
    type Input = CleanupInput;

    fn key(input: &CleanupInput) -> Option<String> {
        Some(input.period.clone())
    }

    /// Removes the jobs directly, without a transaction with its own end: removing a removed job changes nothing.
    async fn run(&self, input: CleanupInput, context: Context) -> Result<Done, Failed> {
        let kept = Duration::from_secs(u64::from(input.days.unwrap_or(DAYS)) * 24 * 3600);
        let store = context.store();
        let sweep = DueIndex::EndedJobs.sweep(store, Timestamp::now() - kept);
        let removals = due(sweep).map_err(Error::from).map_ok(|due| async move { remove(store, &due).await });
        let mut removals = Box::pin(removals.try_buffer_unordered(AT_ONCE));
        let mut removed = 0_usize;
        while let Some(is_removed) = removals.try_next().await.map_err(Failed::retry)? {
            removed += usize::from(is_removed);
            if removed.is_multiple_of(1000) {
                context.progress.report(50, format!("{removed} jobs removed"));
            }
        }
        Ok(Done::text(format!("{removed} jobs removed")))
    }
}

/// The due rows of a sweep, one after the other.
fn due(sweep: Sweep<'_>) -> impl Stream<Item = Result<Due, DataError>> {
    let pages = stream::try_unfold(sweep, |mut sweep| async move {
        let page = sweep.page().await?;
        Ok::<_, DataError>(page.map(|page| (stream::iter(page.into_iter().map(Ok)), sweep)))
    });
    pages.try_flatten()
}

/// Removes a job and its key. Returns `false` if the job is gone, or is no longer ended because of a redrive.
async fn remove(store: &Store, due: &Due) -> Result<bool, Error> {
    let Some((tenant, _)) = key::parse_job(due.key()) else { return Ok(false) };
    let Some(job) = store.get::<Job>(due.key()).await? else { return Ok(false) };
    let mut transaction = Transaction::new().write(Write::delete(due.key()).when(due.is_unmoved()));
    if let Some(text) = &job.job_key {
        transaction = transaction.write(Write::delete(&key::job_key(tenant, &job.job_type, text)));
    }
    match store.commit(transaction, Retry::BRIEF).await {
        Ok(()) => Ok(true),
        Err(cancelled) if cancelled.any_refused() => Ok(false),
        Err(cancelled) => Err(cancelled.into()),
    }
}
