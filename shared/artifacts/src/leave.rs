//! Artifacts that jobs leave: their bytes are stored first, their rows with the end of the job.

use std::sync::Arc;

use bytes::Bytes;
use sequent_core::{ArtifactId, TenantId, Timestamp};
use sequent_jobs::{Done, Left};
use sequent_tables::{Row, Transaction, key};

use crate::{
    Artifact, Artifacts, Description, Digest, Error, Origin,
    artifacts::{ATTEMPTS, pause},
    object::{Standing, referred_to, want},
};

impl Artifacts {
    /// Stores bytes, and gives what a job's end has to store for them to be an artifact. If the job does not end so, the
    /// collector finds bytes that nothing refers to.
    ///
    /// # Errors
    /// When the description cannot be taken, or the table or the bucket fails.
    pub async fn leave(
        &self,
        tenant: TenantId,
        id: ArtifactId,
        description: Description,
        origin: Origin,
        bytes: Bytes,
    ) -> Result<Done, Error> {
        let description = description.checked()?;
        let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
        let artifact = Artifact::new(id, description, origin, (digest, size), Timestamp::now());
        for attempt in 0..ATTEMPTS {
            let Some(object) = want(&self.store, tenant, (&digest, size)).await? else {
                pause(attempt).await; // until the collector is done with it
                continue;
            };
            if object.standing != Standing::Stored {
                self.bucket.put(tenant, &digest, &artifact.media_type, bytes).await?;
            }
            return self.left(tenant, &artifact);
        }
        Err(Error::Busy)
    }

    fn left(&self, tenant: TenantId, artifact: &Artifact) -> Result<Done, Error> {
        let row = Row::new(&key::artifact(tenant, artifact.id), artifact)?;
        let lists = artifact.lists().map(|list| key::listed_artifact(tenant, list, artifact.id));
        let rows: Vec<Row> = lists.map(|place| Row::new(&place, artifact)).collect::<Result<_, _>>()?;
        let (store, object) = (self.store.clone(), key::object(tenant, artifact.sha256.bytes()));
        let writes = move |writes: Transaction| {
            let writes = writes.update(&store, &object, referred_to());
            rows.iter().fold(writes, |writes, row| writes.put(&store, row.clone()))
        };
        Ok(Done {
            result: artifact.id.to_string(),
            artifacts: vec![Left { artifact: artifact.event(), row }],
            writes: Some(Arc::new(writes)),
            ..Done::default()
        })
    }
}
