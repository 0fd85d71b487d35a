//! Claiming a key, and what it means when it is taken.

use std::time::Duration;

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::put_item::PutItemError,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use sequent_core::{RequestId, Timestamp};
use sequent_tables::{Item, Key, Store};

use super::{Effect, PayloadHash, Record, Stored, in_progress, mismatch};
use crate::Problem;

/// What a key led to so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing that still counts.
    New,
    /// This; answer with it again.
    Replay(Record),
    /// It was used with another payload.
    Mismatch,
    /// The first request is still running, at most this much longer.
    InProgress(Duration),
}

impl Outcome {
    /// The record to replay or nothing, with the other outcomes as the problems they are.
    ///
    /// # Errors
    /// 422 or 409.
    pub fn replay(self) -> Result<Option<Record>, Problem> {
        match self {
            Self::New => Ok(None),
            Self::Replay(record) => Ok(Some(record)),
            Self::Mismatch => Err(mismatch()),
            Self::InProgress(left) => Err(in_progress(left.min(Duration::from_secs(5)))),
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

/// Reads what a key led to, claiming nothing.
///
/// # Errors
/// When the table cannot be read.
pub async fn lookup(
    store: &Store,
    key: &Key,
    payload: &PayloadHash,
    now: Timestamp,
) -> Result<Outcome, Problem> {
    let found = store.get::<Record>(key).await?;
    Ok(found.map_or(Outcome::New, |record| Outcome::of(record, payload, now)))
}

/// The result of [`claim`].
#[derive(Debug)]
pub enum Claimed {
    /// The key is ours: do the work, then complete or release.
    Ours(Claim),
    /// It is not; never [`Outcome::New`].
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
    key: Key,
    payload: PayloadHash,
    now: Timestamp,
    deadline: Timestamp,
) -> Result<Claimed, Problem> {
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
    let Err(error) = sent else {
        return Ok(Claimed::Ours(Claim { store: store.clone(), key, payload, owner }));
    };
    let record = conflict(error)?;
    match Outcome::of(record, &payload, now) {
        // It ended in this very moment; the caller's next try will find it free.
        Outcome::New => Ok(Claimed::Taken(Outcome::InProgress(Duration::from_secs(1)))),
        outcome => Ok(Claimed::Taken(outcome)),
    }
}

impl Claim {
    /// Keeps the answer for retries, unless the claim is no longer ours.
    ///
    /// # Errors
    /// When the table cannot be written. The effect has happened; the answer to the caller still stands.
    pub async fn complete(self, stored: Stored, now: Timestamp) -> Result<(), Problem> {
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
        match sent {
            Ok(_) => Ok(()),
            Err(error) => lost(
                error.as_service_error().is_some_and(PutItemError::is_conditional_check_failed_exception),
            )
            .map_err(|()| Problem::unavailable(error)),
        }
    }

    /// Frees the key, unless the claim is no longer ours.
    ///
    /// # Errors
    /// When the table cannot be written; the claim then ends with its deadline.
    pub async fn release(self) -> Result<(), Problem> {
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
        match sent {
            Ok(_) => Ok(()),
            Err(error) => lost(
                error.as_service_error().is_some_and(|error| error.is_conditional_check_failed_exception()),
            )
            .map_err(|()| Problem::unavailable(error)),
        }
    }
}

/// A claim that somebody else holds by now is theirs to end.
fn lost(conditional: bool) -> Result<(), ()> {
    if conditional {
        tracing::warn!("an idempotency claim outlived its deadline and was taken over");
        return Ok(());
    }
    Err(())
}

/// The record in the way of a put.
fn conflict(error: SdkError<PutItemError>) -> Result<Record, Problem> {
    let item: Option<Item> = match error {
        SdkError::ServiceError(service) => match service.into_err() {
            PutItemError::ConditionalCheckFailedException(failed) => failed.item,
            error => return Err(Problem::unavailable(error)),
        },
        error => return Err(Problem::unavailable(error)),
    };
    let item = item.ok_or_else(|| Problem::internal("a conflict came without the row that caused it"))?;
    serde_dynamo::from_item(item).map_err(Problem::internal)
}
