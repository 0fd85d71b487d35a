//! `render_export`: the job that renders a document, a run or a project and stores the file as an artifact.

mod project;
mod run;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use sequent_artifacts::{Artifacts, Description, Error as ArtifactError, Export, Origin, Source};
use sequent_core::{ArtifactId, TenantId};
use sequent_documents::{Document, limits};
use sequent_jobs::{Context, Done, Failed, JobKind, Queue, RetryPolicy};

use crate::{Error, Exported, export};

/// Limit of the size of a document that is read: that of the largest type.
const LARGEST: u64 = limits::WEBSITE_BYTES as u64;

/// The job kind. It reads from and writes to these artifacts.
#[derive(Debug, Clone)]
pub struct RenderExport(pub Artifacts);

struct File {
    title: String,
    bytes: Vec<u8>,
    warnings: Vec<String>,
}

impl JobKind for RenderExport {
    const TYPE: &'static str = Export::TYPE;
    const TIMEOUT: Duration = Duration::from_secs(300);
    const RETRY: RetryPolicy = RetryPolicy { attempts: 3, ..RetryPolicy::DEFAULT };
    const QUEUE: Queue = Queue::Exports;
    type Input = Export;

    fn key(input: &Export) -> Option<String> {
        Some(input.key())
    }

    async fn run(&self, input: Export, context: Context) -> Result<Done, Failed> {
        let tenant = context.tenant;
        let format = input.format;
        context.progress.report(5, "Reading the source.");
        let file = match input.source {
            Source::Artifact(id) => {
                let document = self.document(tenant, id).await?;
                context.progress.report(20, "Rendering the document.");
                let title = document.title().to_owned();
                let Exported { bytes, warnings } = computed(move || export(&document, format)).await?;
                File { title, bytes, warnings }
            }
            Source::Run(id) => run::file(&context, id, format).await?,
            Source::Project(id) => project::file(&self.0, &context, id).await?,
        };
        context.progress.report(90, "Storing the file.");
        let description = Description {
            title: one_line(&file.title),
            entity_type: "export".to_owned(),
            tags: vec![format.name().to_owned()],
            media_type: format.media_type().to_owned(),
        };
        let origin = Origin { run: context.run, job: Some(context.job), ..Origin::default() };
        // Derived from the job, so every attempt stores the same artifact.
        let id = ArtifactId::from_bits(context.job.bits());
        let done = self.0.leave(tenant, id, description, origin, Bytes::from(file.bytes)).await;
        Ok(Done { warnings: file.warnings, ..done.map_err(failed)? })
    }
}

impl RenderExport {
    async fn document(&self, tenant: TenantId, id: ArtifactId) -> Result<Document, Failed> {
        let artifact = self.0.get(tenant, id).await.map_err(failed)?;
        if artifact.size > LARGEST {
            return Err(Failed::Poison(format!(
                "The document is too large: it may have at most {LARGEST} bytes."
            )));
        }
        let bytes = self.0.bytes(tenant, &artifact, LARGEST).await.map_err(failed)?;
        Document::parse(&bytes)
            .map_err(|error| Failed::Poison(format!("The artifact is not a valid document: {error}")))
    }
}

/// Runs `work` on a thread that may block. The work continues if the job is abandoned; the limits of
/// documents bound it.
async fn computed<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Failed> {
    let ended = tokio::task::spawn_blocking(work).await.map_err(Failed::retry)?;
    // Rendering is deterministic, so a retry would fail in the same way.
    ended.map_err(|error| Failed::Poison(error.to_string()))
}

fn failed(error: ArtifactError) -> Failed {
    match error {
        ArtifactError::NotFound => Failed::Poison("The artifact does not exist any more.".to_owned()),
        ArtifactError::Description(invalid) => Failed::Poison(invalid.to_string()),
        error => Failed::retry(error),
    }
}

/// Turns the title into one that an artifact may have: one line of at most 200 characters.
fn one_line(title: &str) -> String {
    let clean = title.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect::<String>();
    if clean.trim().is_empty() { "Export".to_owned() } else { clean }
}

type RunEvents = Arc<[sequent_event::Event]>;
