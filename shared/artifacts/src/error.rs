//! What can go wrong.

use std::fmt::Debug;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use sequent_tables::InvalidCursor;

use crate::{Invalid, Refused};

/// An operation on artifacts failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tenant has no such artifact, or no such upload.
    #[error("no such artifact")]
    NotFound,
    /// The description cannot be taken.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The id is taken by an artifact with other bytes.
    #[error("the id is taken by other bytes")]
    Taken,
    /// Nothing has been uploaded yet.
    #[error("nothing has been uploaded")]
    NotUploaded,
    /// What was uploaded is not what was announced.
    #[error("the {0} of what was uploaded is not the one announced")]
    Mismatch(&'static str),
    /// The cursor is not one of this list.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// Others were at the same object or row for longer than it was worth waiting.
    #[error("the object is in use")]
    Busy,
    /// The table failed.
    #[error(transparent)]
    Data(#[from] sequent_tables::Error),
    /// The bucket failed.
    #[error("the bucket failed")]
    Bucket(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The archive cannot be opened.
    #[error(transparent)]
    Bundle(#[from] Refused),
    /// The bucket keeps no versions, so nothing can be deleted from it safely.
    #[error("the bucket keeps no versions")]
    Unversioned,
}

impl Error {
    /// Whether the same call may succeed a moment later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Busy | Self::Bucket(_) => true,
            Self::Data(error) => error.is_transient(),
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
