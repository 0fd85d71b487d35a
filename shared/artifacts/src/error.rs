//! Failures of operations on artifacts.

use std::fmt::Debug;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use sequent_core::{ApiError, Code, ErrorDetails};
use sequent_tables::{Cancelled, InvalidCursor};

use crate::{BundleError, InvalidDescription};

/// An operation on artifacts failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tenant has no such artifact, or no such upload.
    #[error("the artifact does not exist")]
    NotFound,
    /// The run of the artifact does not exist, or was deleted meanwhile.
    #[error("the run of the artifact does not exist")]
    RunNotFound,
    /// A field of the description is not allowed.
    #[error(transparent)]
    Description(#[from] InvalidDescription),
    /// The id belongs to an artifact with other bytes.
    #[error("the id belongs to an artifact with other bytes")]
    Taken,
    /// The bytes of an upload are not in the bucket.
    #[error("the bytes have not been uploaded")]
    NotUploaded,
    /// The object in the bucket differs from the one announced. Contains the property: `checksum`, `size` or
    /// `media_type`.
    #[error("the {0} of the uploaded object is not the one announced")]
    Mismatch(&'static str),
    /// The cursor was not issued by this list.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// The tenant stores as many bytes as it may, or too many for another object of this size.
    #[error("the tenant may store {limit} bytes")]
    #[expect(missing_docs, reason = "plain data")]
    StorageLimit { limit: u64 },
    /// The collector is deleting the object, and was still doing so after all retries.
    #[error("the object is being deleted")]
    Deleting,
    /// A read or write of the table failed.
    #[error(transparent)]
    Table(#[from] sequent_tables::Error),
    /// A transaction was cancelled for another reason than its conditions, such as contention.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// A request to the bucket failed.
    #[error("the bucket failed")]
    Bucket(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The archive cannot be opened.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The bucket has no versioning, so no object can be deleted from it safely.
    #[error("the bucket has no versioning; enable it")]
    Unversioned,
}

impl Error {
    /// Returns `true` if the same call may succeed a moment later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Deleting | Self::Bucket(_) => true,
            Self::Table(error) => error.is_transient(),
            Self::Cancelled(cancelled) => cancelled.is_transient(),
            _ => false,
        }
    }

    pub(crate) fn bucket<E, R>(error: SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        R: Debug + Send + Sync + 'static,
    {
        Self::Bucket(Box::new(error))
    }
}

impl ApiError for Error {
    fn details(&self) -> ErrorDetails {
        match self {
            Self::NotFound => ErrorDetails::new(Code::NotFound, "There is no artifact with this id."),
            Self::RunNotFound => {
                ErrorDetails::new(Code::NotFound, "The run of the artifact does not exist, or was deleted.")
            }
            Self::Description(invalid) => {
                let details =
                    ErrorDetails::new(Code::ValidationFailed, "A field of the artifact is not allowed.");
                details.at(&format!("/{}", invalid.field), invalid.rule.clone())
            }
            Self::NotUploaded => {
                ErrorDetails::new(Code::NotUploaded, "The bytes have not been uploaded. Upload them first.")
            }
            Self::Mismatch(property) => {
                let detail = format!("The {property} of the uploaded bytes differs from the announced one.");
                ErrorDetails::new(Code::UploadMismatch, detail).with("mismatch", *property)
            }
            Self::StorageLimit { limit } => {
                let detail = format!(
                    "The tenant may store {limit} bytes, and the object does not fit. Delete artifacts; their bytes stop counting \
                     within 25 hours."
                );
                ErrorDetails::new(Code::StorageLimitReached, detail).with("limit_bytes", *limit)
            }
            Self::Bundle(error) => error.details(),
            Self::Cursor(error) => error.details(),
            Self::Table(error) => error.details(),
            Self::Cancelled(error) => error.details(),
            Self::Deleting | Self::Bucket(_) => ErrorDetails::unavailable(),
            Self::Taken | Self::Unversioned => ErrorDetails::internal(),
        }
    }
}

impl ApiError for BundleError {
    fn details(&self) -> ErrorDetails {
        ErrorDetails::new(Code::ValidationFailed, format!("The archive cannot be opened: {self}."))
    }
}
