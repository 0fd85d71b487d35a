//! The collector deletes objects that no artifact refers to, a day after they were last wanted.
//!
//! Several processes may run it at once, and each may be killed anywhere: a later run finds what it has
//! marked.

use std::time::Duration;

use sequent_core::{TenantId, Timestamp};
use sequent_tables::{Due, DueIndex, Label, Retry, Transaction, Update, Write, attribute, key};
use serde::Serialize;

use crate::{
    Artifacts, Digest, Error,
    object::{Object, ObjectState, less_storage},
};

const OBJECT: Label = Label::new("object");

/// The time for which an object without a reference is kept. It is longer than any operation takes between
/// wanting an object and referring to it; otherwise that operation would have to start again.
pub const AGE: Duration = Duration::from_secs(24 * 3600);

/// The result of a collection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Objects that were deleted.
    pub deleted: usize,
    /// Objects that an artifact refers to, or that were wanted meanwhile.
    pub kept: usize,
    /// Objects that are left for the next collection because an operation failed.
    pub failed: usize,
}

impl Artifacts {
    /// Deletes objects that no artifact refers to and that were last wanted before `before`. Stops as soon as
    /// `go_on` returns `false`; it is called before each object.
    ///
    /// # Errors
    /// Returns an error if the due index cannot be read. An object that cannot be deleted does not hold up
    /// the others.
    pub async fn collect(&self, before: Timestamp, go_on: impl Fn() -> bool) -> Result<Collected, Error> {
        let mut collected = Collected::default();
        let mut sweep = DueIndex::Objects.sweep(&self.store, before);
        while let Some(page) = sweep.page().await? {
            for due in page {
                if !go_on() {
                    return Ok(collected);
                }
                self.collect_due(&due, &mut collected).await;
            }
        }
        Ok(collected)
    }

    async fn collect_due(&self, due: &Due, collected: &mut Collected) {
        let Some((tenant, digest)) = key::parse_object(due.key()) else { return };
        match self.collect_object(tenant, &Digest::from_bytes(digest), due).await {
            Ok(true) => collected.deleted += 1,
            Ok(false) => collected.kept += 1,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(%tenant, error, "could not delete the S3 object; the next collection retries");
                collected.failed += 1;
            }
        }
    }

    /// Returns `true` if the object was deleted.
    async fn collect_object(&self, tenant: TenantId, digest: &Digest, due: &Due) -> Result<bool, Error> {
        let Some(object) = self.store.get::<Object>(due.key()).await? else { return Ok(false) };
        if !object.gsi2sk.as_deref().is_some_and(|position| due.is_at(position)) {
            return Ok(false); // wanted or referred to since the index was read
        }
        if object.refs > 0 {
            // An operation wanted the object and never referred to it. Other artifacts do.
            let update = Update::of(due.key()).remove_gsi2().when(due.is_unmoved());
            self.store.write_if(update.when(attribute("refs").is_above(0))).await?;
            return Ok(false);
        }
        let version = if object.state == ObjectState::Deleting {
            object.version
        } else {
            // The version is read before the object is marked: no object stored after the mark has this
            // version.
            let version = match self.bucket.head(tenant, digest).await? {
                Some(stored) => Some(stored.version.ok_or(Error::Unversioned)?),
                None => None,
            };
            if !self.mark(due, version.as_deref()).await? {
                return Ok(false);
            }
            version
        };
        if let Some(version) = &version {
            self.bucket.delete(tenant, digest, version).await?;
        }
        let delete = Write::delete(due.key())
            .when(attribute("standing").equals(ObjectState::Deleting))
            .when(due.is_unmoved());
        let transaction =
            Transaction::new().write(delete).label(OBJECT).write(less_storage(tenant, object.size));
        match self.store.commit(transaction, Retry::CONTENDED).await {
            Ok(()) => Ok(true),
            // Another collector was first.
            Err(cancelled) if cancelled.refused(OBJECT) => Ok(false),
            Err(cancelled) => Err(cancelled.into()),
        }
    }

    /// Marks the object as being deleted. Returns `false` if an artifact refers to it or it was wanted
    /// meanwhile.
    async fn mark(&self, due: &Due, version: Option<&str>) -> Result<bool, Error> {
        let update = Update::of(due.key())
            .set("standing", ObjectState::Deleting)
            .set("version", version)
            .when(due.is_unmoved())
            .when(attribute("refs").equals(0));
        Ok(self.store.write_if(update).await?)
    }
}
