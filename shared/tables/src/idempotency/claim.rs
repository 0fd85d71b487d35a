//! Claiming an idempotency key.

use std::time::Duration;

use sequent_core::{ApiError, Code, ErrorDetails, RequestId, Timestamp};

use super::{Effect, PayloadHash, Record, Request, Stored, record::is_free};
use crate::{Condition, Error, Key, Store, Write, attribute, decode};

/// The state of an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The key is unused, or its record no longer counts.
    New,
    /// The first request has this record: repeat its result.
    Replay(Record),
    /// The key was used with another payload.
    Mismatch,
    /// The first request is still running, for at most this long.
    InProgress(Duration),
}

/// The idempotency key of a request cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyTaken {
    /// The key was used with another payload.
    #[error("the idempotency key was used with another payload")]
    Reused,
    /// The first request with the key is still running.
    #[error("the first request with the idempotency key is still running")]
    InProgress {
        /// Time after which the caller should try again.
        retry_after: Duration,
    },
}

impl ApiError for KeyTaken {
    fn details(&self) -> ErrorDetails {
        match self {
            Self::Reused => {
                let detail = "This Idempotency-Key was used with another request. Use a new key.";
                ErrorDetails::new(Code::IdempotencyKeyReused, detail)
            }
            Self::InProgress { retry_after } => {
                let detail = "The first request with this Idempotency-Key is still running. Try again later.";
                ErrorDetails::new(Code::IdempotencyKeyInProgress, detail).retry_after(*retry_after)
            }
        }
    }
}

impl Outcome {
    /// Longest time that a caller is asked to wait for the first request.
    const LONGEST_WAIT: Duration = Duration::from_secs(5);

    /// Returns the record whose result is to be repeated, or `None` if the request is new.
    ///
    /// # Errors
    /// [`KeyTaken`] if the key was used with another payload, or the first request is still running.
    pub fn replay(self) -> Result<Option<Record>, KeyTaken> {
        match self {
            Self::New => Ok(None),
            Self::Replay(record) => Ok(Some(record)),
            Self::Mismatch => Err(KeyTaken::Reused),
            Self::InProgress(left) => Err(KeyTaken::InProgress { retry_after: left.min(Self::LONGEST_WAIT) }),
        }
    }

    fn of(record: Record, payload: &PayloadHash, now: Timestamp) -> Self {
        if record.is_over(now) {
            return Self::New;
        }
        if !record.is_for(payload) {
            return Self::Mismatch;
        }
        match record.effect() {
            Effect::Pending { deadline, .. } => {
                Self::InProgress(Timestamp::from_millis(*deadline).since(now).max(Duration::from_secs(1)))
            }
            Effect::Response(_) | Effect::Run { .. } => Self::Replay(record),
        }
    }
}

/// Reads the state of a key without claiming it.
///
/// # Errors
/// Fails if the table cannot be read.
pub async fn lookup(store: &Store, request: &Request, now: Timestamp) -> Result<Outcome, Error> {
    let found = store.get::<Record>(&request.record).await?;
    Ok(found.map_or(Outcome::New, |record| Outcome::of(record, &request.payload, now)))
}

/// The result of [`claim`].
#[derive(Debug)]
pub enum Claimed {
    /// The caller holds the key: do the work, then complete or release the claim.
    Ours(Claim),
    /// Another request holds the key. The outcome is never [`Outcome::New`].
    Taken(Outcome),
}

/// A key held by this invocation.
#[derive(Debug)]
#[must_use = "a claim that is neither completed nor released blocks retries until its deadline"]
pub struct Claim {
    store: Store,
    key: Key,
    payload: PayloadHash,
    owner: String,
}

/// Claims a key until `deadline`, the end of the invocation.
///
/// # Errors
/// Fails if the table cannot be written.
pub async fn claim(
    store: &Store,
    request: Request,
    now: Timestamp,
    deadline: Timestamp,
) -> Result<Claimed, Error> {
    let Request { record: key, payload } = request;
    let owner = RequestId::new().to_string();
    let pending = Effect::Pending { owner: owner.clone(), deadline: deadline.millis() };
    let row = Record::new(&payload, pending, now).row(&key)?;
    // The owner is an id of this call, so a write whose answer was lost is recognised.
    let record: Record = match store.write(Write::put(row).when(is_free(now))).await {
        Ok(()) => return Ok(Claimed::Ours(Claim { store: store.clone(), key, payload, owner })),
        Err(Error::Conflict(Some(found))) => decode(*found)?,
        Err(error) => return Err(error),
    };
    match Outcome::of(record, &payload, now) {
        // The other claim ended just now; the caller's next try will find the key free.
        Outcome::New => Ok(Claimed::Taken(Outcome::InProgress(Duration::from_secs(1)))),
        outcome => Ok(Claimed::Taken(outcome)),
    }
}

impl Claim {
    /// Stores the response for retries, unless another invocation has taken the claim over.
    ///
    /// # Errors
    /// Fails if the table cannot be written. The effect has happened; the response to the caller is still valid.
    pub async fn complete(self, stored: Stored, now: Timestamp) -> Result<(), Error> {
        let row = Record::new(&self.payload, Effect::Response(stored), now).row(&self.key)?;
        self.end(Write::put(row)).await
    }

    /// Frees the key, unless another invocation has taken the claim over.
    ///
    /// # Errors
    /// Fails if the table cannot be written; the claim then ends at its deadline.
    pub async fn release(self) -> Result<(), Error> {
        self.end(Write::delete(&self.key)).await
    }

    async fn end(&self, write: Write) -> Result<(), Error> {
        if !self.store.write_if(write.when(is_held_by(&self.owner))).await? {
            tracing::warn!("could not end an idempotency claim: it outlived its deadline and was taken over");
        }
        Ok(())
    }
}

fn is_held_by(owner: &str) -> Condition {
    attribute(["effect", "pending", "owner"]).equals(owner)
}
