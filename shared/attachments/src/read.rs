//! Reading the files of a run's requests, each once.

use std::collections::HashMap;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};
use sequent_artifacts::Artifacts;
use sequent_core::{ArtifactId, TenantId};

use crate::{MAX_FILE_BYTES, kind::FileKind};

/// Files that are read at the same time.
const PARALLEL_READS: usize = 4;

/// The files of one run's requests. A run asks its model many times, and each file is read once.
#[derive(Debug)]
pub struct Files {
    artifacts: Artifacts,
    tenant: TenantId,
    read: HashMap<String, ReadFile>,
}

/// The files cannot be read at the moment.
#[derive(Debug, thiserror::Error)]
#[error("an attached file could not be read")]
pub struct Unavailable(#[source] sequent_artifacts::Error);

/// A file that was read.
#[derive(Debug, Clone)]
pub(crate) enum ReadFile {
    Known {
        kind: FileKind,
        bytes: Bytes,
    },
    /// There is nothing to show, for this reason.
    Unreadable(&'static str),
}

impl Files {
    /// Files of the tenant of a run, which comes from the key of the run's log.
    #[must_use]
    pub fn new(artifacts: Artifacts, tenant: TenantId) -> Self {
        Self { artifacts, tenant, read: HashMap::new() }
    }

    /// Reads the files with these ids, and forgets all others.
    pub(crate) async fn read(&mut self, ids: &[String]) -> Result<(), Unavailable> {
        self.read.retain(|id, _| ids.contains(id));
        let missing = ids.iter().filter(|id| !self.read.contains_key(*id));
        let reads: Vec<BoxFuture<'_, _>> = missing.map(|id| self.read_one(id).boxed()).collect();
        let read: Vec<(String, ReadFile)> =
            stream::iter(reads).buffer_unordered(PARALLEL_READS).try_collect().await?;
        self.read.extend(read);
        Ok(())
    }

    pub(crate) fn get(&self, id: &str) -> Option<&ReadFile> {
        self.read.get(id)
    }

    async fn read_one(&self, id: &str) -> Result<(String, ReadFile), Unavailable> {
        Ok((id.to_owned(), self.file(id).await?))
    }

    async fn file(&self, id: &str) -> Result<ReadFile, Unavailable> {
        use sequent_artifacts::Error;

        let Ok(id) = id.parse::<ArtifactId>() else { return Ok(ReadFile::Unreadable(DELETED)) };
        let artifact = match self.artifacts.get(self.tenant, id).await {
            Ok(artifact) => artifact,
            Err(Error::NotFound) => return Ok(ReadFile::Unreadable(DELETED)),
            Err(error) => return Err(Unavailable(error)),
        };
        let bytes = match self.artifacts.bytes(self.tenant, &artifact, MAX_FILE_BYTES).await {
            Ok(bytes) => bytes,
            Err(Error::NotFound) => return Ok(ReadFile::Unreadable(DELETED)),
            Err(Error::Mismatch(_)) => return Ok(ReadFile::Unreadable(TOO_LARGE)),
            Err(error) => return Err(Unavailable(error)),
        };
        let declared = FileKind::of_media_type(&artifact.media_type);
        let kind = FileKind::of_bytes(&bytes, declared);
        Ok(kind.map_or(ReadFile::Unreadable(DAMAGED), |kind| ReadFile::Known { kind, bytes }))
    }
}

const DELETED: &str = "The file was deleted, so it cannot be shown.";
const TOO_LARGE: &str = "The file is too large to be shown.";
const DAMAGED: &str = "The bytes of the file are not of its type, so it cannot be shown.";
