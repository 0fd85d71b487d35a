//! Deleting artifacts with the entities that were found in them, and files that were exported from them.

use sequent_core::{ArtifactId, RunId};
use sequent_tables::key::{self, ListedBy};

use crate::{Error, conversation::Eraser};

/// Artifacts that are read at once.
const PAGE: usize = 100;

impl Eraser {
    pub(crate) async fn erase_artifacts(&self, run: RunId) -> Result<(), Error> {
        loop {
            let page = self.artifacts.of_run(self.tenant, run, PAGE).await?;
            if page.items.is_empty() {
                return Ok(());
            }
            for artifact in page.items {
                self.erase_artifact(artifact.id).await?;
                // The list's row is deleted with the artifact, or by an earlier attempt if it was left alone.
                self.store()
                    .delete(&key::listed_artifact(self.tenant, ListedBy::Run(run), artifact.id))
                    .await?;
            }
        }
    }

    pub(crate) async fn erase_artifact(&self, id: ArtifactId) -> Result<(), Error> {
        // The exports of artifacts that belong to no run, such as exported files.
        Box::pin(self.erase_exports(&id.to_string())).await?;
        match self.artifacts.delete(self.tenant, id).await {
            // Its bytes are deleted by the collector, unless another conversation has the same.
            Ok(()) | Err(sequent_artifacts::Error::NotFound) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
