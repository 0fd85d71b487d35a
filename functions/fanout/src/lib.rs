//! Turns changes of the `main` table into messages: the second half of the outbox whose first half is an attribute
//! of a row.

use std::time::Duration;

use sequent_aws::queue::{Batch, Failures, Message, Sender};
use sequent_conversation::Delivery;
use sequent_core::Timestamp;
use sequent_jobs::Queue;
use sequent_tables::Item;
use serde::Deserialize;
use serde_json::Value;

/// One record of the table's stream.
#[derive(Deserialize)]
struct Record {
    dynamodb: Change,
}

/// The row before and after. A deleted row has no new image, an inserted one no old.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Change {
    #[serde(default)]
    old_image: Option<serde_dynamo::Item>,
    #[serde(default)]
    new_image: Option<serde_dynamo::Item>,
}

/// The queues that changes are turned into messages for.
#[derive(Debug, Clone)]
pub struct Queues {
    /// Runs that want an owner.
    pub runs: Sender,
    /// Jobs that want a worker.
    pub jobs: Sender,
    /// Exports that want a worker.
    pub exports: Sender,
    /// Jobs that failed for good.
    pub dead_jobs: Sender,
}

/// Messages for one queue, each with the place of the record it stems from.
#[derive(Default)]
struct Outgoing {
    origins: Vec<usize>,
    messages: Vec<Message>,
}

impl Outgoing {
    fn add(&mut self, origin: usize, message: Message) {
        self.origins.push(origin);
        self.messages.push(message);
    }

    /// Sends all. Gives the place of the first record that a message was not taken of.
    async fn send(&self, queue: &Sender) -> Option<usize> {
        // The SDK's futures are large, and four of them are held at once.
        let (at, error) = Box::pin(queue.send_messages(&self.messages)).await.err()?;
        tracing::error!(%error, "a message was not queued");
        Some(self.origins.get(at).copied().unwrap_or(0))
    }
}

/// Sends what the batch's changes call for, in the order of the stream within each queue. What comes behind the first
/// failure is left to the retry, which begins there.
pub async fn handle(queues: &Queues, batch: &Batch) -> Failures {
    let now = Timestamp::now();
    let mut failures = Failures::default();
    let (mut runs, mut dead) = (Outgoing::default(), Outgoing::default());
    let (mut jobs, mut exports) = (Outgoing::default(), Outgoing::default());
    let mut unread = None;
    for (at, record) in batch.records.iter().enumerate() {
        let (old, new) = match images(record) {
            Ok(Some(images)) => images,
            Ok(None) => continue,
            Err(error) => {
                tracing::error!(%error, "a record of the stream cannot be read");
                unread = Some(at);
                break;
            }
        };
        for delivery in Delivery::called_for(old.as_ref(), &new) {
            runs.add(at, Message::text(delivery.to_json()));
        }
        let called = sequent_jobs::called_for(old.as_ref(), &new);
        if let Some((tenant_id, run_id)) = called.tell {
            runs.add(at, Message::text(Delivery { tenant_id, run_id }.to_json()));
        }
        if let Some((delivery, queue, not_before)) = called.deliver {
            // A job that has longer to wait than a message can is delivered by the sweep.
            let delay = not_before.map_or(Duration::ZERO, |at| at.since(now));
            if delay <= Message::LONGEST_DELAY {
                let queue = match queue {
                    Queue::Jobs => &mut jobs,
                    Queue::Exports => &mut exports,
                };
                queue.add(at, Message { delay, ..Message::text(delivery.to_json()) });
            }
        }
        if let Some(burial) = called.bury {
            let cause = format!("{}: {}", burial.cause.code, burial.cause.message);
            dead.add(at, Message { cause: Some(cause), ..Message::text(burial.message) });
        }
    }
    let sent = tokio::join!(
        runs.send(&queues.runs),
        jobs.send(&queues.jobs),
        exports.send(&queues.exports),
        dead.send(&queues.dead_jobs)
    );
    let failed = [sent.0, sent.1, sent.2, sent.3, unread].into_iter().flatten().min();
    if let Some(record) = failed.and_then(|at| batch.records.get(at)) {
        failures.add(record);
    }
    let [runs, jobs, exports, dead] = [runs, jobs, exports, dead].map(|queue| queue.messages.len());
    if runs + jobs + exports + dead > 0 {
        tracing::info!(records = batch.records.len(), runs, jobs, exports, dead, "delivered");
    }
    failures
}

/// The row before and after. `None`: it is gone.
fn images(record: &Value) -> Result<Option<(Option<Item>, Item)>, serde_json::Error> {
    let Change { old_image, new_image } = Record::deserialize(record)?.dynamodb;
    Ok(new_image.map(|new| (old_image.map(Item::from), Item::from(new))))
}
