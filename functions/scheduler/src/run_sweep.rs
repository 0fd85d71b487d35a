//! The sweep over runs that have no owner.

use futures::{StreamExt, stream};
use sequent_aws::queue::{Message, Sender};
use sequent_conversation::{Delivery, Error, Run, RunStatus, Runs, expire};
use sequent_core::{Timestamp, pace::scaled};
use sequent_runlog::{DynamoStorage, LogKey, WAIT_CHECK};
use sequent_tables::{Due, DueIndex, Store, key};
use serde::{Serialize, de::IgnoredAny};

use crate::{CONCURRENCY, RESEND_AFTER};

/// Sweeps the due index of runs.
#[derive(Debug, Clone)]
pub struct RunSweeper {
    storage: DynamoStorage,
    queue: Sender,
}

/// The result of one sweep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SweptRuns {
    /// Runs that were due.
    pub due: usize,
    /// Runs that were sent to the queue.
    pub sent: usize,
    /// Runs that could not be read or sent. The next sweep finds them again.
    pub failed: usize,
}

/// The decision about one due run.
enum Decision {
    Send(Delivery),
    Skip,
    Failed,
}

impl RunSweeper {
    /// Sweeps the runs in `storage` and sends to `queue`.
    #[must_use]
    pub fn new(storage: DynamoStorage, queue: Sender) -> Self {
        Self { storage, queue }
    }

    /// Works on every run that is due at `now`.
    ///
    /// # Errors
    /// Returns an error if the index cannot be read. The runs read before that are done.
    pub async fn sweep(&self, now: Timestamp) -> Result<SweptRuns, Error> {
        let mut swept = SweptRuns::default();
        let mut sweep = DueIndex::Runs.sweep(self.store(), now);
        while let Some(page) = sweep.page().await? {
            swept.due += page.len();
            let decisions: Vec<Decision> = stream::iter(&page)
                .filter_map(async |due| Some((log_key(due)?, due)))
                .map(|(key, due)| self.decide_or_log(key, due, now))
                .buffer_unordered(CONCURRENCY)
                .collect()
                .await;
            let mut messages = Vec::new();
            for decision in decisions {
                match decision {
                    Decision::Send(delivery) => {
                        messages.push(Message::new(delivery.tenant_id, delivery.to_json()));
                    }
                    Decision::Skip => {}
                    Decision::Failed => swept.failed += 1,
                }
            }
            let sent = self.send(&messages).await;
            swept.sent += sent;
            swept.failed += messages.len() - sent;
        }
        if swept != SweptRuns::default() {
            tracing::info!(swept.due, swept.sent, swept.failed, "swept runs");
        }
        Ok(swept)
    }

    /// Returns the number of messages that the queue accepted.
    async fn send(&self, messages: &[Message]) -> usize {
        match self.queue.send(messages).await {
            Ok(()) => messages.len(),
            Err((sent, error)) => {
                tracing::error!(%error, "could not queue runs without an owner; a later sweep retries");
                sent
            }
        }
    }

    async fn decide_or_log(&self, key: LogKey, due: &Due, now: Timestamp) -> Decision {
        match self.decide(key, due, now).await {
            Ok(decision) => decision,
            Err(error) => {
                tracing::error!(run = %key.run, %error, "could not check a due run; the next sweep retries");
                Decision::Failed
            }
        }
    }

    async fn decide(&self, key: LogKey, due: &Due, now: Timestamp) -> Result<Decision, Error> {
        let run: Run = match Runs::new(self.store(), key.tenant).get(key.run).await {
            // The index is updated later than the table.
            Err(Error::RunNotFound) => return Ok(Decision::Skip),
            other => other?,
        };
        match run.status {
            RunStatus::Success | RunStatus::Error | RunStatus::Cancelled => {
                due.forget(self.store()).await?;
                return Ok(Decision::Skip);
            }
            RunStatus::Interrupted if !self.is_resumable(key, &run, now).await? => {
                let expiries = run.interrupts.iter().filter_map(|question| question.expires_at);
                let next = expiries.filter(|at| *at > now).min();
                due.postpone::<IgnoredAny>(self.store(), next.unwrap_or(now + scaled(RESEND_AFTER))).await?;
                return Ok(Decision::Skip);
            }
            RunStatus::Pending | RunStatus::Running | RunStatus::Interrupted => {}
        }
        // The run is postponed first, so that only one of two concurrent sweeps sends it. If this process is
        // killed before it sends the message, the run waits for one more interval.
        let interval = if run.waiting.is_some() { WAIT_CHECK } else { RESEND_AFTER };
        let postponed: Option<IgnoredAny> = due.postpone(self.store(), now + scaled(interval)).await?;
        Ok(if postponed.is_some() { Decision::Send(Delivery::from(key)) } else { Decision::Skip })
    }

    /// Returns `true` if an interrupted run has nothing left to wait for. A run without open questions was answered or
    /// cancelled. If a question has expired, the run may be queued now; then it has moved in the index.
    async fn is_resumable(&self, key: LogKey, run: &Run, now: Timestamp) -> Result<bool, Error> {
        Ok(run.interrupts.is_empty() || Box::pin(expire(&self.storage, key, now)).await?)
    }

    fn store(&self) -> &Store {
        self.storage.store()
    }
}

fn log_key(due: &Due) -> Option<LogKey> {
    let (tenant, run) = key::parse_run(due.key())?;
    Some(LogKey { tenant, run })
}
