//! Storing, reading, listing and deleting artifacts.

use std::time::Duration;

use aws_config::SdkConfig;
use bytes::Bytes;
use sequent_core::{ArtifactId, RunId, TenantId, Timestamp};
use sequent_tables::{
    Cancelled, CursorKey, Page, PageRequest, Reason, Reasons, Row, Store, Transaction,
    key::{self, ListedBy},
};

use crate::{
    Artifact, Bucket, Description, Digest, Error, Link, Origin,
    artifact::is_name,
    object::{Standing, let_go, referred_to, want},
};

/// How often others at the same object are waited for: with the pauses between, several seconds.
pub(crate) const ATTEMPTS: u32 = 14;
const LONGEST_PAUSE: Duration = Duration::from_millis(800);
/// Pages read for one page of a list with several filters, which may then be short.
const READS: usize = 5;

/// The artifacts of a deployment. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Artifacts {
    pub(crate) store: Store,
    pub(crate) bucket: Bucket,
}

/// Which artifacts a list shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filter<'a> {
    /// Those that this run made.
    pub run: Option<RunId>,
    /// Those that are this.
    pub entity_type: Option<&'a str>,
    /// Those with this tag.
    pub tag: Option<&'a str>,
}

impl Artifacts {
    /// Rows in `store`, bytes in `bucket`.
    #[must_use]
    pub fn new(store: Store, bucket: Bucket) -> Self {
        Self { store, bucket }
    }

    /// As the environment says: bytes are in `ARTIFACTS_BUCKET`.
    ///
    /// # Errors
    /// When that is not set.
    pub fn from_env(config: &SdkConfig, store: Store) -> Result<Self, String> {
        let name = std::env::var("ARTIFACTS_BUCKET").map_err(|_| "ARTIFACTS_BUCKET is not set".to_owned())?;
        Ok(Self::new(store, Bucket::new(config, &name)))
    }

    /// Stores bytes under an id. The same call again gives the artifact that is there.
    ///
    /// # Errors
    /// [`Error::Taken`] when the id is that of other bytes; when the description cannot be taken; when the table or the
    /// bucket fails.
    pub async fn save(
        &self,
        tenant: TenantId,
        id: ArtifactId,
        description: Description,
        origin: Origin,
        bytes: Bytes,
    ) -> Result<Artifact, Error> {
        let description = description.checked()?;
        let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
        let artifact = Artifact::new(id, description, origin, (digest, size), Timestamp::now());
        for attempt in 0..ATTEMPTS {
            let Some(object) = want(&self.store, tenant, (&digest, size)).await? else {
                pause(attempt).await; // until the collector is done with it
                continue;
            };
            if object.standing != Standing::Stored {
                self.bucket.put(tenant, &digest, &artifact.media_type, bytes.clone()).await?;
            }
            match self.record(tenant, &artifact).await? {
                Some(artifact) => return Ok(artifact),
                None => pause(attempt).await,
            }
        }
        Err(Error::Busy)
    }

    /// Stores the row of an artifact whose bytes are in the bucket, and counts it, in one transaction. The artifact that
    /// is there; `None` when the object is going, or gone.
    pub(crate) async fn record(
        &self,
        tenant: TenantId,
        artifact: &Artifact,
    ) -> Result<Option<Artifact>, Error> {
        let (store, place) = (&self.store, key::artifact(tenant, artifact.id));
        let mut record = Transaction::new().insert(store, Row::new(&place, artifact)?).update(
            store,
            &key::object(tenant, artifact.sha256.bytes()),
            referred_to(),
        );
        for list in artifact.lists() {
            record = record.put(store, Row::new(&key::listed_artifact(tenant, list, artifact.id), artifact)?);
        }
        match self.run(record).await? {
            Ok(()) => Ok(Some(artifact.clone())),
            Err(reasons) => match reasons.into_iter().next() {
                Some(Reason::Condition(Some(stored))) => {
                    let stored: Artifact =
                        serde_dynamo::from_item(*stored).map_err(sequent_tables::Error::from)?;
                    if stored.sha256 == artifact.sha256 { Ok(Some(stored)) } else { Err(Error::Taken) }
                }
                _ => Ok(None),
            },
        }
    }

    /// Deletes an artifact. Its bytes stay until the collector finds that nothing refers to them.
    ///
    /// # Errors
    /// [`Error::NotFound`], or when the table fails.
    pub async fn delete(&self, tenant: TenantId, id: ArtifactId) -> Result<(), Error> {
        let artifact = self.get(tenant, id).await?;
        let store = &self.store;
        let mut delete = Transaction::new().remove(store, &key::artifact(tenant, id)).update(
            store,
            &key::object(tenant, artifact.sha256.bytes()),
            let_go(tenant, &artifact.sha256),
        );
        for list in artifact.lists() {
            delete = delete.delete(store, &key::listed_artifact(tenant, list, id));
        }
        // Refused: somebody else has deleted it, perhaps an earlier attempt of this.
        self.run(delete).await?.or(Ok(()))
    }

    /// Runs a transaction until there is a verdict on its conditions: artifacts of the same bytes count themselves in one
    /// row, and DynamoDB cancels what comes to it at the same time.
    async fn run(&self, transaction: Transaction) -> Result<Result<(), Reasons>, Error> {
        for attempt in 0..ATTEMPTS {
            match transaction.clone().run(&self.store).await {
                Ok(()) => return Ok(Ok(())),
                Err(cancelled) if cancelled.is_transient() => pause(attempt).await,
                Err(Cancelled::Reasons(reasons)) => {
                    let failed = |reason: &Reason| matches!(reason, Reason::Condition(_));
                    if reasons.iter().any(failed) {
                        return Ok(Err(reasons));
                    }
                    return Err(Error::Data(sequent_tables::Error::Refused(format!("{reasons:?}").into())));
                }
                Err(Cancelled::Failed(error)) => return Err(error.into()),
            }
        }
        Err(Error::Busy)
    }

    /// One artifact.
    ///
    /// # Errors
    /// [`Error::NotFound`], or when the table fails.
    pub async fn get(&self, tenant: TenantId, id: ArtifactId) -> Result<Artifact, Error> {
        self.store.get(&key::artifact(tenant, id)).await?.ok_or(Error::NotFound)
    }

    /// The artifact's bytes, if there are at most `most` of them.
    ///
    /// # Errors
    /// When there are more, or the bucket fails.
    pub async fn bytes(&self, tenant: TenantId, artifact: &Artifact, most: u64) -> Result<Bytes, Error> {
        self.bucket.get(tenant, &artifact.sha256, most).await?.ok_or(Error::NotFound)
    }

    /// A link under which the artifact's bytes can be saved, for some minutes.
    ///
    /// # Errors
    /// When there are no credentials to sign it with.
    pub async fn link(&self, tenant: TenantId, artifact: &Artifact) -> Result<Link, Error> {
        self.bucket.reading(tenant, artifact).await
    }

    /// A page of artifacts, newest first. With several filters it may be short, or empty, before the end of the list.
    ///
    /// # Errors
    /// [`Error::Cursor`], or when the table fails.
    pub async fn list(
        &self,
        tenant: TenantId,
        filter: Filter<'_>,
        (cursors, cursor): (&CursorKey, Option<&str>),
        limit: Option<u32>,
    ) -> Result<Page<Artifact>, Error> {
        // The list that is likely the shortest is read; what other filters drop is dropped here.
        let by = match filter {
            Filter { run: Some(run), .. } => Some(ListedBy::Run(run)),
            Filter { tag: Some(tag), .. } => Some(ListedBy::Tag(tag)),
            Filter { entity_type: Some(name), .. } => Some(ListedBy::EntityType(name)),
            Filter { .. } => None,
        };
        let partition = by.map_or_else(|| key::artifacts(tenant), |by| key::artifacts_by(tenant, by));
        let first = PageRequest::new(partition).limit(limit);
        let mut request = first.clone().cursor(cursors, cursor)?;
        let (wanted, mut found) = (limit.unwrap_or(PageRequest::DEFAULT_LIMIT) as usize, Vec::new());
        for read in 1.. {
            let room = u32::try_from(wanted - found.len()).unwrap_or(u32::MAX);
            let page = self.store.page::<Artifact>(&request.limit(Some(room))).await?;
            found.extend(page.items.iter().filter(|artifact| filter.takes(artifact)).cloned());
            let next = page.next_cursor(cursors);
            if next.is_none() || found.len() >= wanted || read >= READS {
                return Ok(page.with_items(found));
            }
            request = first.clone().cursor(cursors, next.as_deref())?;
        }
        unreachable!("the loop has no end of its own")
    }

    /// Every artifact of a run, oldest first, up to `most`.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn of_run(
        &self,
        tenant: TenantId,
        run: RunId,
        most: usize,
    ) -> Result<(Vec<Artifact>, bool), Error> {
        let mut found: Vec<Artifact> = Vec::new();
        // Only this process sees the cursors.
        let cursors = CursorKey::new(fastrand::u128(..).to_string().into());
        let mut cursor = None;
        loop {
            let partition = key::artifacts_by(tenant, ListedBy::Run(run));
            let request = PageRequest::new(partition).limit(Some(PageRequest::MAX_LIMIT)).oldest_first();
            let page = self.store.page::<Artifact>(&request.cursor(&cursors, cursor.as_deref())?).await?;
            cursor = page.next_cursor(&cursors);
            found.extend(page.items);
            if cursor.is_none() || found.len() >= most {
                let whole = cursor.is_none() && found.len() <= most;
                found.truncate(most);
                return Ok((found, whole));
            }
        }
    }
}

impl Filter<'_> {
    /// Whether its names can be those of artifacts.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        [self.entity_type, self.tag].into_iter().flatten().all(is_name)
    }

    fn takes(&self, artifact: &Artifact) -> bool {
        self.run.is_none_or(|run| artifact.run_id == Some(run))
            && self.entity_type.is_none_or(|name| artifact.entity_type == name)
            && self.tag.is_none_or(|tag| artifact.tags.iter().any(|of| of == tag))
    }
}

/// The id of what a call makes that may be made again: the same for the same `key`. It sorts where its run does.
#[must_use]
pub fn derived_id(run: RunId, key: &str) -> ArtifactId {
    let digest = Digest::of(key.as_bytes());
    let (head, _) = digest.bytes().split_first_chunk::<16>().expect("a digest has 32 bytes");
    let random = u128::from_be_bytes(*head) & ((1 << 80) - 1);
    ArtifactId::from_bits((run.bits() >> 80 << 80) | random)
}

/// Waits before the next attempt, longer each time, and never as long as others do (full jitter).
pub(crate) async fn pause(attempt: u32) {
    let most = Duration::from_millis(10).saturating_mul(1 << attempt.min(10)).min(LONGEST_PAUSE);
    tokio::time::sleep(most.mul_f64(fastrand::f64())).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_id_is_that_of_its_call_and_sorts_with_its_run() {
        let (run, later) = (RunId::from_bits(5 << 80 | 1), RunId::from_bits(6 << 80));
        let id = derived_id(run, "call 1");
        assert_eq!(id, derived_id(run, "call 1"));
        assert_ne!(id, derived_id(run, "call 2"));
        assert_eq!(id.created_at(), run.created_at());
        assert!(id < derived_id(later, "call 1"));
    }
}
