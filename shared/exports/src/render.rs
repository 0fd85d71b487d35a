//! `render_export`: a file of a document, a run or a conversation, as an artifact.

mod project;
mod run;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use sequent_artifacts::{Artifacts, Description, Error as ArtifactError, Export, Origin, Source};
use sequent_core::{ArtifactId, TenantId};
use sequent_documents::{Document, limits};
use sequent_jobs::{Context, Done, Failed, JobKind, Queue, RetryPolicy};

use crate::{Error, export};

/// Most bytes of a document that is read: those of the largest there is.
const LARGEST: u64 = limits::WEBSITE_BYTES as u64;

/// Renders exports of what is in these artifacts.
#[derive(Debug, Clone)]
pub struct RenderExport(pub Artifacts);

/// A file.
struct File {
    title: String,
    bytes: Vec<u8>,
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
        let (tenant, format) = (context.tenant, input.format);
        context.progress.report(5, "Reading what there is to export.");
        let file = match input.source {
            Source::Artifact(id) => {
                let document = self.document(tenant, id).await?;
                context.progress.report(20, "Setting the pages.");
                let title = document.title().to_owned();
                File { title, bytes: computed(move || export(&document, format)).await? }
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
        // The same id whichever attempt ends the job.
        let id = ArtifactId::from_bits(context.job.bits());
        self.0.leave(tenant, id, description, origin, Bytes::from(file.bytes)).await.map_err(failed)
    }
}

impl RenderExport {
    async fn document(&self, tenant: TenantId, id: ArtifactId) -> Result<Document, Failed> {
        let artifact = self.0.get(tenant, id).await.map_err(failed)?;
        if artifact.size > LARGEST {
            return Err(Failed::Poison(format!("A document has at most {LARGEST} bytes.")));
        }
        let bytes = self.0.bytes(tenant, &artifact, LARGEST).await.map_err(failed)?;
        Document::parse(&bytes).map_err(|why| Failed::Poison(format!("The artifact is no document: {why}")))
    }
}

/// What a thread that may block comes to. It goes on when the job is given up; the limits of documents bound it.
async fn computed<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Failed> {
    let ended = tokio::task::spawn_blocking(work).await.map_err(Failed::retry)?;
    // The same document fails in the same way.
    ended.map_err(|error| Failed::Poison(error.to_string()))
}

fn failed(error: ArtifactError) -> Failed {
    match error {
        ArtifactError::NotFound => Failed::Poison("The artifact is gone.".to_owned()),
        ArtifactError::Description(invalid) => Failed::Poison(invalid.to_string()),
        error => Failed::retry(error),
    }
}

/// A title that an artifact can have.
fn one_line(title: &str) -> String {
    let clean = title.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect::<String>();
    if clean.trim().is_empty() { "Export".to_owned() } else { clean }
}

/// A run's events.
type Events = Arc<[sequent_event::Event]>;
