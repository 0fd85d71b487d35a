//! Messages: what a change of a job's row calls for, and what becomes of a message that nobody can read.

use aws_sdk_dynamodb::types::AttributeValue as Value;
use sequent_core::{JobId, RunId, TenantId, Timestamp};
use sequent_tables::{Error as DataError, Item, Key, Row, Store, key};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Error, Failure, Job, Queue, Status};

/// The type under which messages that could not be read are kept.
pub const UNREADABLE: &str = "unreadable";

/// A message of the queue of jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Delivery {
    /// Whose.
    pub tenant_id: TenantId,
    /// The job that may want a worker.
    pub job_id: JobId,
}

impl Delivery {
    /// The message's text.
    #[must_use]
    pub fn to_json(self) -> String {
        serde_json::to_string(&self).expect("two ids serialise to a map")
    }

    /// Reads a message.
    ///
    /// # Errors
    /// When it is not one of ours.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

/// A message for the dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Burial {
    /// The message, as it came.
    pub message: String,
    /// Why nothing came of it.
    pub cause: Failure,
}

/// What a change of a job's row calls for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Called {
    /// Deliver the job to these workers, not before this time.
    pub deliver: Option<(Delivery, Queue, Option<Timestamp>)>,
    /// Tell its run that it has ended.
    pub tell: Option<(TenantId, RunId)>,
    /// Keep its message, for it has failed for good.
    pub bury: Option<Burial>,
}

/// What a change of a row of `main` calls for if the row is a job's.
#[must_use]
pub fn called_for(old: Option<&Item>, new: &Item) -> Called {
    let Some((tenant_id, job_id)) = Key::of_item(new).as_ref().and_then(key::parse_job) else {
        return Called::default();
    };
    let delivery = Delivery { tenant_id, job_id };
    let mark = |item: &Item| item.get("queued_at").cloned();
    let marked = mark(new).is_some_and(|mark_new| old.and_then(mark) != Some(mark_new));
    let (before, Some(after)) = (old.and_then(job), job(new)) else { return Called::default() };
    let ended = after.has_ended() && !before.is_some_and(|before| before.has_ended());
    let mut called = Called::default();
    if marked {
        called.deliver = Some((delivery, after.queue, after.not_before));
    }
    if ended {
        called.tell = after.run_id.map(|run| (tenant_id, run));
        if after.status == Status::Error {
            called.bury = after.error.clone().filter(|cause| cause.code != Failure::CANCELLED).map(|cause| {
                let unread = after.input.as_str().filter(|_| after.job_type == UNREADABLE);
                Burial { message: unread.map_or_else(|| delivery.to_json(), str::to_owned), cause }
            });
        }
    }
    called
}

fn job(item: &Item) -> Option<Job> {
    serde_dynamo::from_item(item.clone()).ok()
}

/// Keeps a message that nobody can read as a job of the deployment's own that has failed, so that it is listed with its
/// cause and goes to the dead letters. Once, however often the message is delivered: `message_id` names it.
///
/// # Errors
/// When the table fails.
pub async fn bury_unreadable(
    store: &Store,
    message_id: &str,
    text: &str,
    why: &str,
    now: Timestamp,
) -> Result<(), Error> {
    const LONGEST: usize = 100_000;
    let hash = Sha256::digest([message_id.as_bytes(), b"\0", text.as_bytes()].concat());
    let mut bits = [0; 16];
    bits.copy_from_slice(&hash[..16]);
    // 48 bits of time, as other ids have, would differ from one delivery to the next.
    let id = JobId::from_bits(u128::from_be_bytes(bits));
    let job = Job {
        id,
        job_type: UNREADABLE.to_owned(),
        job_key: None,
        queue: Queue::default(),
        status: Status::Error,
        run_id: None,
        tool_call_id: None,
        input: serde_json::Value::String(text.chars().take(LONGEST).collect()),
        attempt: 0,
        failures: 0,
        lost: 0,
        redrives: 0,
        lease_until: None,
        not_before: None,
        progress: None,
        result: None,
        artifacts: Vec::new(),
        error: Some(Failure::new("poison", why)),
        created_at: now,
        started_at: None,
        completed_at: Some(now),
    };
    let index = key::ended_job(id, now);
    let row = Row::new(&key::job(TenantId::SYSTEM, id), &job)?
        .with("gsi2pk", Value::S(index.pk().to_owned()))
        .with("gsi2sk", Value::S(index.sk().to_owned()));
    match store.insert(row).await {
        Ok(()) | Err(DataError::Conflict(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
