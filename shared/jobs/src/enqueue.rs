//! Enqueuing: inserting a job's row, together with the row that claims its key.

use sequent_aws::queue::Message;
use sequent_core::{JobId, RunId, TenantId, Timestamp, pace::scaled};
use sequent_tables::{Label, Retry, Row, Store, Transaction, Write, attributes::QUEUED_AT, key};
use serde::{Deserialize, Serialize};

use crate::{Error, GRACE, Job, JobKind, JobStatus, JobUsage, Queue};

/// Tries against a clean-up that removes the existing job at the same time.
const TRIES: u32 = 3;

/// The condition on what a job is about.
const SUBJECT: Label = Label::new("subject");
/// The condition that the tenant has room for the job.
const ROOM: Label = Label::new("room");

/// A job to enqueue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// The tenant that has the job.
    pub tenant: TenantId,
    /// The id. The caller makes it, so that it can store it before.
    pub id: JobId,
    /// The name of its [`JobKind`].
    pub job_type: String,
    /// The key under which at most one job of the type exists.
    pub job_key: Option<String>,
    /// The workers that receive the job.
    pub queue: Queue,
    /// The job serves the deployment itself: see [`JobKind::IS_INTERNAL`].
    pub internal: bool,
    /// The input as JSON.
    pub input: serde_json::Value,
    /// The id of the thing whose content the job repeats, such as the run of an export. Its deletion finds the job by it.
    pub about: Option<String>,
    /// The run that asks for the job. Its log already contains the request.
    pub run: Option<RunId>,
    /// The tool call that gets the result.
    pub tool_call_id: Option<String>,
}

/// The outcome of enqueuing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enqueued {
    /// The job is stored and will be delivered.
    New(Job),
    /// A job with this key or this id existed before.
    Existing(Job),
}

impl Enqueued {
    /// Returns the job, new or not.
    #[must_use]
    pub fn into_job(self) -> Job {
        match self {
            Self::New(job) | Self::Existing(job) => job,
        }
    }
}

/// The row that claims a key.
#[derive(Serialize, Deserialize)]
struct KeyClaim {
    job_id: JobId,
}

impl NewJob {
    /// A job of kind `K`.
    ///
    /// # Panics
    /// Panics if the input does not serialise, which is a mistake in its type.
    #[must_use]
    pub fn of<K: JobKind>(tenant: TenantId, input: &K::Input) -> Self {
        Self {
            tenant,
            id: JobId::new(),
            job_type: K::TYPE.to_owned(),
            job_key: K::key(input),
            queue: K::QUEUE,
            internal: K::IS_INTERNAL,
            input: serde_json::to_value(input).expect("a job's input is plain data"),
            about: None,
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
            internal: self.internal,
            status: JobStatus::Pending,
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
            warnings: Vec::new(),
            prompt: None,
            artifacts: Vec::new(),
            usage: JobUsage::default(),
            error: None,
            created_at: now,
            started_at: None,
            completed_at: None,
        }
    }

    /// Builds the rows of the new job for a transaction that enqueues it together with other writes: its own row, the row
    /// that claims its key if it has one, and its entry in the list of its subject if it is about one. Insert them, or put them if no other job can have the key.
    ///
    /// # Panics
    /// Never: a job serialises to a map.
    #[must_use]
    pub fn rows(&self, now: Timestamp) -> Vec<Row> {
        self.rows_of(&self.job(now), now)
    }

    /// As [`rows`](Self::rows), for a job that must not begin before `at`.
    ///
    /// # Panics
    /// Never: a job serialises to a map.
    #[must_use]
    pub fn rows_at(&self, at: Timestamp, now: Timestamp) -> Vec<Row> {
        self.rows_of(&Job { not_before: Some(at), ..self.job(now) }, now)
    }

    fn rows_of(&self, job: &Job, now: Timestamp) -> Vec<Row> {
        let row = Row::new(&key::job(self.tenant, self.id), job).expect("a job is a map");
        let job = match job.not_before {
            // Without the mark of the outbox: a message can be delayed by minutes only.
            Some(at) if at.since(now) > Message::LONGEST_DELAY => row.gsi2(key::active_job(self.id, at)),
            later => {
                let due = later.unwrap_or(now).max(now) + scaled(GRACE);
                row.set(QUEUED_AT, now.millis()).gsi2(key::active_job(self.id, due))
            }
        };
        let claim = self.job_key.as_ref().map(|text| {
            let key = key::job_key(self.tenant, &self.job_type, text);
            Row::new(&key, &KeyClaim { job_id: self.id }).expect("an id is a map")
        });
        let entry = self.about.as_ref().map(|subject| {
            let key = key::job_about(self.tenant, subject, self.id);
            Row::new(&key, &KeyClaim { job_id: self.id }).expect("an id is a map")
        });
        [job].into_iter().chain(claim).chain(entry).collect()
    }

    async fn existing(&self, store: &Store) -> Result<Option<Job>, Error> {
        if let Some(job) = store.get(&key::job(self.tenant, self.id)).await? {
            return Ok(Some(job));
        }
        let Some(text) = &self.job_key else { return Ok(None) };
        let claim: Option<KeyClaim> = store.get(&key::job_key(self.tenant, &self.job_type, text)).await?;
        match claim {
            Some(claim) => Ok(store.get(&key::job(self.tenant, claim.job_id)).await?),
            None => Ok(None),
        }
    }
}

/// Enqueues a job, unless one with its key or its id exists.
///
/// # Errors
/// Returns an error if the table fails.
pub async fn enqueue(store: &Store, new: &NewJob, now: Timestamp) -> Result<Enqueued, Error> {
    insert(store, new, new.job(now), &[]).await
}

/// As [`enqueue`], for a job that must not begin before `at`. If that is more than 15 minutes away, the sweep delivers it then,
/// which takes a minute.
///
/// # Errors
/// Returns an error if the table fails.
pub async fn enqueue_at(
    store: &Store,
    new: &NewJob,
    at: Timestamp,
    now: Timestamp,
) -> Result<Enqueued, Error> {
    insert(store, new, Job { not_before: Some(at), ..new.job(now) }, &[]).await
}

/// As [`enqueue`], if `subject` holds in the same transaction: the condition that what the job is about has not been
/// deleted. The job could otherwise outlive a deletion that runs at the same time.
///
/// # Errors
/// [`Error::NoSubject`] if the condition does not hold, or an error of the table.
pub async fn enqueue_about(
    store: &Store,
    new: &NewJob,
    subject: Write,
    now: Timestamp,
) -> Result<Enqueued, Error> {
    insert(store, new, new.job(now), &[(SUBJECT, subject)]).await
}

/// As [`enqueue_about`], if `room` holds in the same transaction, too.
///
/// # Errors
/// [`Error::NoRoom`], [`Error::NoSubject`], or an error of the table.
pub(crate) async fn enqueue_in(
    store: &Store,
    new: &NewJob,
    subject: Write,
    room: Write,
    now: Timestamp,
) -> Result<Enqueued, Error> {
    insert(store, new, new.job(now), &[(SUBJECT, subject), (ROOM, room)]).await
}

async fn insert(
    store: &Store,
    new: &NewJob,
    job: Job,
    conditions: &[(Label, Write)],
) -> Result<Enqueued, Error> {
    for _ in 0..TRIES {
        let rows = new.rows_of(&job, job.created_at).into_iter().map(Write::insert);
        let transaction = rows.fold(Transaction::new(), Transaction::write);
        let transaction = conditions
            .iter()
            .fold(transaction, |transaction, (label, write)| transaction.write(write.clone()).label(*label));
        match store.commit(transaction, Retry::BRIEF).await {
            Ok(()) => return Ok(Enqueued::New(job)),
            Err(cancelled) if cancelled.refused(SUBJECT) => return Err(Error::NoSubject),
            Err(cancelled) if cancelled.any_refused() => {
                if let Some(job) = new.existing(store).await? {
                    return Ok(Enqueued::Existing(job));
                }
                if cancelled.refused(ROOM) {
                    return Err(Error::NoRoom);
                }
            }
            Err(cancelled) => return Err(cancelled.into()),
        }
    }
    Err(Error::Contended)
}
