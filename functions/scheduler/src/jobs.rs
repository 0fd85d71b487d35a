//! Jobs by the clock: those that nobody drives, and those of each day.

use std::time::Duration;

use futures::{StreamExt, stream};
use sequent_aws::queue::Sender;
use sequent_core::{TenantId, Timestamp};
use sequent_jobs::{
    Due, Enqueued, Error, New, Queue, Sweep, enqueue,
    kinds::{CleanupInput, CleanupOldJobs},
};
use sequent_payments::{ReconcileInput, ReconcileStripe};
use sequent_tables::Store;
use serde::Serialize;

/// When a job that was sent again is looked at next, should nobody have taken it.
const AGAIN: Duration = Duration::from_secs(90);
/// Jobs looked at at the same time.
const AT_ONCE: usize = 16;

/// Sweeps the index of active jobs.
#[derive(Debug, Clone)]
pub struct JobScheduler {
    store: Store,
    jobs: Sender,
    exports: Sender,
}

/// What one sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SweptJobs {
    /// Jobs that were sent to the queue.
    pub sent: usize,
    /// Jobs that could not be looked at or sent; a later sweep finds them again.
    pub failed: usize,
}

impl JobScheduler {
    /// Over the jobs in `store`, sending to the queue that each is for.
    #[must_use]
    pub fn new(store: Store, jobs: Sender, exports: Sender) -> Self {
        Self { store, jobs, exports }
    }

    /// Sends every job that is due at `now`: it was not delivered, its pause is over, or its worker is gone. Whoever gets
    /// the message looks which of these it is.
    ///
    /// # Errors
    /// When the index cannot be read. What was found before that has been seen to.
    pub async fn sweep(&self, now: Timestamp) -> Result<SweptJobs, Error> {
        let mut swept = SweptJobs::default();
        let mut sweep = Sweep::due(&self.store, now);
        while let Some(page) = sweep.page().await? {
            // Moved first, so that of two sweeps one sends; a crash before the message costs one more round.
            let moved: Vec<(Due, Result<Option<Queue>, Error>)> = stream::iter(page)
                .map(|due| async {
                    let moved = due.postpone(&self.store, now + AGAIN).await;
                    (due, moved)
                })
                .buffer_unordered(AT_ONCE)
                .collect()
                .await;
            let (mut jobs, mut exports) = (Vec::new(), Vec::new());
            for (due, moved) in moved {
                match moved {
                    Ok(Some(Queue::Jobs)) => jobs.push(due.delivery().to_json()),
                    Ok(Some(Queue::Exports)) => exports.push(due.delivery().to_json()),
                    Ok(None) => {}
                    Err(error) => {
                        tracing::error!(job = %due.job, %error, "a job that is due was not looked after");
                        swept.failed += 1;
                    }
                }
            }
            for (queue, messages) in [(&self.jobs, jobs), (&self.exports, exports)] {
                let taken = match queue.send(&messages).await {
                    Ok(()) => messages.len(),
                    Err((taken, error)) => {
                        tracing::error!(%error, "jobs that nobody drives were not queued");
                        taken
                    }
                };
                swept.sent += taken;
                swept.failed += messages.len() - taken;
            }
        }
        if swept != SweptJobs::default() {
            tracing::info!(swept.sent, swept.failed, "swept jobs");
        }
        Ok(swept)
    }

    /// Enqueues the jobs of the hour of `now`, each once as those of a day: a look for events of Stripe that never came, if
    /// the deployment sells something.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn enqueue_hourly(&self, now: Timestamp, sells: bool) -> Result<usize, Error> {
        if !sells {
            return Ok(0);
        }
        let reconcile = New::of::<ReconcileStripe>(TenantId::SYSTEM, &ReconcileInput::of_hour(now));
        let enqueued = enqueue(&self.store, &reconcile, now).await?;
        Ok(usize::from(matches!(enqueued, Enqueued::New(_))))
    }

    /// Enqueues the jobs of the day of `now`. Each has the day for its key, so that it is enqueued once however many
    /// schedules fire.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn enqueue_daily(&self, now: Timestamp) -> Result<usize, Error> {
        let cleanup = New::of::<CleanupOldJobs>(TenantId::SYSTEM, &CleanupInput::of_day(now));
        let enqueued = enqueue(&self.store, &cleanup, now).await?;
        Ok(usize::from(matches!(enqueued, Enqueued::New(_))))
    }
}
