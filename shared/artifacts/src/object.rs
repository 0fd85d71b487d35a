//! Object rows: the state of an object's bytes, and the number of artifacts that refer to them.

use backon::Retryable;
use bytes::Bytes;
use sequent_core::{TenantId, Timestamp};
use sequent_tables::{Condition, Retry, Update, absent, attribute, exists, key};
use serde::{Deserialize, Serialize};

use crate::{Artifacts, Content, Digest, Error};

/// The state of an object's bytes. Stored in the attribute `standing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ObjectState {
    /// A process is about to put the bytes.
    Wanted,
    /// The bytes are in the bucket.
    Stored,
    /// The collector is deleting the bytes.
    #[serde(rename = "going")]
    Deleting,
}

/// The row of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Object {
    #[serde(rename = "standing")]
    pub(crate) state: ObjectState,
    pub(crate) size: u64,
    /// Number of artifacts that refer to the object.
    pub(crate) refs: u64,
    /// The version that the collector is deleting.
    #[serde(default)]
    pub(crate) version: Option<String>,
    /// Position in the due index of the collector.
    #[serde(default)]
    pub(crate) gsi2sk: Option<String>,
}

impl Artifacts {
    /// Announces that an artifact is about to refer to the object, which keeps the collector away for
    /// [`AGE`](crate::AGE).
    ///
    /// # Errors
    /// [`Error::Deleting`] while the collector is deleting the object.
    pub(crate) async fn want(&self, tenant: TenantId, content: Content) -> Result<Object, Error> {
        let due = key::garbage(tenant, content.sha256.bytes(), Timestamp::now());
        let update = Update::of(&key::object(tenant, content.sha256.bytes()))
            .set_if_absent("size", content.size)
            .set_if_absent("standing", ObjectState::Wanted)
            .set_if_absent("refs", 0)
            .gsi2(&due)
            .when(absent().or(is_not_being_deleted()));
        self.store.update_if(update).await?.ok_or(Error::Deleting)
    }

    /// Wants the object and puts its bytes unless they are in the bucket.
    ///
    /// # Errors
    /// [`Error::Deleting`], or an error of the table or the bucket.
    pub(crate) async fn put_object(
        &self,
        tenant: TenantId,
        content: Content,
        media_type: &str,
        bytes: Bytes,
    ) -> Result<(), Error> {
        if self.want(tenant, content).await?.state == ObjectState::Stored {
            return Ok(());
        }
        self.bucket.put(tenant, &content.sha256, media_type, bytes).await
    }
}

/// Repeats `operation` while the collector is deleting the object that it needs.
pub(crate) async fn retry_while_deleting<T, F: Future<Output = Result<T, Error>>>(
    operation: impl FnMut() -> F,
) -> Result<T, Error> {
    operation.retry(Retry::CONTENDED.backoff()).when(|error| matches!(error, Error::Deleting)).await
}

/// Counts one more artifact that refers to the object, whose bytes are in the bucket.
pub(crate) fn refer_to(tenant: TenantId, digest: &Digest) -> Update {
    Update::of(&key::object(tenant, digest.bytes()))
        .set("standing", ObjectState::Stored)
        .add("refs", 1)
        .remove_gsi2()
        .when(exists().and(is_not_being_deleted()))
}

/// Counts one artifact less. If it was the last one, the collector finds the object when it is due.
pub(crate) fn release(tenant: TenantId, digest: &Digest) -> Update {
    Update::of(&key::object(tenant, digest.bytes()))
        .add("refs", -1)
        .gsi2(&key::garbage(tenant, digest.bytes(), Timestamp::now()))
        .when(attribute("refs").is_above(0))
}

fn is_not_being_deleted() -> Condition {
    attribute("standing").differs_from(ObjectState::Deleting)
}
