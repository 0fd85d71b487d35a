//! Entities: the persons, organizations, places and documents that a tenant's artifacts name.

use sequent_core::{ArtifactId, EntityId, JobId, RunId, TenantId, Timestamp};
use sequent_tables::{
    CursorKey, Page, PageRequest, derived_id, derived_id_start,
    key::{self, Key, ListedBy},
};
use serde::{Deserialize, Serialize};

use crate::{Artifact, Artifacts, Error};

/// The types of entities that are found in documents.
pub const ENTITY_TYPES: [&str; 7] = ["person", "organization", "place", "product", "event", "work", "other"];

/// A named thing of some type: one that a document mentions, or an artifact that has the type itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "plain data")]
pub struct Entity {
    pub id: EntityId,
    /// The type, such as `person` or `report`.
    pub entity_type: String,
    pub name: String,
    /// The document that mentions the entity, or the artifact that it is.
    pub artifact_id: ArtifactId,
    /// Number of mentions in the document. Null for an artifact.
    #[serde(default)]
    pub mentions: Option<u32>,
    /// The run that created the document or artifact.
    #[serde(default)]
    pub run_id: Option<RunId>,
    /// The job that found the entity or created the artifact.
    #[serde(default)]
    pub job_id: Option<JobId>,
    pub created_at: Timestamp,
}

/// An entity as it was found in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `Entity`")]
pub struct Mention {
    pub entity_type: String,
    pub name: String,
    pub count: u32,
}

impl Entity {
    /// An entity that `job` found in a document. The same mention always has the same id, which sorts
    /// together with the document's.
    #[must_use]
    pub fn found(
        mention: Mention,
        document: ArtifactId,
        run: Option<RunId>,
        job: JobId,
        now: Timestamp,
    ) -> Self {
        let Mention { entity_type, name, count } = mention;
        let seed = format!("{document}:{entity_type}:{}", name.to_lowercase());
        Self {
            id: EntityId::from_bits(derived_id(document.bits(), seed)),
            entity_type,
            name,
            artifact_id: document,
            mentions: Some(count),
            run_id: run,
            job_id: Some(job),
            created_at: now,
        }
    }

    /// The key of the entity's row.
    #[must_use]
    pub fn key(&self, tenant: TenantId) -> Key {
        key::entity(tenant, &self.entity_type, self.id)
    }

    /// The payload of the `ENTITY_EXTRACTED` event. Returns `None` if the entity is an artifact.
    #[must_use]
    pub fn event(&self) -> Option<sequent_event::Entity> {
        Some(sequent_event::Entity {
            entity_type: self.entity_type.clone(),
            name: self.name.clone(),
            mentions: self.mentions?,
            artifact_id: self.artifact_id,
            job_id: self.job_id?,
        })
    }
}

impl From<Artifact> for Entity {
    fn from(artifact: Artifact) -> Self {
        Self {
            id: EntityId::from_bits(artifact.id.bits()),
            entity_type: artifact.entity_type,
            name: artifact.title,
            artifact_id: artifact.id,
            mentions: None,
            run_id: artifact.run_id,
            job_id: artifact.job_id,
            created_at: artifact.created_at,
        }
    }
}

impl Artifacts {
    /// Deletes the entities that were found in a document.
    pub(crate) async fn delete_entities(&self, tenant: TenantId, document: ArtifactId) -> Result<(), Error> {
        // Their ids have the document's time, so those of other documents are hardly read.
        let first = EntityId::from_bits(derived_id_start(document.bits()));
        for entity_type in ENTITY_TYPES {
            let mut after = key::entity(tenant, entity_type, first);
            loop {
                let request = PageRequest::new(key::entities(tenant, entity_type)).starting_after(&after);
                let page = self.store.page::<Entity>(&request.oldest_first()).await?;
                for entity in page.items.iter().filter(|entity| entity.artifact_id == document) {
                    self.store.delete(&entity.key(tenant)).await?;
                }
                match page.items.last() {
                    Some(last) if last.id.created_at() <= document.created_at() => after = last.key(tenant),
                    _ => break,
                }
            }
        }
        Ok(())
    }

    /// Reads a page of the entities of a type: those found in documents, newest first, then the artifacts of
    /// the type. The page on which the second list begins may have one item more than `limit`.
    ///
    /// # Errors
    /// [`Error::Cursor`], or an error of the table.
    pub async fn entities(
        &self,
        tenant: TenantId,
        entity_type: &str,
        cursors: &CursorKey,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<Entity>, Error> {
        let artifacts = PageRequest::new(key::artifacts_by(tenant, ListedBy::EntityType(entity_type)));
        let found = PageRequest::new(key::entities(tenant, entity_type)).limit(limit);
        let Ok(request) = found.cursor(cursors, cursor) else {
            // The cursor belongs to the second list, or to neither.
            let request = artifacts.limit(limit).cursor(cursors, cursor)?;
            return Ok(self.store.page::<Artifact>(&request).await?.map(Entity::from));
        };
        let page = self.store.page::<Entity>(&request).await?;
        if page.next_cursor(cursors).is_some() {
            return Ok(page);
        }
        let mut items = page.items;
        let wanted = limit.unwrap_or(PageRequest::DEFAULT_LIMIT) as usize;
        // Even if the last page of the first list is full, one artifact is read: only the second list has a
        // cursor to continue with.
        let room = u32::try_from(wanted.saturating_sub(items.len())).ok();
        let rest = self.store.page::<Artifact>(&artifacts.limit(room)).await?;
        items.extend(rest.items.iter().cloned().map(Entity::from));
        Ok(rest.with_items(items))
    }
}
