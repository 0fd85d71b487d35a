//! Artifacts of jobs: the bytes are stored during the job, the rows in the transaction that ends it.

use std::sync::Arc;

use bytes::Bytes;
use sequent_core::{ArtifactId, TenantId, Timestamp};
use sequent_jobs::{Done, LeftArtifact};
use sequent_tables::{Transaction, Write};

use crate::{
    Artifact, Artifacts, Content, Description, Error, Origin, artifact::new_row, artifacts::list_rows,
    object::refer_to,
};

impl Artifacts {
    /// Stores bytes. Returns the end of the job, which contains the rows of the artifact. If the job ends in
    /// another way, the collector deletes the bytes.
    ///
    /// # Errors
    /// [`Error::Description`], or an error of the table or the bucket.
    pub async fn leave(
        &self,
        tenant: TenantId,
        id: ArtifactId,
        description: Description,
        origin: Origin,
        bytes: Bytes,
    ) -> Result<Done, Error> {
        let description = description.checked()?;
        let content = Content::of(&bytes);
        let artifact = Artifact::new(id, description, origin, content, Timestamp::now());
        self.put(tenant, &artifact, bytes).await?;
        done(tenant, &artifact)
    }
}

fn done(tenant: TenantId, artifact: &Artifact) -> Result<Done, Error> {
    let row = new_row(tenant, artifact)?;
    let rows = list_rows(tenant, artifact)?;
    let reference = refer_to(tenant, &artifact.sha256);
    let writes = move |writes: Transaction| {
        let writes = writes.write(reference.clone());
        rows.iter().fold(writes, |writes, row| writes.write(Write::put(row.clone())))
    };
    Ok(Done {
        result: artifact.id.to_string(),
        artifacts: vec![LeftArtifact { artifact: artifact.event(), row }],
        writes: Some(Arc::new(writes)),
        ..Done::default()
    })
}
