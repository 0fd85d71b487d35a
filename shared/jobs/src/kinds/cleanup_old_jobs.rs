//! `cleanup_old_jobs`: removes jobs that ended long ago, those of all tenants, and with them their keys.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue as Value;
use sequent_core::Timestamp;
use sequent_tables::{Cancelled, Store, Transaction, key};
use serde::{Deserialize, Serialize};

use crate::{Context, Done, Due, Error, Failed, Job, Kind, Sweep};

/// Days that jobs are kept after their end, unless the input says otherwise.
const DAYS: u32 = 30;

/// Removes old jobs.
#[derive(Debug, Clone, Copy, Default)]
pub struct CleanupOldJobs;

/// How old.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanupInput {
    /// The period it is for, such as a date: each has one job, however many schedules fire.
    pub period: String,
    /// Days that a job is kept after its end; 30 if not given.
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

impl Kind for CleanupOldJobs {
    const TYPE: &'static str = "cleanup_old_jobs";
    const TIMEOUT: Duration = Duration::from_secs(600);
    type Input = CleanupInput;

    fn key(input: &CleanupInput) -> Option<String> {
        Some(input.period.clone())
    }

    /// Removing what is gone already changes nothing, so this needs no transaction with its own end.
    async fn run(&self, input: CleanupInput, context: Context) -> Result<Done, Failed> {
        let kept = Duration::from_secs(u64::from(input.days.unwrap_or(DAYS)) * 24 * 3600);
        let mut sweep = Sweep::ended(context.store(), Timestamp::now() - kept);
        let (mut removed, mut pages) = (0_usize, 0_u8);
        while let Some(page) = sweep.page().await.map_err(Failed::retry)? {
            for due in page {
                removed += usize::from(remove(context.store(), &due).await.map_err(Failed::retry)?);
            }
            pages = pages.saturating_add(1);
            context.progress.say(pages.min(99), format!("{removed} jobs removed"));
        }
        Ok(Done::text(format!("{removed} jobs removed")))
    }
}

/// Removes a job and its key, if it still is where it was found: a redrive may have woken it.
async fn remove(store: &Store, due: &Due) -> Result<bool, Error> {
    let row = key::job(due.tenant, due.job);
    let Some(job) = store.get::<Job>(&row).await? else { return Ok(false) };
    let mut transaction = Transaction::new().delete_if(
        store,
        &row,
        "gsi2sk = :entry",
        vec![(":entry", Value::S(due.entry.clone()))],
    );
    if let Some(text) = &job.job_key {
        transaction = transaction.delete(store, &key::job_key(due.tenant, &job.job_type, text));
    }
    match transaction.run(store).await {
        Ok(()) => Ok(true),
        Err(Cancelled::Reasons(_)) => Ok(false),
        Err(Cancelled::Failed(error)) => Err(error.into()),
    }
}
