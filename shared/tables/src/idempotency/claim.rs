//! Claiming an idempotency key.

use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use sequent_core::{RequestId, Timestamp};

use super::{Effect, PayloadHash, Record, Request, Stored};
use crate::{Error, Key, Store, classify, error::classify_put};

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

impl Outcome {
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
/// When the table cannot be read.
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
/// When the table cannot be written.
pub async fn claim(
    store: &Store,
    request: Request,
    now: Timestamp,
    deadline: Timestamp,
) -> Result<Claimed, Error> {
    let Request { record: key, payload } = request;
    let owner = RequestId::new().to_string();
    let pending = Effect::Pending { owner: owner.clone(), deadline: deadline.millis() };
    let item = Record::new(&payload, pending, now).row(&key)?.into_item();
    let sent = store
        .client()
        .put_item()
        .table_name(&*store.tables().main)
        .set_item(Some(item))
        .condition_expression(
            "attribute_not_exists(pk) OR #until <= :now OR effect.pending.deadline <= :now OR effect.pending.#owner = :owner",
        )
        .expression_attribute_names("#until", "until")
        .expression_attribute_names("#owner", "owner")
        .expression_attribute_values(":now", AttributeValue::N(now.millis().to_string()))
        // A retry of the SDK that meets its own first attempt has the claim.
        .expression_attribute_values(":owner", AttributeValue::S(owner.clone()))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await;
    let record: Record = match sent.map_err(classify_put) {
        Ok(_) => return Ok(Claimed::Ours(Claim { store: store.clone(), key, payload, owner })),
        Err(Error::Conflict(Some(item))) => serde_dynamo::from_item(*item)?,
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
    /// When the table cannot be written. The effect has happened; the response to the caller is still valid.
    pub async fn complete(self, stored: Stored, now: Timestamp) -> Result<(), Error> {
        let item = Record::new(&self.payload, Effect::Response(stored), now).row(&self.key)?.into_item();
        let sent = self
            .store
            .client()
            .put_item()
            .table_name(&*self.store.tables().main)
            .set_item(Some(item))
            .condition_expression("effect.pending.#owner = :owner")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":owner", AttributeValue::S(self.owner))
            .send()
            .await;
        unless_lost(sent.map(drop).map_err(classify))
    }

    /// Frees the key, unless another invocation has taken the claim over.
    ///
    /// # Errors
    /// When the table cannot be written; the claim then ends at its deadline.
    pub async fn release(self) -> Result<(), Error> {
        let sent = self
            .store
            .client()
            .delete_item()
            .table_name(&*self.store.tables().main)
            .set_key(Some(self.key.attributes()))
            .condition_expression("effect.pending.#owner = :owner")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":owner", AttributeValue::S(self.owner))
            .send()
            .await;
        unless_lost(sent.map(drop).map_err(classify))
    }
}

/// Accepts a failed condition: another invocation holds the claim now and will end it.
fn unless_lost(written: Result<(), Error>) -> Result<(), Error> {
    match written {
        Err(Error::Conflict(_)) => {
            tracing::warn!("an idempotency claim outlived its deadline and was taken over");
            Ok(())
        }
        written => written,
    }
}
