//! Reading the files of a run's requests, each once.

use std::collections::HashMap;

use bytes::Bytes;
use encoding_rs::UTF_8;
use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};
use sequent_artifacts::Artifacts;
use sequent_core::{ArtifactId, TenantId};
use sequent_model::{FileBytes, FileType};

use crate::{
    MAX_FILE_BYTES, docx,
    kind::FileKind,
    pdf::{self, PdfText},
    picture,
};

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

/// A file that was read, in the forms in which models can be shown it.
#[derive(Debug, Clone)]
pub(crate) enum ReadFile {
    Image(FileBytes),
    /// A PDF, and its text for models that cannot be shown it. It is not shown if it has too many pages.
    Pdf {
        shown: Option<FileBytes>,
        text: String,
    },
    Text(String),
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
        let reading = tokio::task::spawn_blocking(move || read_bytes(bytes, declared));
        Ok(reading.await.unwrap_or_else(|error| {
            tracing::error!(%id, %error, "could not read an attached file; the model is told that it is damaged");
            ReadFile::Unreadable(DAMAGED)
        }))
    }
}

/// Reads a file. This takes up to some seconds.
fn read_bytes(bytes: Bytes, declared: Option<FileKind>) -> ReadFile {
    let Some(kind) = FileKind::of_bytes(&bytes, declared) else { return ReadFile::Unreadable(DAMAGED) };
    let read = match kind {
        FileKind::Shown(FileType::Pdf) => read_pdf(bytes),
        FileKind::Shown(image) => picture::fit(image, &bytes).map(ReadFile::Image),
        FileKind::Docx => docx::text(bytes, MAX_TEXT).map(ReadFile::Text),
        FileKind::Html => Some(ReadFile::Text(sequent_tool::text_of_html(&decoded(&bytes)))),
        FileKind::Text => Some(ReadFile::Text(decoded(&bytes))),
    };
    read.unwrap_or(ReadFile::Unreadable(DAMAGED))
}

fn read_pdf(bytes: Bytes) -> Option<ReadFile> {
    let PdfText { pages, text } = pdf::read(&bytes, MAX_TEXT)?;
    let shown = (pages <= MAX_PAGES && bytes.len() <= MAX_PDF_BYTES).then(|| {
        let tokens = u64::try_from(pages).unwrap_or(u64::MAX).saturating_mul(PAGE_TOKENS);
        FileBytes::new(FileType::Pdf, bytes).with_tokens(tokens)
    });
    Some(ReadFile::Pdf { shown, text })
}

/// Decodes UTF-8, and UTF-16 with a byte order mark, up to the bytes of a text that a model is shown.
fn decoded(bytes: &[u8]) -> String {
    // Two bytes of UTF-16 are at most three of UTF-8, and the text of HTML is shorter than its source.
    let beginning = &bytes[..bytes.len().min(4 * MAX_TEXT)];
    UTF_8.decode(beginning).0.into_owned()
}

/// Bytes of the text of one file that a model is shown at most.
pub(crate) const MAX_TEXT: usize = 200_000;
/// Bytes of a PDF that is sent as it is: 4.5 MB (Amazon Bedrock, "Message").
const MAX_PDF_BYTES: usize = 4_500_000;
/// Pages of a PDF that is sent as it is: 100 (Anthropic, "PDF support").
const MAX_PAGES: usize = 100;
/// The tokens of a page, as an estimate: 1,500 to 3,000 for its text, and those of its image (Anthropic, "PDF support").
const PAGE_TOKENS: u64 = 3_000;
const DELETED: &str = "The file was deleted, so it cannot be shown.";
const TOO_LARGE: &str = "The file is too large to be shown.";
const DAMAGED: &str =
    "The file is damaged, encrypted, too large or of another type than it claims, so it cannot be shown.";
