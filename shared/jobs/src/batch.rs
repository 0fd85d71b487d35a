//! Batches of the queues of jobs.
//!
//! Every message is looked at side by side, and each job that still wants a worker gets one attempt. What becomes of a job
//! is in its row, so a message is done with as soon as that is written; only when the table or a log cannot be written does
//! it come again.

use futures::{StreamExt, stream};
use sequent_aws::queue::{Batch, BatchWorker, Failures};
use sequent_core::Timestamp;
use serde_json::Value;
use tokio::time::Instant;
use tracing::Instrument;

use crate::{Delivery, Error, Worker, bury_unreadable};

impl BatchWorker for Worker {
    /// Works on every message of the batch. Returns those whose outcome could not be stored.
    async fn handle(&self, batch: Batch, deadline: Option<Instant>) -> Failures {
        let mut failures = Failures::default();
        let records = batch.records.into_iter().map(|record| async move {
            let worker = self.clone();
            let delivered = record.clone();
            // In a task of its own, so that a panic fails this record and no other.
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
                tracing::error!(message = %record["messageId"], %error, "a delivery failed");
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
            tracing::warn!(message = %record["messageId"], %error, "a message cannot be read");
            let id = record["messageId"].as_str().unwrap_or_default();
            let why = format!("The message cannot be read: {error}");
            bury_unreadable(worker.store(), id, text, &why, Timestamp::now()).await
        }
    }
}
