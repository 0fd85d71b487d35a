//! Executes background runs. A worker that receives a run from the queue claims it, if it has no owner, and executes it
//! until the run ends, waits, or must be handed over.

use std::{sync::Arc, time::Duration};

use sequent_agent::{Engine, Window, execute};
use sequent_aws::queue::{Batch, BatchWorker, Failures};
use sequent_conversation::{Delivery, Runs, claim, queue};
use sequent_runlog::{DynamoStorage, Lease, LogKey, Stopped, Storage, Writer};
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};

/// Time in which the lease of a run that is handed over must be released. A shutdown allows half a second.
const RELEASE_LIMIT: Duration = Duration::from_millis(400);
/// Pause between two reads of a lease.
const RELEASE_POLL: Duration = Duration::from_millis(20);

/// Executes the runs that the queue delivers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Worker {
    engine: Engine,
    /// `true` when the process is about to end. Every execution has a receiver.
    leaving: Arc<watch::Sender<bool>>,
}

/// A delivery failed. The queue repeats it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The message is not a delivery of a run.
    #[error("the message cannot be read")]
    Poison(#[from] serde_json::Error),
    /// The table, the log or the execution failed.
    #[error(transparent)]
    Run(#[from] sequent_conversation::Error),
}

impl Worker {
    /// Executes runs with `engine`.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self { engine, leaving: Arc::new(watch::Sender::new(false)) }
    }
}

impl BatchWorker for Worker {
    /// Executes every run of the batch. Returns the messages of those that failed.
    async fn handle(&self, batch: Batch, deadline: Option<Instant>) -> Failures {
        let window = deadline.map(Window::until);
        let mut failures = Failures::default();
        for record in batch.records {
            let worker = self.clone();
            let body = record["body"].clone();
            // Each record has a task of its own, so that a panic fails that record only.
            let delivered = async move { Box::pin(worker.deliver(&body, window)).await };
            let delivered = tokio::spawn(tracing::Instrument::in_current_span(delivered)).await;
            let error = match delivered {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(panic) => panic.to_string(),
            };
            tracing::error!(message = %record["messageId"], %error, "could not execute a delivered run; the queue repeats the message");
            failures.add(&record);
        }
        failures
    }

    /// Stops every execution and queues its run for another worker.
    async fn shut_down(&self) {
        self.leaving.send_replace(true);
        self.leaving.closed().await;
    }
}

impl Worker {
    async fn deliver(&self, body: &Value, window: Option<Window>) -> Result<(), Error> {
        let delivery = Delivery::from_json(body.as_str().unwrap_or_default())?;
        let key = delivery.key();
        let run = match Runs::new(self.engine.store(), key.tenant).get(key.run).await {
            Ok(run) => run,
            Err(sequent_conversation::Error::RunNotFound) => {
                tracing::warn!(run = %key.run, "received a run that does not exist; dropped the message");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        match Box::pin(claim(&self.engine.runs(), key, &run, None)).await? {
            Some(writer) => self.execute(key, writer, window).await,
            None => Ok(()),
        }
    }

    async fn execute(
        &self,
        key: LogKey,
        writer: Box<Writer<DynamoStorage>>,
        window: Option<Window>,
    ) -> Result<(), Error> {
        let mut leaving = self.leaving.subscribe();
        let executed = tokio::select! {
            executed = Box::pin(execute(&self.engine, key, *writer, window)) => executed,
            // When the execution is dropped, its writer stores the buffered events and releases the lease.
            () = async { drop(leaving.wait_for(|leaving| *leaving).await) } => {
                self.wait_for_release(key).await;
                tracing::info!(run = %key.run, "handed the run over because the process ends");
                return Ok(queue(self.engine.store(), key).await?);
            }
        };
        match executed {
            Ok(ended) => {
                tracing::info!(run = %key.run, ?ended, "executed the run");
                Ok(())
            }
            Err(sequent_conversation::Error::Stopped(Stopped::Fenced(epoch))) => {
                tracing::info!(run = %key.run, epoch, "another process took the run over");
                Ok(())
            }
            // The lease is released, so the next sweep sends the run again. The failed message remains as evidence.
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for the lease to be released. A worker that receives the run earlier would see a live lease and skip it.
    async fn wait_for_release(&self, key: LogKey) {
        let released = async {
            while !matches!(self.engine.storage.lease(key).await, Ok(Lease::Free | Lease::Waiting(_))) {
                sleep(RELEASE_POLL).await;
            }
        };
        if timeout_at(Instant::now() + RELEASE_LIMIT, released).await.is_err() {
            tracing::warn!(run = %key.run, "the lease was not released in time; a sweep finds the run");
        }
    }
}
