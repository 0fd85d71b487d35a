//! Messages: those that a change of a job's row calls for, and those that cannot be read.

use sequent_core::{JobId, RunId, TenantId, Timestamp};
use sequent_tables::{
    Due, Error as DataError, Item, Key, Row, Store, attribute_of, attributes::QUEUED_AT, decode, key,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Error, Job, JobFailure, JobStatus, JobUsage, Queue};

/// The type under which messages that cannot be read are stored.
pub const UNREADABLE: &str = "unreadable";

/// A message of the queue of jobs: a job that may want a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Delivery {
    pub tenant_id: TenantId,
    pub job_id: JobId,
}

impl Delivery {
    /// Encodes the message as JSON.
    #[must_use]
    pub fn to_json(self) -> String {
        serde_json::to_string(&self).expect("two ids serialise to a map")
    }

    /// Decodes a message.
    ///
    /// # Errors
    /// Returns an error if the text is not a delivery.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    fn of_key(key: &Key) -> Option<Self> {
        let (tenant_id, job_id) = key::parse_job(key)?;
        Some(Self { tenant_id, job_id })
    }
}

/// A message for the dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The message as it was received.
    pub message: String,
    /// The reason why its job failed.
    pub cause: JobFailure,
}

/// A message to the workers of a queue, not to be received before `not_before`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub struct Dispatch {
    pub delivery: Delivery,
    pub queue: Queue,
    pub not_before: Option<Timestamp>,
}

/// The messages that a change of a row calls for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    /// The job became ready for a worker.
    pub deliver: Option<Dispatch>,
    /// The job ended: wake the run that waits for it.
    pub notify_run: Option<(TenantId, RunId)>,
    /// The job failed for good.
    pub dead_letter: Option<DeadLetter>,
}

impl Effects {
    /// Returns the effects of a change of a row of `main`. A row that is not a job's has none.
    #[must_use]
    pub fn of(old: Option<&Item>, new: &Item) -> Self {
        let Some(delivery) = Key::of_item(new).as_ref().and_then(Delivery::of_key) else {
            return Self::default();
        };
        let Some(job) = job(new) else { return Self::default() };
        let queued_at = |item: &Item| attribute_of::<i64>(item, QUEUED_AT);
        let is_queued = queued_at(new).is_some() && queued_at(new) != old.and_then(queued_at);
        let ends = job.has_ended() && !old.and_then(self::job).is_some_and(|before| before.has_ended());
        let dispatch = Dispatch { delivery, queue: job.queue, not_before: job.not_before };
        Self {
            deliver: is_queued.then_some(dispatch),
            notify_run: job.run_id.filter(|_| ends).map(|run| (delivery.tenant_id, run)),
            dead_letter: if ends { dead_letter(&job, delivery) } else { None },
        }
    }
}

/// The dead letter of a job that has ended. A job that was cancelled, or did not fail, has none.
fn dead_letter(job: &Job, delivery: Delivery) -> Option<DeadLetter> {
    let is_failed = job.status == JobStatus::Error;
    let cause = job.error.clone().filter(|cause| is_failed && cause.code != JobFailure::CANCELLED)?;
    let unread = job.input.as_str().filter(|_| job.job_type == UNREADABLE);
    Some(DeadLetter { message: unread.map_or_else(|| delivery.to_json(), str::to_owned), cause })
}

fn job(item: &Item) -> Option<Job> {
    decode(item.clone()).ok()
}

/// Makes a due job due again at `until`. Returns the job's message and queue to the one sweep that moved it, and `None`
/// to others.
///
/// # Errors
/// Returns an error if the table fails.
pub async fn postpone(
    store: &Store,
    due: &Due,
    until: Timestamp,
) -> Result<Option<(Delivery, Queue)>, Error> {
    /// The attribute that a sweep needs of a job's row.
    #[derive(Deserialize)]
    struct Queued {
        #[serde(default)]
        queue: Queue,
    }
    let Some(delivery) = Delivery::of_key(due.key()) else { return Ok(None) };
    let moved: Option<Queued> = due.postpone(store, until).await?;
    Ok(moved.map(|row| (delivery, row.queue)))
}

/// Stores a message that cannot be read as a failed job of the deployment itself, so that it is listed with its cause
/// and becomes a dead letter. `message_id` makes this idempotent: a redelivery stores the same row.
///
/// # Errors
/// Returns an error if the table fails.
pub async fn store_unreadable(
    store: &Store,
    message_id: &str,
    text: &str,
    why: &str,
    now: Timestamp,
) -> Result<(), Error> {
    /// Bytes of the message that the row keeps. DynamoDB stores 400 KB, and a queue takes 256 KiB.
    const LONGEST: usize = 100_000;
    let text = &text[..text.floor_char_boundary(LONGEST)];
    let id = unreadable_id(message_id, text);
    let job = Job {
        id,
        job_type: UNREADABLE.to_owned(),
        job_key: None,
        queue: Queue::default(),
        internal: false,
        status: JobStatus::Error,
        run_id: None,
        tool_call_id: None,
        input: serde_json::Value::String(text.to_owned()),
        attempt: 0,
        failures: 0,
        lost: 0,
        redrives: 0,
        lease_until: None,
        not_before: None,
        progress: None,
        result: None,
        warnings: Vec::new(),
        prompt: None,
        artifacts: Vec::new(),
        usage: JobUsage::default(),
        error: Some(JobFailure::new("poison", why)),
        created_at: now,
        started_at: None,
        completed_at: Some(now),
    };
    let row = Row::new(&key::job(TenantId::SYSTEM, id), &job)?.gsi2(key::ended_job(id, now));
    match store.insert(row).await {
        Ok(()) | Err(DataError::Conflict(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The id has no time in it, unlike those of other jobs: the time differs from one delivery to the next.
fn unreadable_id(message_id: &str, text: &str) -> JobId {
    let digest = Sha256::digest([message_id.as_bytes(), b"\0", text.as_bytes()].concat());
    let (head, _) = digest.split_first_chunk::<16>().expect("a SHA-256 digest has 32 bytes");
    JobId::from_bits(u128::from_be_bytes(*head))
}
