//! The sweep over jobs that have no worker.

use futures::{StreamExt, stream};
use sequent_aws::queue::{Message, Sender};
use sequent_core::{Timestamp, pace::scaled};
use sequent_jobs::{Delivery, Error, Queue, postpone};
use sequent_tables::{Due, DueIndex, Store};
use serde::Serialize;

use crate::{CONCURRENCY, RESEND_AFTER};

/// Sweeps the due index of jobs.
#[derive(Debug, Clone)]
pub struct JobSweeper {
    store: Store,
    jobs: Sender,
    exports: Sender,
}

/// The result of one sweep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SweptJobs {
    /// Jobs that were sent to their queue.
    pub sent: usize,
    /// Jobs that could not be postponed or sent. A later sweep finds them again.
    pub failed: usize,
}

impl JobSweeper {
    /// Sweeps the jobs in `store`. Sends each to `jobs` or `exports`.
    #[must_use]
    pub fn new(store: Store, jobs: Sender, exports: Sender) -> Self {
        Self { store, jobs, exports }
    }

    /// Sends every job that is due at `now`: its message was lost, its pause is over, or its worker has died.
    /// The worker that receives the message finds out which of these it is.
    ///
    /// # Errors
    /// Returns an error if the index cannot be read. The jobs read before that are done.
    pub async fn sweep(&self, now: Timestamp) -> Result<SweptJobs, Error> {
        let mut swept = SweptJobs::default();
        let mut sweep = DueIndex::Jobs.sweep(&self.store, now);
        while let Some(page) = sweep.page().await? {
            self.sweep_page(page, now, &mut swept).await;
        }
        if swept != SweptJobs::default() {
            tracing::info!(swept.sent, swept.failed, "swept jobs");
        }
        Ok(swept)
    }

    async fn sweep_page(&self, page: Vec<Due>, now: Timestamp, swept: &mut SweptJobs) {
        // A job is postponed first, so that only one of two concurrent sweeps sends it. If this process is
        // killed before it sends the message, the job waits for one more interval.
        let postponed: Vec<_> = stream::iter(page)
            .map(|due| async {
                let job = postpone(&self.store, &due, now + scaled(RESEND_AFTER)).await;
                (due, job)
            })
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        let mut jobs = Vec::new();
        let mut exports = Vec::new();
        for (due, job) in postponed {
            match job {
                Ok(Some((delivery, Queue::Jobs))) => jobs.push(message(delivery)),
                Ok(Some((delivery, Queue::Exports))) => exports.push(message(delivery)),
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(job = due.key().sk(), %error, "could not postpone a due job; the next sweep retries");
                    swept.failed += 1;
                }
            }
        }
        for (queue, messages) in [(&self.jobs, jobs), (&self.exports, exports)] {
            let sent = match queue.send(&messages).await {
                Ok(()) => messages.len(),
                Err((sent, error)) => {
                    tracing::error!(%error, "could not queue jobs without a worker; a later sweep retries");
                    sent
                }
            };
            swept.sent += sent;
            swept.failed += messages.len() - sent;
        }
    }
}

fn message(delivery: Delivery) -> Message {
    Message::new(delivery.tenant_id, delivery.to_json())
}
