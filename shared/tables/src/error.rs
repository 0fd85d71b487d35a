//! Errors of the tables, distinguished by what the caller can do about them.

use std::fmt;

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::{delete_item::DeleteItemError, put_item::PutItemError, update_item::UpdateItemError},
};
use aws_smithy_runtime_api::client::result::SdkError as RawError;

use crate::{Item, limit::Limit};

/// A table operation failed. Its text has no row, which may contain a secret.
#[derive(thiserror::Error)]
pub enum Error {
    /// The condition of the write did not hold. Contains the row as it is, if there is one.
    #[error("the row is not in the state that the write requires")]
    Conflict(Option<Box<Item>>),
    /// DynamoDB throttles, or another transaction has the row. The write did not happen.
    #[error("the table is throttled")]
    Throttled,
    /// There was no answer, or a 5xx. The write may or may not have happened.
    #[error("the outcome of the operation is unknown")]
    Ambiguous(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A stored row does not have the shape of its type.
    #[error("a stored row is malformed")]
    Malformed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The write is larger than DynamoDB allows. Nothing was sent.
    #[error(transparent)]
    Limit(#[from] Limit),
    /// The service refused the operation for another reason, such as a missing permission. A retry does not help.
    #[error("the table refused the operation")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Returns `true` if the same call may succeed a moment later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Throttled | Self::Ambiguous(_))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict(found) => f.debug_tuple("Conflict").field(&found.as_ref().map(|_| "row")).finish(),
            Self::Throttled => f.write_str("Throttled"),
            Self::Ambiguous(source) => f.debug_tuple("Ambiguous").field(source).finish(),
            Self::Malformed(source) => f.debug_tuple("Malformed").field(source).finish(),
            Self::Limit(limit) => f.debug_tuple("Limit").field(limit).finish(),
            Self::Refused(source) => f.debug_tuple("Refused").field(source).finish(),
        }
    }
}

impl From<serde_dynamo::Error> for Error {
    fn from(error: serde_dynamo::Error) -> Self {
        Self::Malformed(Box::new(error))
    }
}

/// Converts an SDK error by its code. The codes are the same for all operations.
pub fn classify<E, R>(error: RawError<E, R>) -> Error
where
    E: aws_sdk_dynamodb::error::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match &error {
        RawError::ServiceError(service) => match service.err().code() {
            Some(
                "ThrottlingException"
                | "ProvisionedThroughputExceededException"
                | "RequestLimitExceeded"
                // A single write met a transaction that has the row.
                | "TransactionConflictException",
            ) => Error::Throttled,
            Some("ConditionalCheckFailedException") => Error::Conflict(None),
            // An earlier request with the same token is being carried out.
            Some("TransactionInProgressException")
            | Some("InternalServerError" | "InternalFailure" | "ServiceUnavailable")
            | None => Error::Ambiguous(Box::new(error)),
            Some(_) => Error::Refused(Box::new(error)),
        },
        RawError::ConstructionFailure(_) => Error::Refused(Box::new(error)),
        _ => Error::Ambiguous(Box::new(error)),
    }
}

/// As [`classify`], for a conditional write: keeps the row that it found when its condition did not hold.
pub(crate) fn classify_write<E>(error: SdkError<E>) -> Error
where
    E: ConditionFailed
        + aws_sdk_dynamodb::error::ProvideErrorMetadata
        + std::error::Error
        + Send
        + Sync
        + 'static,
{
    match error {
        SdkError::ServiceError(service) if service.err().is_condition_failed() => {
            Error::Conflict(service.into_err().found().map(Box::new))
        }
        other => classify(other),
    }
}

/// The errors of the operations that can have a condition.
pub(crate) trait ConditionFailed {
    /// Returns `true` if the condition did not hold.
    fn is_condition_failed(&self) -> bool;
    /// The row that was found then.
    fn found(self) -> Option<Item>;
}

macro_rules! condition_failed {
    ($($error:ident)+) => {$(
        impl ConditionFailed for $error {
            fn is_condition_failed(&self) -> bool {
                self.is_conditional_check_failed_exception()
            }

            fn found(self) -> Option<Item> {
                match self {
                    Self::ConditionalCheckFailedException(failed) => failed.item,
                    _ => None,
                }
            }
        }
    )+};
}

condition_failed! { PutItemError UpdateItemError DeleteItemError }
