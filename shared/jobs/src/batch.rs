//! Batches of the queues of jobs.
//!
//! A queue also carries messages of other kinds, which a [`MessageHandler`] handles: work that is found by a sweep and has a
//! row of its own.
//!
//! The messages of a batch are handled concurrently, and each job that still wants a worker gets one attempt. The outcome
//! is stored in the job's row, so the message can be deleted as soon as that is written. Only if the table or a log cannot
//! be written is the message received again.

use std::fmt;

use futures::{StreamExt, future::BoxFuture, stream};
use sequent_aws::queue::{Batch, BatchWorker, Failures};
use sequent_core::Timestamp;
use serde_json::Value;
use tokio::time::Instant;
use tracing::Instrument;

use crate::{Delivery, Worker, store_unreadable};

/// An error of any kind.
type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Handles messages of a queue of jobs that are not about jobs.
pub trait MessageHandler: fmt::Debug + Send + Sync {
    /// Handles a message. Returns `None` if it is of another kind. After an error the message is received again.
    fn handle(&self, text: &str) -> Option<BoxFuture<'static, Result<(), AnyError>>>;
}

impl BatchWorker for Worker {
    /// Works on every message of the batch. Returns those whose outcome could not be stored.
    async fn handle(&self, batch: Batch, deadline: Option<Instant>) -> Failures {
        let mut failures = Failures::default();
        let records = batch.records.into_iter().map(|record| async move {
            let worker = self.clone();
            let delivered = record.clone();
            // The task is separate, so that a panic fails this record and no other.
            let one = async move { Box::pin(deliver(&worker, &delivered, deadline)).await };
            let ended = match tokio::spawn(one.in_current_span()).await {
                Ok(ended) => ended.map_err(|error| error.to_string()),
                Err(panic) => Err(panic.to_string()),
            };
            (record, ended)
        });
        let mut ended = Box::pin(stream::iter(records).buffer_unordered(10));
        while let Some((record, ended)) = ended.next().await {
            if let Err(error) = ended {
                tracing::error!(message = %record["messageId"], %error, "could not handle a message; it is received again");
                failures.add(&record);
            }
        }
        failures
    }

    /// Returns every attempt in progress to the queue.
    async fn shut_down(&self) {
        self.leaving.send_replace(true);
        self.leaving.closed().await;
    }
}

async fn deliver(worker: &Worker, record: &Value, deadline: Option<Instant>) -> Result<(), AnyError> {
    let text = record["body"].as_str().unwrap_or_default();
    if let Some(handled) = worker.others.iter().find_map(|others| others.handle(text)) {
        return handled.await;
    }
    match Delivery::from_json(text) {
        Ok(delivery) => Ok(worker.work(delivery, deadline).await.map(drop)?),
        Err(error) => {
            tracing::warn!(message = %record["messageId"], %error, "could not read a message; it is stored as a failed job");
            let id = record["messageId"].as_str().unwrap_or_default();
            let why = format!("The message cannot be read: {error}");
            Ok(store_unreadable(worker.store(), id, text, &why, Timestamp::now()).await?)
        }
    }
}
