//! What documents name: who, what and where.

use sequent_core::{ArtifactId, EntityId, JobId, RunId, TenantId, Timestamp};
use sequent_tables::{
    CursorKey, Page, PageRequest,
    key::{self, Key, ListedBy},
};
use serde::{Deserialize, Serialize};

use crate::{Artifact, Artifacts, Digest, Error};

/// Something with a name: found in a document, or an artifact that was kept as being of a type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Entity {
    /// Its id.
    pub id: EntityId,
    /// What it is, such as `person` or `report`.
    pub entity_type: String,
    /// What it is called.
    pub name: String,
    /// Where it was found, or what it is.
    pub artifact_id: ArtifactId,
    /// How often the document names it, if one does.
    #[serde(default)]
    pub mentions: Option<u32>,
    /// The run that it comes from.
    #[serde(default)]
    pub run_id: Option<RunId>,
    /// The job that found it.
    #[serde(default)]
    pub job_id: Option<JobId>,
    /// Since when it is known.
    pub created_at: Timestamp,
}

impl Entity {
    /// What a job has found in an artifact. The same find has the same id.
    #[must_use]
    pub fn found(
        (run, job): (Option<RunId>, JobId),
        artifact: ArtifactId,
        (entity_type, name, mentions): (String, String, u32),
        now: Timestamp,
    ) -> Self {
        let digest = Digest::of(format!("{artifact}:{entity_type}:{}", name.to_lowercase()).as_bytes());
        let (head, _) = digest.bytes().split_first_chunk::<16>().expect("a digest has 32 bytes");
        // Sorts where its artifact does.
        let random = u128::from_be_bytes(*head) & ((1 << 80) - 1);
        Self {
            id: EntityId::from_bits((artifact.bits() >> 80 << 80) | random),
            entity_type,
            name,
            artifact_id: artifact,
            mentions: Some(mentions),
            run_id: run,
            job_id: Some(job),
            created_at: now,
        }
    }

    /// Where its row is.
    #[must_use]
    pub fn key(&self, tenant: TenantId) -> Key {
        key::entity(tenant, &self.entity_type, self.id)
    }

    /// As a run's log tells of it, if a job has found it.
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
    /// A page of the entities of a type: those found in documents, newest first, then the artifacts that are of the type.
    ///
    /// # Errors
    /// [`Error::Cursor`], or when the table fails.
    pub async fn entities(
        &self,
        tenant: TenantId,
        entity_type: &str,
        (cursors, cursor): (&CursorKey, Option<&str>),
        limit: Option<u32>,
    ) -> Result<Page<Entity>, Error> {
        let kept = PageRequest::new(key::artifacts_by(tenant, ListedBy::EntityType(entity_type)));
        let found = PageRequest::new(key::entities(tenant, entity_type)).limit(limit);
        let Ok(request) = found.cursor(cursors, cursor) else {
            // Of the second list, or of none.
            let request = kept.limit(limit).cursor(cursors, cursor)?;
            return Ok(self.store.page::<Artifact>(&request).await?.map(Entity::from));
        };
        let page = self.store.page::<Entity>(&request).await?;
        if page.next_cursor(cursors).is_some() {
            return Ok(page);
        }
        let mut items = page.items;
        let wanted = limit.unwrap_or(PageRequest::DEFAULT_LIMIT) as usize;
        // A full page that is the first list's last has one item more: only the second list can be gone on with.
        let room = u32::try_from(wanted.saturating_sub(items.len())).ok();
        let rest = self.store.page::<Artifact>(&kept.limit(room)).await?;
        items.extend(rest.items.iter().cloned().map(Entity::from));
        Ok(rest.with_items(items))
    }
}
