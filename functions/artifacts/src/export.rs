//! Creating exports of documents, runs and conversations.

use axum::{extract::State, response::IntoResponse};
use http::{StatusCode, header::LOCATION};
use sequent_artifacts::{Digest, Export, Source};
use sequent_conversation::{Projects, Runs};
use sequent_core::{ArtifactId, Principal, ProjectId, RunId, Timestamp};
use sequent_documents::Format;
use sequent_http::{Caller, Json, Problem, Scope, openapi::Problems};
use sequent_jobs::{Enqueued, Job, JobFailure, JobStatus, enqueue_within};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::App;

/// Most exports of a tenant that are in progress: fewer than are rendered at the same time, so that one tenant does not
/// occupy every worker.
const MOST_LIVE: u32 = 4;
/// Most repetitions of an export whose file was deleted or could not be made.
const MOST_REPETITIONS: u32 = 10;

/// The source of the file, exactly one of the three ids, and its format.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewExport {
    /// A document that is stored as an artifact: a report, slides or a website.
    #[serde(default)]
    artifact_id: Option<ArtifactId>,
    /// A run: its events, or a transcript.
    #[serde(default)]
    run_id: Option<RunId>,
    /// A conversation, with its runs and their artifacts.
    #[serde(default)]
    project_id: Option<ProjectId>,
    /// `pdf` and `html` of reports and slides, `markdown` of reports, `zip` of websites, `json` of all
    /// documents; `jsonl`, `html` and `markdown` of runs; `zip` of conversations.
    #[schema(value_type = String, pattern = "^(pdf|html|markdown|zip|json|jsonl)$", example = "pdf")]
    format: Format,
}

/// Export a document, a run or a conversation to a file.
///
/// A job makes the file in the background. The job shows the progress and, when it has succeeded, the
/// artifact that contains the file. Equal content in the same format is exported once: a repeated request
/// returns the job of the first one, so it is safe to repeat. At most four exports of a tenant are in progress
/// (`too_many_jobs`). Beside `artifacts:write`, an API key needs the scopes that
/// read the source: `artifacts:read` for a document, `runs:read` for a run, `projects:read` and `runs:read` for a
/// conversation.
#[utoipa::path(
    post,
    path = "/api/exports",
    operation_id = "create_export",
    tag = "artifacts",
    request_body = NewExport,
    responses(
        (status = 202, description = "The job.", body = Job, headers(("Location" = String, description = "The path of the job."))),
        (status = 404, description = "The tenant has no such artifact, run or project."),
        (status = 422, description = "The source cannot be exported to the format."),
        Problems
    ),
)]
pub(crate) async fn create_export(
    State(app): State<App>,
    Caller(caller): Caller,
    Json(new): Json<NewExport>,
) -> Result<impl IntoResponse, Problem> {
    let source = new.source()?;
    scopes_to_read(source).iter().try_for_each(|scope| caller.require(*scope))?;
    if !source.formats().contains(&new.format) {
        let names: Vec<&str> = source.formats().iter().map(|format| format.name()).collect();
        let rule = format!("must be one of: {}", names.join(", "));
        return Err(Problem::invalid("The source cannot be exported to this format.").at("/format", rule));
    }
    let SourceState { version, run } = state_of(&app, &caller, source).await?;
    let export = Export { source, version, format: new.format, again: 0 };
    let job = enqueue_export(&app, &caller, export, run).await?;
    let location = [(LOCATION, format!("/api/jobs/{}", job.id))];
    Ok((StatusCode::ACCEPTED, location, Json(job)))
}

/// The scopes that read the source. The file contains all of it.
const fn scopes_to_read(source: Source) -> &'static [Scope] {
    match source {
        Source::Artifact(_) => &[Scope::ArtifactsRead],
        Source::Run(_) => &[Scope::RunsRead],
        Source::Project(_) => &[Scope::ProjectsRead, Scope::RunsRead],
    }
}

/// The state of a source at the time of the request.
struct SourceState {
    /// Changes with the content.
    version: Digest,
    /// The run of a document.
    run: Option<RunId>,
}

impl NewExport {
    fn source(&self) -> Result<Source, Problem> {
        match (self.artifact_id, self.run_id, self.project_id) {
            (Some(id), None, None) => Ok(Source::Artifact(id)),
            (None, Some(id), None) => Ok(Source::Run(id)),
            (None, None, Some(id)) => Ok(Source::Project(id)),
            _ => {
                let problem =
                    Problem::invalid("Send exactly one of `artifact_id`, `run_id` and `project_id`.");
                Err(problem.at("/artifact_id", "must be sent if and only if no other id is"))
            }
        }
    }
}

/// Enqueues the job of the export, or returns the job of an equal export if that is still usable. `run` is the
/// run of the document.
async fn enqueue_export(
    app: &App,
    caller: &Principal,
    mut export: Export,
    run: Option<RunId>,
) -> Result<Job, Problem> {
    loop {
        let new = export.job(caller.tenant, run);
        let subject = export.source_exists(caller.tenant, run);
        match enqueue_within(&app.store, &new, MOST_LIVE, subject, Timestamp::now()).await? {
            Enqueued::New(job) => return Ok(job),
            Enqueued::Existing(job) => {
                if export.again >= MOST_REPETITIONS || is_usable(app, caller, &job).await? {
                    return Ok(job);
                }
                export.again += 1;
            }
        }
    }
}

/// Checks that the tenant has the source, and returns its state.
async fn state_of(app: &App, caller: &Principal, source: Source) -> Result<SourceState, Problem> {
    let now = Timestamp::now();
    let content = match source {
        Source::Artifact(id) => {
            let artifact = app.artifacts.get(caller.tenant, id).await?;
            return Ok(SourceState { version: artifact.sha256, run: artifact.run_id });
        }
        Source::Run(id) => {
            let run = Runs::new(&app.store, caller.tenant).get_for_caller(id).await?;
            // The row of a run that has ended does not change. The row of a live run does not change with its
            // log.
            let asked_at = run.completed_at.is_none().then_some(now);
            serde_json::to_vec(&(&run, asked_at))
        }
        Source::Project(id) => {
            let project = Projects::new(&app.store, caller.tenant).get(id).await?;
            // The row of a project does not change with its runs.
            serde_json::to_vec(&(project, now))
        }
    };
    let content = content.map_err(Problem::internal)?;
    Ok(SourceState { version: Digest::of(&content), run: None })
}

/// Returns `true` if a new job would not give another result: the job is in progress, its file exists, or it
/// failed for a reason that a repetition does not change.
async fn is_usable(app: &App, caller: &Principal, job: &Job) -> Result<bool, Problem> {
    match job.status {
        JobStatus::Pending | JobStatus::Running => Ok(true),
        JobStatus::Error => Ok(job.error.as_ref().is_some_and(JobFailure::is_poison)),
        JobStatus::Success => {
            let Some(file) = job.artifacts.first() else { return Ok(false) };
            match app.artifacts.get(caller.tenant, *file).await {
                Ok(_) => Ok(true),
                Err(sequent_artifacts::Error::NotFound) => Ok(false),
                Err(error) => Err(error.into()),
            }
        }
    }
}
