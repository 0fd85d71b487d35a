//! Sends the messages that changes of the `main` table call for: the second half of the outbox. The first
//! half is an attribute of a row.

use std::time::Duration;

use aws_lambda_events::dynamodb::{EventRecord, StreamRecord};
use sequent_aws::queue::{Batch, Failures, Message, Sender};
use sequent_conversation::Delivery;
use sequent_core::Timestamp;
use sequent_jobs::{Dispatch, Effects, Queue};
use sequent_tables::Item;
use serde::Deserialize;
use serde_json::Value;

/// The queues that receive messages.
#[derive(Debug, Clone)]
pub struct Queues {
    /// Runs without an owner.
    pub runs: Sender,
    /// Jobs without a worker.
    pub jobs: Sender,
    /// Export jobs without a worker.
    pub exports: Sender,
    /// Jobs that have failed and are not retried.
    pub dead_jobs: Sender,
}

/// Messages for one queue, each with the index of the record that calls for it.
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

    /// Sends all messages. Returns the index of the first record whose message was not accepted.
    async fn send(&self, queue: &Sender) -> Option<usize> {
        // The SDK's futures are large, and four of them are held at once.
        let (at, error) = Box::pin(queue.send_messages(&self.messages)).await.err()?;
        tracing::error!(%error, "could not queue a message; the stream delivers its record again");
        Some(self.origins.get(at).copied().unwrap_or(0))
    }
}

/// The messages of one batch.
#[derive(Default)]
struct Outbox {
    runs: Outgoing,
    jobs: Outgoing,
    exports: Outgoing,
    dead_jobs: Outgoing,
}

impl Outbox {
    /// Adds the messages for the record with the index `origin`.
    fn add(&mut self, origin: usize, old: Option<&Item>, new: &Item, now: Timestamp) {
        for delivery in Delivery::of_change(old, new) {
            self.runs.add(origin, Message::text(delivery.to_json()));
        }
        let Effects { deliver, notify_run, dead_letter } = Effects::of(old, new);
        if let Some((tenant_id, run_id)) = notify_run {
            self.runs.add(origin, Message::text(Delivery { tenant_id, run_id }.to_json()));
        }
        if let Some(Dispatch { delivery, queue, not_before }) = deliver {
            let delay = not_before.map_or(Duration::ZERO, |at| at.since(now));
            // A sweep delivers a job whose pause is longer than SQS can delay a message.
            if delay <= Message::LONGEST_DELAY {
                let queue = match queue {
                    Queue::Jobs => &mut self.jobs,
                    Queue::Exports => &mut self.exports,
                };
                queue.add(origin, Message { delay, ..Message::text(delivery.to_json()) });
            }
        }
        if let Some(dead) = dead_letter {
            let cause = format!("{}: {}", dead.cause.code, dead.cause.message);
            self.dead_jobs.add(origin, Message { cause: Some(cause), ..Message::text(dead.message) });
        }
    }

    /// Sends all messages. Returns the index of the first record of which a message was not accepted.
    async fn send(&self, queues: &Queues) -> Option<usize> {
        let (runs, jobs, exports, dead_jobs) = tokio::join!(
            self.runs.send(&queues.runs),
            self.jobs.send(&queues.jobs),
            self.exports.send(&queues.exports),
            self.dead_jobs.send(&queues.dead_jobs)
        );
        [runs, jobs, exports, dead_jobs].into_iter().flatten().min()
    }
}

/// Sends the messages that the batch calls for, in the order of the stream within each queue. After a failure
/// the stream delivers the batch again from the first record that failed.
pub async fn handle(queues: &Queues, batch: &Batch) -> Failures {
    let now = Timestamp::now();
    let mut outbox = Outbox::default();
    let mut unreadable = None;
    for (index, record) in batch.records.iter().enumerate() {
        match images(record) {
            Ok(Some((old, new))) => outbox.add(index, old.as_ref(), &new, now),
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, "could not read a record of the stream; it is delivered again");
                unreadable = Some(index);
                break;
            }
        }
    }
    let unsent = outbox.send(queues).await;
    let mut failures = Failures::default();
    if let Some(index) = [unsent, unreadable].into_iter().flatten().min() {
        failures.add(&batch.records[index]);
    }
    let Outbox { runs, jobs, exports, dead_jobs } = outbox;
    let [runs, jobs, exports, dead_jobs] = [runs, jobs, exports, dead_jobs].map(|queue| queue.messages.len());
    if runs + jobs + exports + dead_jobs > 0 {
        tracing::info!(records = batch.records.len(), runs, jobs, exports, dead_jobs, "queued messages");
    }
    failures
}

/// The row before and after a change. Returns `None` for a row that was deleted. A row that was inserted has
/// no image before the change.
fn images(record: &Value) -> Result<Option<(Option<Item>, Item)>, serde_json::Error> {
    let StreamRecord { old_image, new_image, .. } = EventRecord::deserialize(record)?.change;
    let image = |image: serde_dynamo::Item| Some(Item::from(image)).filter(|item| !item.is_empty());
    Ok(image(new_image).map(|new| (image(old_image), new)))
}
