//! Errors of operations on webhooks and their deliveries.

use sequent_aws::secret;
use sequent_identity::secret::SealError;
use sequent_tables::{Cancelled, Error as DataError, InvalidCursor};
use sequent_tool::guard::Refusal;

use crate::{Webhooks, signature::SecretError};

/// An operation on webhooks failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tenant has no webhook with this id.
    #[error("there is no webhook with this id")]
    NotFound,
    /// The webhook has no delivery with this id.
    #[error("there is no delivery with this id")]
    DeliveryNotFound,
    /// The tenant has [`Webhooks::MAX`] webhooks already.
    #[error("a tenant can have at most {} webhooks", Webhooks::MAX)]
    TooMany,
    /// The guard does not allow the address.
    #[error(transparent)]
    Address(#[from] Refusal),
    /// Events would be sent in clear text.
    #[error("events are sent over https only")]
    Insecure,
    /// Nothing is sent to the webhook.
    #[error("the webhook is disabled")]
    Disabled,
    /// The delivery has not ended.
    #[error("the delivery has not ended")]
    Pending,
    /// The cursor was not issued by this list.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// The table could not be read or written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The sealing key of the deployment could not be read.
    #[error(transparent)]
    Secret(#[from] secret::Error),
    /// A signing secret could not be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A signing secret could not be made or read.
    #[error(transparent)]
    SigningSecret(#[from] SecretError),
}

impl Error {
    /// Returns `true` if the same call may succeed a moment later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Data(error) if error.is_transient())
    }
}

impl From<Cancelled> for Error {
    fn from(cancelled: Cancelled) -> Self {
        Self::Data(cancelled.into())
    }
}
