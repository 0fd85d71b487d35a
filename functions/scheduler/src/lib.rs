//! What has to happen because time has passed. Once a minute, finds the runs that nobody drives: the owner's lease is
//! over, the message was lost, or the person asked has not answered in time; and likewise the jobs. Once an hour, deletes
//! bytes that nothing refers to and has payments reconciled. Once a day, sees to the signing keys ([`Rotation`]) and enqueues what is to be done each
//! day ([`JobScheduler`]).
//!
//! No run depends on it while all goes well. It is what makes every other delivery allowed to fail.

mod jobs;
mod rotation;

use std::time::Duration;

use futures::{StreamExt, stream};
use sequent_artifacts::Collected;
use sequent_aws::queue::Sender;
use sequent_conversation::{Delivery, Due, Error, Run, Runs, Status, Sweep, expire};
use sequent_core::Timestamp;
use sequent_identity::signing::rotation::Outcome;
use sequent_runlog::DynamoStorage;
use sequent_tables::Store;
use serde::{Deserialize, Serialize};

pub use jobs::{JobScheduler, SweptJobs};
pub use rotation::Rotation;

/// When a run that was sent again is looked at next, should nobody have taken it: after the next sweep.
const AGAIN: Duration = Duration::from_secs(90);
/// Runs looked at at the same time.
const AT_ONCE: usize = 16;

/// An event of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Event {
    /// What it is time for; EventBridge's own form of a schedule's event names nothing, and means a sweep.
    #[serde(default)]
    pub task: Task,
}

/// What it is time for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// [`Scheduler::sweep`].
    #[default]
    Sweep,
    /// [`Rotation::run`].
    RotateSigningKey,
    /// [`Artifacts::collect`](sequent_artifacts::Artifacts::collect).
    CollectGarbage,
    /// [`JobScheduler::enqueue_hourly`].
    EnqueueHourlyJobs,
    /// [`JobScheduler::enqueue_daily`].
    EnqueueDailyJobs,
}

/// What was done, for whoever invoked the function by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// A sweep.
    Swept(Swept),
    /// A look at the signing keys.
    SigningKey(Outcome),
    /// A look for bytes that nothing refers to.
    Garbage(Collected),
    /// Jobs that are due each hour or day, as many as were not enqueued before.
    Enqueued(usize),
}

/// Sweeps the index of active runs.
#[derive(Debug, Clone)]
pub struct Scheduler {
    storage: DynamoStorage,
    queue: Sender,
}

/// What one sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Runs whose time had come.
    pub due: usize,
    /// Those of them that were sent to the queue.
    pub sent: usize,
    /// Those of them that could not be looked at or sent; the next sweep finds them again.
    pub failed: usize,
}

/// What became of one due run.
enum Fate {
    Send(Delivery),
    Leave,
    Failed,
}

impl Scheduler {
    /// Over the runs in `storage`, sending to `queue`.
    #[must_use]
    pub fn new(storage: DynamoStorage, queue: Sender) -> Self {
        Self { storage, queue }
    }

    /// One sweep over everything that is due at `now`.
    ///
    /// # Errors
    /// When the index cannot be read. What was found before that has been seen to.
    pub async fn sweep(&self, now: Timestamp) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        let mut sweep = Sweep::new(self.store(), now);
        while let Some(page) = sweep.page().await? {
            swept.due += page.len();
            let fates: Vec<Fate> = stream::iter(&page)
                .map(|due| self.look_after(due, now))
                .buffer_unordered(AT_ONCE)
                .collect()
                .await;
            swept.failed += fates.iter().filter(|fate| matches!(fate, Fate::Failed)).count();
            let messages: Vec<String> = fates
                .into_iter()
                .filter_map(
                    |fate| if let Fate::Send(delivery) = fate { Some(delivery.to_json()) } else { None },
                )
                .collect();
            match self.queue.send(&messages).await {
                Ok(()) => swept.sent += messages.len(),
                Err((taken, error)) => {
                    tracing::error!(%error, "runs that nobody drives were not queued");
                    swept.sent += taken;
                    swept.failed += messages.len() - taken;
                }
            }
        }
        if swept != Swept::default() {
            tracing::info!(swept.due, swept.sent, swept.failed, "swept");
        }
        Ok(swept)
    }

    async fn look_after(&self, due: &Due<'_>, now: Timestamp) -> Fate {
        match self.decide(due, now).await {
            Ok(fate) => fate,
            Err(error) => {
                tracing::error!(run = %due.key().run, %error, "a run that is due was not looked after");
                Fate::Failed
            }
        }
    }

    async fn decide(&self, due: &Due<'_>, now: Timestamp) -> Result<Fate, Error> {
        let key = due.key();
        let run: Run = match Runs::new(self.store(), key.tenant).get(key.run).await {
            // The index is a moment behind the table.
            Err(Error::NotFound) => return Ok(Fate::Leave),
            other => other?,
        };
        match run.status {
            Status::Success | Status::Error | Status::Cancelled => {
                due.forget().await?;
                return Ok(Fate::Leave);
            }
            // Without open questions it was answered, and waits for somebody to go on with it.
            Status::Interrupted if !run.interrupts.is_empty() => {
                // Queues the run itself when nothing is left to wait for, and then the entry has moved.
                Box::pin(expire(&self.storage, key, now)).await?;
                let expiries = run.interrupts.iter().filter_map(|question| question.expires_at);
                match expiries.filter(|at| *at > now).min() {
                    Some(next) => due.postpone(next).await?,
                    None => due.postpone(now + AGAIN).await?,
                };
                return Ok(Fate::Leave);
            }
            Status::Pending | Status::Running | Status::Interrupted => {}
        }
        // First, so that of two sweeps one sends; a crash before the message costs one more round.
        Ok(if due.postpone(now + AGAIN).await? { Fate::Send(Delivery::from(key)) } else { Fate::Leave })
    }

    fn store(&self) -> &Store {
        self.storage.store()
    }
}
