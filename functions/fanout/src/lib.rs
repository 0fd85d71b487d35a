//! Sends the messages that changes of the `main` table call for: the second half of the outbox. The first
//! half is an attribute of a row. It also tells webhooks of changes, and where the deployment sends traces, it enqueues the
//! job for each run that has ended.

mod announce;
mod events;
mod traces;

use std::time::Duration;

use sequent_aws::{
    RowChange,
    queue::{Batch, Error, Failures, Message, Sender},
};
use sequent_conversation::Delivery;
use sequent_core::Timestamp;
use sequent_jobs::{Dispatch, Effects, Queue};
use sequent_schedules::ScheduleDelivery;
use sequent_tables::{Item, Store};
use serde_json::{Value, json};

use announce::{Events, Told};

pub use traces::TraceJobs;

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
    /// Records that can never be turned into messages.
    pub dead_records: Sender,
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

    fn extend(&mut self, other: Self) {
        self.origins.extend(other.origins);
        self.messages.extend(other.messages);
    }

    /// Sends all messages, except those that the queue can never accept: a retry would refuse them again and hold up the
    /// shard of the stream.
    async fn send(&self, queue: &Sender) -> Sent {
        let mut sent = Sent::default();
        let mut from = 0;
        // The SDK's futures are large, and four of them are held at once.
        while let Err((at, error)) = Box::pin(queue.send(&self.messages[from..])).await {
            let at = from + at;
            let origin = self.origins.get(at).copied().unwrap_or(0);
            let Error::Unsendable(why) = error else {
                tracing::error!(%error, "could not queue a message; the stream delivers its record again");
                sent.unsent = Some(origin);
                break;
            };
            tracing::error!(why, "a queue never accepts a message; it becomes a dead letter");
            let text = self.messages.get(at).map(|message| message.body.as_str()).unwrap_or_default();
            sent.refused.add(origin, Message::dead_letter(text, &why));
            from = at + 1;
        }
        sent
    }
}

/// The result of sending the messages of a queue.
#[derive(Default)]
struct Sent {
    /// The index of the first record whose message was not accepted this time.
    unsent: Option<usize>,
    /// Dead letters of the messages that are never accepted.
    refused: Outgoing,
}

/// The messages of one batch.
#[derive(Default)]
struct Outbox {
    runs: Outgoing,
    jobs: Outgoing,
    exports: Outgoing,
    dead_jobs: Outgoing,
    dead_records: Outgoing,
    /// Runs that have ended, each with the index of its record.
    ended: Vec<(usize, Delivery)>,
}

impl Outbox {
    /// Adds the messages for the record with the index `origin`.
    fn add(&mut self, origin: usize, old: Option<&Item>, new: &Item, now: Timestamp) {
        self.ended.extend(Delivery::of_end(old, new).map(|run| (origin, run)));
        for delivery in Delivery::of_change(old, new) {
            self.runs.add(origin, Message::new(delivery.tenant_id, delivery.to_json()));
        }
        if let Some(schedule) = ScheduleDelivery::of_end(old, new) {
            self.jobs.add(origin, Message::new(schedule.tenant_id, schedule.to_json()));
        }
        let Effects { deliver, notify_run, dead_letter } = Effects::of(old, new);
        if let Some((tenant_id, run_id)) = notify_run {
            self.runs.add(origin, Message::new(tenant_id, Delivery { tenant_id, run_id }.to_json()));
        }
        if let Some(Dispatch { delivery, queue, not_before }) = deliver {
            let delay = not_before.map_or(Duration::ZERO, |at| at.since(now));
            // A sweep delivers a job whose pause is longer than SQS can delay a message.
            if delay <= Message::LONGEST_DELAY {
                let queue = match queue {
                    Queue::Jobs => &mut self.jobs,
                    Queue::Exports => &mut self.exports,
                };
                queue.add(origin, Message { delay, ..Message::new(delivery.tenant_id, delivery.to_json()) });
            }
        }
        if let Some(dead) = dead_letter {
            let cause = format!("{}: {}", dead.cause.code, dead.cause.message);
            self.dead_jobs.add(origin, Message::dead_letter(&dead.message, &cause));
        }
    }

    /// Adds a dead letter for a record that cannot be read.
    fn bury(&mut self, origin: usize, record: &Value, error: &serde_json::Error) {
        tracing::error!(%error, "could not read a record of the stream; it becomes a dead letter");
        self.dead_records.add(origin, dead_record(record, &error.to_string()));
    }

    /// Sends all messages. Returns the index of the first record of which a message was not accepted.
    async fn send(&mut self, queues: &Queues) -> Option<usize> {
        let (runs, jobs, exports, dead_jobs) = tokio::join!(
            self.runs.send(&queues.runs),
            self.jobs.send(&queues.jobs),
            self.exports.send(&queues.exports),
            self.dead_jobs.send(&queues.dead_jobs)
        );
        let mut unsent = None;
        for sent in [runs, jobs, exports, dead_jobs] {
            unsent = [unsent, sent.unsent].into_iter().flatten().min();
            self.dead_records.extend(sent.refused);
        }
        let dead = self.dead_records.send(&queues.dead_records).await;
        [unsent, dead.unsent].into_iter().flatten().min()
    }
}

impl Told {
    /// Sends the messages with the events that could not be told, and dead letters of those that never can. Returns the index of
    /// the first record of which a message was not accepted.
    async fn send(&self, queues: &Queues, batch: &Batch) -> Option<usize> {
        let Sent { unsent, refused: mut dead } = self.later.send(&queues.jobs).await;
        for (origin, why) in &self.never {
            dead.add(*origin, dead_record(&batch.records[*origin], why));
        }
        let buried = dead.send(&queues.dead_records).await;
        [unsent, buried.unsent].into_iter().flatten().min()
    }
}

/// The dead letter of a record. Its position leads to the record for as long as the stream keeps it, a day. Its content is not
/// repeated.
fn dead_record(record: &Value, why: &str) -> Message {
    let change = &record["dynamodb"];
    let position = json!({
        "eventID": record["eventID"],
        "SequenceNumber": change["SequenceNumber"],
        "Keys": change["Keys"],
    });
    Message::dead_letter(&position.to_string(), why)
}

/// Sends the messages that the batch calls for, in the order of the stream within each queue, tells its events to the
/// webhooks in `store`, and enqueues the jobs for traces. After a failure the stream delivers the batch again from the first
/// record that failed. A record does not fail because its event cannot be told.
pub async fn handle(queues: &Queues, store: &Store, traces: Option<&TraceJobs>, batch: &Batch) -> Failures {
    let now = Timestamp::now();
    let mut outbox = Outbox::default();
    let mut events = Events::default();
    for (index, record) in batch.records.iter().enumerate() {
        match RowChange::of_record(record) {
            Ok(Some(RowChange { old, new, .. })) => {
                outbox.add(index, old.as_ref(), &new, now);
                if let Some((tenant, event)) = events::of_change(old.as_ref(), &new) {
                    events.add(index, tenant, event);
                }
            }
            Ok(None) => {}
            Err(error) => outbox.bury(index, record, &error),
        }
    }
    let mut failures = Failures::default();
    // Neither waits for the other: a webhook must not delay the messages of runs.
    let (unsent, told) = tokio::join!(outbox.send(queues), events.tell(store, now));
    let untraced = match traces {
        Some(traces) => Box::pin(traces.enqueue(&outbox.ended, now)).await,
        None => None,
    };
    let untold = Box::pin(told.send(queues, batch)).await;
    if let Some(index) = [unsent, untold, untraced].into_iter().flatten().min() {
        failures.add(&batch.records[index]);
    }
    let Outbox { runs, jobs, exports, dead_jobs, dead_records, .. } = outbox;
    let [runs, jobs, exports, dead_jobs, dead_records] =
        [runs, jobs, exports, dead_jobs, dead_records].map(|queue| queue.messages.len());
    let Told { deliveries, later, never } = told;
    let untold = later.messages.len() + never.len();
    if runs + jobs + exports + dead_jobs + dead_records + deliveries + untold > 0 {
        tracing::info!(
            records = batch.records.len(),
            runs,
            jobs,
            exports,
            dead_jobs,
            dead_records,
            deliveries,
            untold,
            "queued messages"
        );
    }
    failures
}
