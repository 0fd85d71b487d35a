//! `cleanup_old_jobs`: removes jobs of all tenants that ended long ago, together with their keys.

use std::time::Duration;

use sequent_core::Timestamp;
use sequent_tables::{Due, DueIndex, Retry, Store, Transaction, Write, key};
use serde::{Deserialize, Serialize};

use crate::{Context, Done, Error, Failed, Job, JobKind};

/// Days that a job is kept after its end, unless the input gives another number.
const DAYS: u32 = 30;

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
    const TIMEOUT: Duration = Duration::from_secs(600);
    type Input = CleanupInput;

    fn key(input: &CleanupInput) -> Option<String> {
        Some(input.period.clone())
    }

    /// Removes the jobs directly, without a transaction with its own end: removing a removed job changes nothing.
    async fn run(&self, input: CleanupInput, context: Context) -> Result<Done, Failed> {
        let kept = Duration::from_secs(u64::from(input.days.unwrap_or(DAYS)) * 24 * 3600);
        let mut sweep = DueIndex::EndedJobs.sweep(context.store(), Timestamp::now() - kept);
        let mut removed = 0_usize;
        let mut pages = 0_u8;
        while let Some(page) = sweep.page().await.map_err(Failed::retry)? {
            for due in page {
                removed += usize::from(remove(context.store(), &due).await.map_err(Failed::retry)?);
            }
            pages = pages.saturating_add(1);
            context.progress.report(pages.min(99), format!("{removed} jobs removed"));
        }
        Ok(Done::text(format!("{removed} jobs removed")))
    }
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
