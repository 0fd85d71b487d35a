//! Versions of a definition, and the labels that name them.

use sequent_core::{TenantId, Timestamp};
use sequent_tables::{
    Cancelled, CursorKey, InvalidCursor, Key, Page, PageRequest, Retry, Row, Transaction, Update, Write,
    attribute, decode, key,
};
use serde::Serialize;

use super::{COUNT, Definitions, HEAD, MAX_LABELS, MAX_VERSIONS, VERSION, has_bytes};
use crate::{Error, NewVersion, VersionLabel, VersionSummary, head::Head, version::VersionRow};

impl Definitions {
    /// Adds a version and makes it the latest. The number is the condition of the transaction, so each number is given once.
    pub(crate) async fn add_version<T: Serialize>(
        &self,
        tenant: TenantId,
        id: &str,
        description: &str,
        new: &NewVersion<T>,
        now: Timestamp,
    ) -> Result<Head, Error> {
        let mut tries = Retry::CONTENDED.tries();
        loop {
            let head = self.existing(tenant, id).await?;
            let version = following(head.latest_version)?;
            let update = Update::of(&self.key(tenant, id))
                .set("latest_version", version)
                .set("description", description)
                .set("updated_at", now)
                .when(attribute("latest_version").equals(head.latest_version));
            let head = Head {
                latest_version: version,
                description: description.to_owned(),
                updated_at: now,
                ..head
            };
            let (row, bytes) = self.version_row(tenant, &head, new, now)?;
            let transaction = Transaction::new()
                .write(update)
                .label(HEAD)
                .write(Write::insert(row))
                .label(VERSION)
                .write(Self::counted(tenant, bytes).when(has_bytes()))
                .label(COUNT);
            match self.store.commit_within(transaction, &mut tries).await {
                Ok(()) => return Ok(head),
                Err(cancelled) if cancelled.refused(COUNT) => return Err(Error::TooManyBytes),
                Err(cancelled) if is_overtaken(&cancelled) && tries.pause().await => {}
                Err(cancelled) => return Err(cancelled.into()),
            }
        }
    }

    /// The row of the latest version of a head, and the bytes of its content.
    pub(super) fn version_row<T: Serialize>(
        &self,
        tenant: TenantId,
        head: &Head,
        new: &NewVersion<T>,
        now: Timestamp,
    ) -> Result<(Row, usize), Error> {
        let version = head.latest_version;
        let summary =
            VersionSummary { version, change: new.change.clone(), user_id: new.user, created_at: now };
        let key = key::definition_version(tenant, self.kind, &head.id, version);
        let row = VersionRow::new(summary, &new.content)?;
        Ok((Row::new(&key, &row)?, row.bytes()))
    }

    /// Returns the number of the first version of a definition that does not exist. A deleted one may have left versions.
    pub(super) async fn next_version(&self, tenant: TenantId, id: &str) -> Result<u32, Error> {
        let request = self.versions_of(tenant, id).limit(Some(1));
        let page = self.store.page_items(&request).await?;
        let last = page.items.iter().filter_map(Key::of_item).find_map(|key| version_of(&key, id));
        following(last.unwrap_or(0))
    }

    /// Reads a version, also of a definition that was deleted. Returns `None` if there is none.
    pub(crate) async fn version(
        &self,
        tenant: TenantId,
        id: &str,
        version: u32,
    ) -> Result<Option<VersionRow>, Error> {
        Ok(self.store.get(&key::definition_version(tenant, self.kind, id, version)).await?)
    }

    /// Reads a page of the versions of a definition, the newest first.
    pub(crate) async fn versions(
        &self,
        tenant: TenantId,
        id: &str,
        cursors: &CursorKey,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<VersionSummary>, Error> {
        self.existing(tenant, id).await?;
        let first = self.versions_of(tenant, id).limit(limit);
        let request = match cursor {
            Some(_) => first.cursor(cursors, cursor)?,
            None => first,
        };
        // The list has the versions of all definitions.
        if cursor.is_some() && request.position().and_then(key::parse_version).is_none_or(|(of, _)| of != id)
        {
            return Err(Error::Cursor(InvalidCursor));
        }
        let page = self.store.page_items(&request).await?;
        let read = page.items.len();
        let own = page
            .items
            .iter()
            .filter(|item| Key::of_item(item).is_some_and(|key| version_of(&key, id).is_some()));
        let summaries: Vec<VersionSummary> = own.cloned().map(decode).collect::<Result<_, _>>()?;
        let is_last = summaries.len() < read;
        let page = page.with_items(summaries);
        Ok(if is_last { page.at_end() } else { page })
    }

    /// The versions of a definition, the newest first. Those of other definitions may follow.
    fn versions_of(&self, tenant: TenantId, id: &str) -> PageRequest {
        // `:` follows the digits.
        PageRequest::new(key::definition_versions(tenant, self.kind)).after(format!("{id}#:"))
    }

    /// Moves a label to a version if it has the expected one, or none. A label that has the version already stays.
    pub(crate) async fn set_label(
        &self,
        tenant: TenantId,
        id: &str,
        label: &VersionLabel,
        to: LabelMove,
        now: Timestamp,
    ) -> Result<Head, Error> {
        let path = ["labels", label.as_str()];
        let is_expected = match to.expected {
            Some(version) => attribute(path).equals(version),
            None => attribute(path).is_absent().and(attribute("labels").has_fewer_than(MAX_LABELS)),
        };
        let update = Update::of(&self.key(tenant, id))
            .set(path, to.version)
            .set("updated_at", now)
            .when(attribute("latest_version").is_at_least(to.version.max(1)))
            .when(is_expected);
        if to.version == 0 {
            return Err(Error::VersionNotFound(0));
        }
        match self.store.update_if(update).await? {
            Some(head) => Ok(head),
            None => self.label_refused(tenant, id, label, to).await,
        }
    }

    /// Finds out why a label could not be moved.
    async fn label_refused(
        &self,
        tenant: TenantId,
        id: &str,
        label: &VersionLabel,
        to: LabelMove,
    ) -> Result<Head, Error> {
        let head = self.existing(tenant, id).await?;
        let actual = head.labels.get(label).copied();
        if to.version > head.latest_version {
            Err(Error::VersionNotFound(to.version))
        } else if actual == Some(to.version) {
            Ok(head)
        } else if head.labels.len() >= MAX_LABELS as usize && to.expected.is_none() {
            Err(Error::TooManyLabels)
        } else {
            Err(Error::LabelMoved(actual))
        }
    }

    /// Removes a label, whatever its version is.
    pub(crate) async fn remove_label(
        &self,
        tenant: TenantId,
        id: &str,
        label: &VersionLabel,
        now: Timestamp,
    ) -> Result<Head, Error> {
        let path = ["labels", label.as_str()];
        let update = Update::of(&self.key(tenant, id)).remove(path).set("updated_at", now);
        match self.store.update_if(update.when(attribute(path).is_present())).await? {
            Some(head) => Ok(head),
            None => {
                self.existing(tenant, id).await?;
                Err(Error::LabelNotFound(label.clone()))
            }
        }
    }
}

/// The move of a label to a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub struct LabelMove {
    pub version: u32,
    /// The version that the label has before. `None` if it is a new label.
    pub expected: Option<u32>,
}

fn following(version: u32) -> Result<u32, Error> {
    if version < MAX_VERSIONS { Ok(version + 1) } else { Err(Error::TooManyVersions) }
}

/// Returns `true` if another version was added at the same time.
fn is_overtaken(cancelled: &Cancelled) -> bool {
    cancelled.refused(HEAD) || cancelled.refused(VERSION)
}

/// Returns the number of a version of this definition.
fn version_of(key: &Key, id: &str) -> Option<u32> {
    key::parse_version(key.sk()).filter(|(of, _)| *of == id).map(|(_, version)| version)
}
