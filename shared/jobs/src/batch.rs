//! Batches of the queues of jobs.
//!
//! The messages of a batch are handled concurrently, and each job that still wants a worker gets one attempt. The outcome
//! is stored in the job's row, so the message can be deleted as soon as that is written. Only if the table or a log cannot
//! be written is the message received again.

use futures::{StreamExt, stream};
use sequent_aws::queue::{Batch, BatchWorker, Failures};
use sequent_core::Timestamp;
use serde_json::Value;
use tokio::time::Instant;
use tracing::Instrument;

use crate::{Delivery, Error, Worker, store_unreadable};

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

async fn deliver(worker: &Worker, record: &Value, deadline: Option<Instant>) -> Result<(), Error> {
    let text = record["body"].as_str().unwrap_or_default();
    match Delivery::from_json(text) {
        Ok(delivery) => worker.work(delivery, deadline).await.map(|_| ()),
        Err(error) => {
            tracing::warn!(message = %record["messageId"], %error, "could not read a message; it is stored as a failed job");
            let id = record["messageId"].as_str().unwrap_or_default();
            let why = format!("The message cannot be read: {error}");
            store_unreadable(worker.store(), id, text, &why, Timestamp::now()).await
        }
    }
}
