//! Object rows: the state of an object's bytes, and the number of artifacts that refer to them.
//!
//! The tenant's storage row has the sum of the sizes of its object rows. Both change in one transaction, before the bytes
//! can be put and after they are deleted. So a tenant never stores more than its limit, however many uploads run at once.

use backon::Retryable;
use bytes::Bytes;
use sequent_core::{TenantId, Timestamp};
use sequent_tables::{Condition, Label, Retry, Transaction, Update, absent, attribute, exists, key};
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

const OBJECT: Label = Label::new("object");
const STORAGE: Label = Label::new("storage");

impl Artifacts {
    /// Announces that an artifact is about to refer to the object, which keeps the collector away for
    /// [`AGE`](crate::AGE).
    ///
    /// # Errors
    /// [`Error::Deleting`] while the collector is deleting the object. [`Error::StorageLimit`] if the object is new and the
    /// tenant has no room for it.
    pub(crate) async fn want(&self, tenant: TenantId, content: Content) -> Result<Object, Error> {
        let key = key::object(tenant, content.sha256.bytes());
        let due = key::garbage(tenant, content.sha256.bytes(), Timestamp::now());
        let new = Update::of(&key)
            .set("size", content.size)
            .set("standing", ObjectState::Wanted)
            .set("refs", 0)
            .gsi2(&due)
            .when(absent());
        if self.take_storage(tenant, new, content.size).await? {
            return Ok(Object::wanted(content.size));
        }
        let update = Update::of(&key).gsi2(&due).when(exists().and(is_not_being_deleted()));
        let known: Object = self.store.update_if(update).await?.ok_or(Error::Deleting)?;
        if known.state == ObjectState::Stored || known.size >= content.size {
            return Ok(known);
        }
        // An earlier announcement was too small. The link is signed for the larger size, so that must have room.
        let larger = Update::of(&key)
            .set("size", content.size)
            .when(attribute("size").equals(known.size))
            .when(attribute("standing").equals(ObjectState::Wanted));
        match self.take_storage(tenant, larger, content.size - known.size).await? {
            true => Ok(Object { size: content.size, ..known }),
            // Another request changed the object meanwhile. The caller tries again.
            false => Err(Error::Deleting),
        }
    }

    /// Changes an object's row together with the bytes that its tenant stores. Returns `false` if the condition of the change
    /// does not hold.
    async fn take_storage(&self, tenant: TenantId, object: Update, bytes: u64) -> Result<bool, Error> {
        let transaction = Transaction::new()
            .write(object)
            .label(OBJECT)
            .write(self.more_storage(tenant, bytes))
            .label(STORAGE);
        match self.store.commit(transaction, Retry::CONTENDED).await {
            Ok(()) => Ok(true),
            Err(cancelled) if cancelled.refused(OBJECT) => Ok(false),
            Err(cancelled) if cancelled.refused(STORAGE) => {
                Err(Error::StorageLimit { limit: self.storage_limit.unwrap_or_default() })
            }
            Err(cancelled) => Err(cancelled.into()),
        }
    }

    /// Adds to the bytes that a tenant stores, if it has room for them.
    fn more_storage(&self, tenant: TenantId, bytes: u64) -> Update {
        let update = Update::of(&key::storage(tenant)).add("bytes", signed(bytes));
        let Some(limit) = self.storage_limit else { return update };
        let room = signed(limit) - signed(bytes);
        let has_room = attribute("bytes").is_at_most(room);
        update.when(if room < 0 { has_room } else { attribute("bytes").is_absent().or(has_room) })
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

impl Object {
    const fn wanted(size: u64) -> Self {
        Self { state: ObjectState::Wanted, size, refs: 0, version: None, gsi2sk: None }
    }
}

/// Subtracts from the bytes that a tenant stores.
pub(crate) fn less_storage(tenant: TenantId, bytes: u64) -> Update {
    Update::of(&key::storage(tenant)).add("bytes", -signed(bytes))
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
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
