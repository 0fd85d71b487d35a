//! Enqueuing: inserting a job's row, with the row that claims its key.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue as Value;
use sequent_core::{JobId, RunId, TenantId, Timestamp};
use sequent_tables::{Cancelled, Error as DataError, Row, Store, Transaction, key};
use serde::{Deserialize, Serialize};

use crate::{Error, GRACE, Job, Kind, Queue, Status};

const TRIES: u32 = 8;

/// A job to enqueue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct New {
    /// Whose.
    pub tenant: TenantId,
    /// Its id: made by the caller, so that it can be written down first.
    pub id: JobId,
    /// Its type.
    pub job_type: String,
    /// What there is one job of.
    pub job_key: Option<String>,
    /// Which workers it is delivered to.
    pub queue: Queue,
    /// What it works on.
    pub input: serde_json::Value,
    /// The run that asks for it, whose log says so already.
    pub run: Option<RunId>,
    /// The tool call whose result it gives.
    pub tool_call_id: Option<String>,
}

/// What became of an enqueuing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enqueued {
    /// The job is stored and will be delivered.
    New(Job),
    /// There was one with this key, or this id, before.
    Existing(Job),
}

impl Enqueued {
    /// The job, whoever stored it.
    #[must_use]
    pub fn into_job(self) -> Job {
        match self {
            Self::New(job) | Self::Existing(job) => job,
        }
    }
}

/// The row that claims a key.
#[derive(Serialize, Deserialize)]
struct Claimed {
    job_id: JobId,
}

impl New {
    /// A job of kind `K`.
    ///
    /// # Panics
    /// When the input does not serialise, which is a mistake in its type.
    #[must_use]
    pub fn of<K: Kind>(tenant: TenantId, input: &K::Input) -> Self {
        Self {
            tenant,
            id: JobId::new(),
            job_type: K::TYPE.to_owned(),
            job_key: K::key(input),
            queue: K::QUEUE,
            input: serde_json::to_value(input).expect("a job's input is plain data"),
            run: None,
            tool_call_id: None,
        }
    }

    fn job(&self, now: Timestamp) -> Job {
        Job {
            id: self.id,
            job_type: self.job_type.clone(),
            job_key: self.job_key.clone(),
            queue: self.queue,
            status: Status::Pending,
            run_id: self.run,
            tool_call_id: self.tool_call_id.clone(),
            input: self.input.clone(),
            attempt: 0,
            failures: 0,
            lost: 0,
            redrives: 0,
            lease_until: None,
            not_before: None,
            progress: None,
            result: None,
            artifacts: Vec::new(),
            error: None,
            created_at: now,
            started_at: None,
            completed_at: None,
        }
    }

    /// The rows of the new job, for a transaction that enqueues it with what it is for: its own and, for a job with a
    /// key, the one that claims the key. They are to be inserted, or put where nobody else can have claimed the key.
    ///
    /// # Panics
    /// Never: a job serialises to a map.
    #[must_use]
    pub fn rows(&self, now: Timestamp) -> Vec<Row> {
        let job = Row::new(&key::job(self.tenant, self.id), &self.job(now)).expect("a job is a map");
        let job = job
            .with("queued_at", Value::N(now.millis().to_string()))
            .gsi2(key::active_job(self.id, now + GRACE));
        let claim = self.job_key.as_ref().map(|text| {
            let key = key::job_key(self.tenant, &self.job_type, text);
            Row::new(&key, &Claimed { job_id: self.id }).expect("an id is a map")
        });
        [job].into_iter().chain(claim).collect()
    }

    async fn existing(&self, store: &Store) -> Result<Option<Job>, Error> {
        if let Some(job) = store.get(&key::job(self.tenant, self.id)).await? {
            return Ok(Some(job));
        }
        let Some(text) = &self.job_key else { return Ok(None) };
        let claim: Option<Claimed> = store.get(&key::job_key(self.tenant, &self.job_type, text)).await?;
        match claim {
            Some(claim) => Ok(store.get(&key::job(self.tenant, claim.job_id)).await?),
            None => Ok(None),
        }
    }
}

/// Enqueues a job, unless there is one with its key or its id.
///
/// # Errors
/// When the table fails.
pub async fn enqueue(store: &Store, new: &New, now: Timestamp) -> Result<Enqueued, Error> {
    for attempt in 0..TRIES {
        let rows = new.rows(now).into_iter();
        let transaction = rows.fold(Transaction::new(), |transaction, row| transaction.insert(store, row));
        match transaction.run(store).await {
            Ok(()) => return Ok(Enqueued::New(new.job(now))),
            Err(error) if error.condition_failed(0) || error.condition_failed(1) => {
                if let Some(job) = new.existing(store).await? {
                    return Ok(Enqueued::Existing(job));
                }
            }
            Err(error) if error.is_transient() => {}
            Err(Cancelled::Failed(error)) => return Err(error.into()),
            Err(error) => return Err(DataError::Refused(Box::new(error)).into()),
        }
        tokio::time::sleep(backoff(attempt)).await;
    }
    Err(Error::Contended)
}

/// Full jitter, so that those who met do not meet again.
pub(crate) fn backoff(attempt: u32) -> Duration {
    Duration::from_millis(10 << attempt.min(7)).mul_f64(fastrand::f64())
}
