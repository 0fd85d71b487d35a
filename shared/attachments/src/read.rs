//! Reading the files of a run's requests, each once.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};
use sequent_artifacts::Artifacts;
use sequent_core::{ArtifactId, TenantId};
use sequent_model::{FileBytes, FileType};
use tokio::time::Instant;

use crate::{
    Extractor, MAX_FILE_BYTES,
    extract::{Extracted, FileText},
    kind::FileKind,
    pdf::PdfText,
    show::MAX_SHOWN,
};

/// Files that are read at the same time: one waits while the other one is extracted. Each is in memory.
const PARALLEL_READS: usize = 2;
/// Time for the files of one request. The run does not go on meanwhile.
const MAX_TIME: Duration = Duration::from_secs(60);

/// The files of one run's requests. A run asks its model many times, and each file is read once.
#[derive(Debug)]
pub struct Files {
    artifacts: Artifacts,
    tenant: TenantId,
    extractor: Extractor,
    read: HashMap<String, ReadFile>,
    /// Files that are sent as they are at most.
    pub(crate) most_shown: usize,
}

/// The files cannot be read at the moment.
#[derive(Debug, thiserror::Error)]
#[error("an attached file could not be read")]
pub struct Unavailable(#[source] sequent_artifacts::Error);

/// A file that was read, in the forms in which models can be shown it.
#[derive(Debug, Clone)]
pub(crate) enum ReadFile {
    Image(FileBytes),
    /// A PDF, and its text for models that cannot be shown it. It is not shown if it has too many pages.
    Pdf {
        shown: Option<FileBytes>,
        pages: usize,
        text: FileText,
    },
    Text(FileText),
    /// There is nothing to show, for this reason.
    Unreadable(String),
}

impl Files {
    /// Files of the tenant of a run, which comes from the key of the run's log.
    #[must_use]
    pub fn new(artifacts: Artifacts, tenant: TenantId, extractor: Extractor) -> Self {
        Self { artifacts, tenant, extractor, read: HashMap::new(), most_shown: MAX_SHOWN }
    }

    /// Reads the files with these ids, and forgets all others.
    pub(crate) async fn read(&mut self, ids: &[String]) -> Result<(), Unavailable> {
        self.read.retain(|id, _| ids.contains(id));
        let missing = ids.iter().filter(|id| !self.read.contains_key(*id));
        let deadline = Instant::now() + MAX_TIME;
        let reads: Vec<BoxFuture<'_, _>> = missing.map(|id| self.read_one(id, deadline).boxed()).collect();
        let read: Vec<(String, ReadFile)> =
            stream::iter(reads).buffer_unordered(PARALLEL_READS).try_collect().await?;
        self.read.extend(read);
        Ok(())
    }

    pub(crate) fn get(&self, id: &str) -> Option<&ReadFile> {
        self.read.get(id)
    }

    async fn read_one(&self, id: &str, deadline: Instant) -> Result<(String, ReadFile), Unavailable> {
        Ok((id.to_owned(), self.file(id, deadline).await?))
    }

    async fn file(&self, id: &str, deadline: Instant) -> Result<ReadFile, Unavailable> {
        use sequent_artifacts::Error;

        let Ok(id) = id.parse::<ArtifactId>() else { return Ok(ReadFile::unreadable(DELETED)) };
        let artifact = match self.artifacts.get(self.tenant, id).await {
            Ok(artifact) => artifact,
            Err(Error::NotFound) => return Ok(ReadFile::unreadable(DELETED)),
            Err(error) => return Err(Unavailable(error)),
        };
        let bytes = match self.artifacts.bytes(self.tenant, &artifact, MAX_FILE_BYTES).await {
            Ok(bytes) => bytes,
            Err(Error::NotFound) => return Ok(ReadFile::unreadable(DELETED)),
            Err(Error::Mismatch(_)) => return Ok(ReadFile::unreadable(TOO_LARGE)),
            Err(error) => return Err(Unavailable(error)),
        };
        let declared = FileKind::of_media_type(&artifact.media_type);
        let Some(kind) = FileKind::of_bytes(&bytes, declared) else {
            return Ok(ReadFile::unreadable(ANOTHER_TYPE));
        };
        Ok(match self.extractor.extract(kind, bytes.clone(), deadline).await {
            Ok(extracted) => ReadFile::of(extracted, bytes),
            Err(error) => ReadFile::unreadable(&format!("The file cannot be read: {error}.")),
        })
    }
}

impl ReadFile {
    fn unreadable(reason: &str) -> Self {
        Self::Unreadable(reason.to_owned())
    }

    /// The content of a file with these bytes.
    fn of(extracted: Extracted, bytes: Bytes) -> Self {
        match extracted {
            Extracted::Image(image) => Self::Image(image),
            Extracted::Text(text) => Self::Text(text),
            Extracted::Pdf(PdfText { pages, text }) => {
                let shown = (pages <= MAX_PAGES && bytes.len() <= MAX_PDF_BYTES).then(|| {
                    let tokens = u64::try_from(pages).unwrap_or(u64::MAX).saturating_mul(PAGE_TOKENS);
                    FileBytes::new(FileType::Pdf, bytes).with_tokens(tokens)
                });
                Self::Pdf { shown, pages, text }
            }
        }
    }
}

/// Bytes of a PDF that is sent as it is: 4.5 MB (Amazon Bedrock, "Message").
const MAX_PDF_BYTES: usize = 4_500_000;
/// Pages of the PDFs that are sent as they are: 100 in a request (Anthropic, "PDF support").
pub(crate) const MAX_PAGES: usize = 100;
/// The tokens of a page, as an estimate: 1,500 to 3,000 for its text, and those of its image (Anthropic, "PDF support").
const PAGE_TOKENS: u64 = 3_000;
const DELETED: &str = "The file was deleted, so it cannot be shown.";
const TOO_LARGE: &str = "The file is too large to be shown.";
const ANOTHER_TYPE: &str = "The file cannot be read: its bytes are of another type than it claims.";
