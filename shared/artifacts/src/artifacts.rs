//! Storing, reading, listing and deleting artifacts.

use aws_config::SdkConfig;
use bytes::Bytes;
use sequent_core::{ArtifactId, InvalidSetting, RunId, TenantId, TenantLimits, Timestamp, setting};
use sequent_tables::{
    CursorKey, Label, Page, PageRequest, Retry, Row, Store, Transaction, Write, exists,
    key::{self, ListedBy},
};

use crate::{
    Artifact, Bucket, Content, Description, Error, Link, Origin,
    artifact::{is_name, new_row},
    object::{refer_to, release, retry_while_deleting},
};

/// Pages read for one page of a list with several filters, which may then have fewer items than asked for.
const READS: usize = 5;
const ARTIFACT: Label = Label::new("artifact");
const OBJECT: Label = Label::new("object");
const RUN: Label = Label::new("run");

/// The artifacts of a deployment. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Artifacts {
    pub(crate) store: Store,
    pub(crate) bucket: Bucket,
    /// Most bytes that a tenant may store. `None` is no limit.
    pub(crate) storage_limit: Option<u64>,
}

/// The conditions that an artifact of a list meets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub struct Filter<'a> {
    pub run: Option<RunId>,
    pub entity_type: Option<&'a str>,
    pub tag: Option<&'a str>,
}

/// The artifacts of one run, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunArtifacts {
    /// The artifacts, up to the limit of the call.
    pub items: Vec<Artifact>,
    /// `false` if the run has more.
    pub is_complete: bool,
}

impl Artifacts {
    /// Keeps rows in `store` and bytes in `bucket`.
    #[must_use]
    pub fn new(store: Store, bucket: Bucket) -> Self {
        Self { store, bucket, storage_limit: None }
    }

    /// Sets the most bytes that a tenant may store.
    #[must_use]
    pub fn with_storage_limit(self, storage_limit: Option<u64>) -> Self {
        Self { storage_limit, ..self }
    }

    /// Keeps bytes in the bucket that the environment variable `ARTIFACTS_BUCKET` names, within the limit of
    /// [`TenantLimits::from_env`].
    ///
    /// # Errors
    /// [`InvalidSetting`] if the variable is not set, or the limits are not valid.
    pub fn from_env(config: &SdkConfig, store: Store) -> Result<Self, InvalidSetting> {
        let name = setting::required("ARTIFACTS_BUCKET")?;
        let limits = TenantLimits::from_env()?;
        Ok(Self::new(store, Bucket::new(config, &name)).with_storage_limit(limits.storage_bytes))
    }

    /// Stores bytes and an artifact that refers to them. Returns the stored artifact if the same call was
    /// made before.
    ///
    /// # Errors
    /// [`Error::Taken`] if the id belongs to an artifact with other bytes, [`Error::RunNotFound`],
    /// [`Error::Description`], or an error of the table or the bucket.
    pub async fn save(
        &self,
        tenant: TenantId,
        id: ArtifactId,
        description: Description,
        origin: Origin,
        bytes: Bytes,
    ) -> Result<Artifact, Error> {
        let description = description.checked()?;
        let content = Content::of(&bytes);
        let artifact = Artifact::new(id, description, origin, content, Timestamp::now());
        retry_while_deleting(|| async {
            self.put_object(tenant, content, &artifact.media_type, bytes.clone()).await?;
            self.record(tenant, &artifact).await
        })
        .await
    }

    /// Stores the rows of an artifact whose bytes are in the bucket, and counts it in the object's row, in
    /// one transaction. Returns the stored artifact if the same call was made before.
    ///
    /// The transaction requires the row of the artifact's run: a former owner of a run that was deleted must
    /// not store what nothing leads to any more.
    ///
    /// # Errors
    /// [`Error::Taken`]; [`Error::RunNotFound`]; [`Error::Deleting`] if the object is being deleted or is
    /// gone; or an error of the table.
    pub(crate) async fn record(&self, tenant: TenantId, artifact: &Artifact) -> Result<Artifact, Error> {
        let mut record = Transaction::new()
            .write(Write::insert(new_row(tenant, artifact)?))
            .label(ARTIFACT)
            .write(refer_to(tenant, &artifact.sha256))
            .label(OBJECT);
        for row in list_rows(tenant, artifact)? {
            record = record.write(Write::put(row));
        }
        if let Some(run) = artifact.run_id {
            record = record.write(Write::require(&key::run(tenant, run))).label(RUN);
        }
        let Err(cancelled) = self.store.commit(record, Retry::CONTENDED).await else {
            return Ok(artifact.clone());
        };
        match cancelled.found::<Artifact>(ARTIFACT) {
            Some(stored) if stored.sha256 == artifact.sha256 => Ok(stored),
            Some(_) => Err(Error::Taken),
            None if cancelled.refused(RUN) => Err(Error::RunNotFound),
            None if cancelled.refused(OBJECT) => Err(Error::Deleting),
            None => Err(cancelled.into()),
        }
    }

    /// Deletes an artifact and the entities that were found in it. Its bytes stay until the collector finds
    /// that no artifact refers to them.
    ///
    /// # Errors
    /// [`Error::NotFound`], or an error of the table.
    pub async fn delete(&self, tenant: TenantId, id: ArtifactId) -> Result<(), Error> {
        let artifact = self.get(tenant, id).await?;
        // First, because only the artifact leads to them.
        self.delete_entities(tenant, id).await?;
        let mut delete = Transaction::new()
            .write(Write::delete(&key::artifact(tenant, id)).when(exists()))
            .write(release(tenant, &artifact.sha256));
        for list in artifact.lists() {
            delete = delete.write(Write::delete(&key::listed_artifact(tenant, list, id)));
        }
        match self.store.commit(delete, Retry::CONTENDED).await {
            Ok(()) => Ok(()),
            // Another request deleted it meanwhile.
            Err(cancelled) if cancelled.any_refused() => Ok(()),
            Err(cancelled) => Err(cancelled.into()),
        }
    }

    /// Reads one artifact.
    ///
    /// # Errors
    /// [`Error::NotFound`], or an error of the table.
    pub async fn get(&self, tenant: TenantId, id: ArtifactId) -> Result<Artifact, Error> {
        find(&self.store, tenant, id).await?.ok_or(Error::NotFound)
    }

    /// Reads the artifact's bytes.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if there are more than `most`, or an error of the bucket.
    pub async fn bytes(&self, tenant: TenantId, artifact: &Artifact, most: u64) -> Result<Bytes, Error> {
        self.bucket.get(tenant, &artifact.sha256, most).await?.ok_or(Error::NotFound)
    }

    /// Signs a link that downloads the artifact's bytes. It works for five minutes.
    ///
    /// # Errors
    /// Returns an error if there are no credentials to sign the link with.
    pub async fn link(&self, tenant: TenantId, artifact: &Artifact) -> Result<Link, Error> {
        self.bucket.sign_get(tenant, artifact).await
    }

    /// Reads a page of artifacts, newest first. With several filters a page may have fewer items than
    /// `limit`, or none, before the end of the list.
    ///
    /// # Errors
    /// [`Error::Cursor`], or an error of the table.
    pub async fn list(
        &self,
        tenant: TenantId,
        filter: Filter<'_>,
        cursors: &CursorKey,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<Artifact>, Error> {
        let partition = match filter.shortest_list() {
            Some(list) => key::artifacts_by(tenant, list),
            None => key::artifacts(tenant),
        };
        let first = PageRequest::new(partition).limit(limit);
        let mut request = first.clone().cursor(cursors, cursor)?;
        let wanted = limit.unwrap_or(PageRequest::DEFAULT_LIMIT) as usize;
        let mut found = Vec::new();
        let mut reads = 0;
        loop {
            let room = u32::try_from(wanted - found.len()).unwrap_or(u32::MAX);
            let page = self.store.page::<Artifact>(&request.limit(Some(room))).await?;
            found.extend(page.items.iter().filter(|artifact| filter.matches(artifact)).cloned());
            reads += 1;
            let next = page.next_cursor(cursors);
            if next.is_none() || found.len() >= wanted || reads >= READS {
                return Ok(page.with_items(found));
            }
            request = first.clone().cursor(cursors, next.as_deref())?;
        }
    }

    /// Reads the artifacts of a run, at most `most`.
    ///
    /// # Errors
    /// Returns an error if the table fails.
    pub async fn of_run(&self, tenant: TenantId, run: RunId, most: usize) -> Result<RunArtifacts, Error> {
        let mut items: Vec<Artifact> = Vec::new();
        // The cursors do not leave this process, so any key signs them.
        let cursors = CursorKey::new(fastrand::u128(..).to_string().into());
        let mut cursor = None;
        loop {
            let partition = key::artifacts_by(tenant, ListedBy::Run(run));
            let request = PageRequest::new(partition).limit(Some(PageRequest::MAX_LIMIT)).oldest_first();
            let page = self.store.page::<Artifact>(&request.cursor(&cursors, cursor.as_deref())?).await?;
            cursor = page.next_cursor(&cursors);
            items.extend(page.items);
            if cursor.is_none() || items.len() >= most {
                let is_complete = cursor.is_none() && items.len() <= most;
                items.truncate(most);
                return Ok(RunArtifacts { items, is_complete });
            }
        }
    }
}

impl<'a> Filter<'a> {
    /// Returns `true` if artifacts can have the entity type and the tag. Other texts must not become parts of
    /// keys.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        [self.entity_type, self.tag].into_iter().flatten().all(is_name)
    }

    /// The list to read: the one that is probably the shortest. Other filters are applied to what is read.
    fn shortest_list(&self) -> Option<ListedBy<'a>> {
        let run = self.run.map(ListedBy::Run);
        run.or_else(|| self.tag.map(ListedBy::Tag)).or_else(|| self.entity_type.map(ListedBy::EntityType))
    }

    fn matches(&self, artifact: &Artifact) -> bool {
        self.run.is_none_or(|run| artifact.run_id == Some(run))
            && self.entity_type.is_none_or(|name| artifact.entity_type == name)
            && self.tag.is_none_or(|tag| artifact.tags.iter().any(|of| of == tag))
    }
}

/// Reads one artifact, for functions that need no bucket. Returns `None` if the tenant has no such artifact.
///
/// # Errors
/// Returns an error if the table fails.
pub async fn find(store: &Store, tenant: TenantId, id: ArtifactId) -> Result<Option<Artifact>, Error> {
    Ok(store.get(&key::artifact(tenant, id)).await?)
}

/// The copies of an artifact's row in the lists that contain it.
pub(crate) fn list_rows(tenant: TenantId, artifact: &Artifact) -> Result<Vec<Row>, sequent_tables::Error> {
    let row = |list| Row::new(&key::listed_artifact(tenant, list, artifact.id), artifact);
    artifact.lists().map(row).collect()
}

/// The id of the artifact that a step of a run creates. The same step has the same `key`, so that a repeated
/// step creates the same artifact. The id sorts together with the run's.
#[must_use]
pub fn derived_id(run: RunId, key: &str) -> ArtifactId {
    ArtifactId::from_bits(sequent_tables::derived_id(run.bits(), key))
}
