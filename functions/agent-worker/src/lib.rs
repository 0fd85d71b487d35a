//! Executes runs that nobody waits for: whoever is told of a run looks whether it wants an owner, becomes it, and
//! executes until the run ends, waits or must be handed over.

use std::{sync::Arc, time::Duration};

use sequent_agent::{Engine, Window, execute};
use sequent_aws::queue::{Batch, BatchWorker, Failures};
use sequent_conversation::{Begin, Delivery, Run, Runs, Status, begin_pending, queue};
use sequent_runlog::{Claim, DynamoStorage, LogKey, Stopped, Storage, Unavailable, Writer, claim};
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};

/// How long the lease of a run that is handed over may take to be given up. A shutdown allows half a second.
const LETTING_GO: Duration = Duration::from_millis(400);
const LOOK: Duration = Duration::from_millis(20);

/// Executes what it is told of. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Worker {
    engine: Engine,
    /// Whether the process is about to end. Its receivers are the executions going on.
    leaving: Arc<watch::Sender<bool>>,
}

/// A delivery came to nothing; it is worth another.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The message is not one of ours.
    #[error("the message cannot be read")]
    Poison(#[from] serde_json::Error),
    /// The table, the log or the execution failed.
    #[error(transparent)]
    Run(#[from] sequent_conversation::Error),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] Unavailable),
}

impl Worker {
    /// Executes with `engine`.
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
            let (worker, body) = (self.clone(), record["body"].clone());
            // In a task of its own, so that a panic is that record's failure and no other's.
            let delivered = async move { Box::pin(worker.deliver(&body, window)).await };
            let delivered = tokio::spawn(tracing::Instrument::in_current_span(delivered)).await;
            let error = match delivered {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(panic) => panic.to_string(),
            };
            tracing::error!(message = %record["messageId"], %error, "a delivery failed");
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
            Err(sequent_conversation::Error::NotFound) => {
                tracing::warn!(run = %key.run, "told of a run that does not exist");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        match self.claim(key, &run).await? {
            Some(writer) => self.execute(key, writer, window).await,
            None => Ok(()),
        }
    }

    /// Becomes the run's owner, if it wants one.
    async fn claim(&self, key: LogKey, run: &Run) -> Result<Option<Box<Writer<DynamoStorage>>>, Error> {
        let Engine { storage, settings, .. } = &self.engine;
        if run.status == Status::Pending {
            return Ok(match Box::pin(begin_pending(storage, *settings, key, run, None)).await? {
                Begin::Owned(writer) => Some(writer),
                // Its turn comes when the run before it ends.
                Begin::Wait | Begin::Closed => None,
            });
        }
        Ok(match claim(storage, key, *settings, false, None).await? {
            Claim::Won(writer) => Some(writer),
            Claim::Held | Claim::Closed | Claim::Missing => None,
        })
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
            // Dropping the execution has its writer store what is buffered and give the lease up.
            () = async { drop(leaving.wait_for(|leaving| *leaving).await) } => {
                self.let_go(key).await;
                tracing::info!(run = %key.run, "handed over: the process ends");
                return Ok(queue(self.engine.store(), key).await?);
            }
        };
        match executed {
            Ok(ended) => {
                tracing::info!(run = %key.run, ?ended, "executed");
                Ok(())
            }
            // A later owner executes it.
            Err(sequent_conversation::Error::Stopped(Stopped::Fenced(epoch))) => {
                tracing::info!(run = %key.run, epoch, "another process took the run over");
                Ok(())
            }
            // The lease is given up, so the next sweep sends it to somebody; this delivery is kept as evidence.
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until the run's lease is given up: whoever is told of the run before that takes it for well cared for.
    async fn let_go(&self, key: LogKey) {
        let free = async {
            while !matches!(self.engine.storage.lease(key).await, Ok(None)) {
                sleep(LOOK).await;
            }
        };
        if timeout_at(Instant::now() + LETTING_GO, free).await.is_err() {
            tracing::warn!(run = %key.run, "the lease was not given up in time; a sweep will find the run");
        }
    }
}
