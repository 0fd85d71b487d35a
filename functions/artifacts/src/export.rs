//! Asking for files.

use axum::{extract::State, response::IntoResponse};
use http::{HeaderValue, StatusCode, header};
use sequent_artifacts::{Digest, Export, Source};
use sequent_conversation::{Error as RunError, Runs};
use sequent_conversation::{Projects, projects::Error as ProjectError};
use sequent_core::{ArtifactId, ProjectId, RunId, Timestamp};
use sequent_documents::Format;
use sequent_http::{Caller, Json, Principal, Problem, Scope, openapi::Problems};
use sequent_jobs::{Enqueued, Failure, Job, Status, enqueue};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{Kept, problem};

/// How often a file that was made and deleted, or could not be made, is made anew.
const MOST: u32 = 10;

/// What to make a file of, one of the three, and in which format.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewExport {
    /// A document that is kept as an artifact: a report, slides or a website.
    #[serde(default)]
    artifact_id: Option<ArtifactId>,
    /// A run: its events, or a transcript.
    #[serde(default)]
    run_id: Option<RunId>,
    /// A conversation, with its runs and what they made.
    #[serde(default)]
    project_id: Option<ProjectId>,
    /// `pdf` and `html` of reports and slides, `markdown` of reports, `zip` of websites, `json` of all documents; `jsonl`,
    /// `html` and `markdown` of runs; `zip` of conversations.
    #[schema(value_type = String, example = "pdf")]
    format: Format,
}

/// Make a file of a document, a run or a conversation.
///
/// The file is made in the background: the job says how far that is, and at its end which artifact the file is. The same
/// content in the same format is made once; a request for it then gives the job that has ended. Equal requests are
/// therefore safe to repeat.
#[utoipa::path(
    post,
    path = "/api/exports",
    operation_id = "create_export",
    tag = "artifacts",
    request_body = NewExport,
    responses(
        (status = 202, description = "The job.", body = Job, headers(("Location" = String, description = "Where to look at it."))),
        (status = 404, description = "The tenant has no such artifact, run or project."),
        Problems
    ),
)]
pub(crate) async fn create(
    State(kept): State<Kept>,
    Caller(caller): Caller,
    Json(new): Json<NewExport>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::ArtifactsWrite)?;
    let source = source(&new)?;
    if !source.formats().contains(&new.format) {
        let names: Vec<&str> = source.formats().iter().map(|format| format.name()).collect();
        let why = format!("Of this there is {}.", names.join(", "));
        return Err(Problem::invalid("There is no such format of this.").at("/format", why));
    }
    let version = version(&kept, &caller, source).await?;
    let mut export = Export { source, version, format: new.format, again: 0 };
    let job = loop {
        let job = export.job(caller.tenant);
        let enqueued = enqueue(&kept.store, &job, Timestamp::now()).await.map_err(Problem::unavailable)?;
        match enqueued {
            Enqueued::New(job) => break job,
            Enqueued::Existing(job) if export.again >= MOST || stands(&kept, &caller, &job).await? => {
                break job;
            }
            Enqueued::Existing(_) => export.again += 1,
        }
    };
    let location = HeaderValue::from_str(&format!("/api/jobs/{}", job.id)).map_err(Problem::internal)?;
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(job)))
}

fn source(new: &NewExport) -> Result<Source, Problem> {
    match (new.artifact_id, new.run_id, new.project_id) {
        (Some(id), None, None) => Ok(Source::Artifact(id)),
        (None, Some(id), None) => Ok(Source::Run(id)),
        (None, None, Some(id)) => Ok(Source::Project(id)),
        _ => Err(Problem::invalid("Give one of `artifact_id`, `run_id` and `project_id`.")),
    }
}

/// What tells the content of the source now from what it was or will be, once the source was found to be the tenant's.
async fn version(kept: &Kept, caller: &Principal, source: Source) -> Result<Digest, Problem> {
    let now = Timestamp::now();
    let told = match source {
        Source::Artifact(id) => {
            return Ok(kept.artifacts.get(caller.tenant, id).await.map_err(problem)?.sha256);
        }
        Source::Run(id) => match Runs::new(&kept.store, caller.tenant).get(id).await {
            // The row of a run that has ended stays as it is; that of one at work says little of its log.
            Ok(run) => serde_json::to_vec(&(&run, run.completed_at.is_none().then_some(now))),
            Err(RunError::NotFound) => return Err(Problem::not_found("There is no such run.")),
            Err(RunError::Data(error)) => return Err(error.into()),
            Err(error) => return Err(Problem::unavailable(error)),
        },
        Source::Project(id) => match Projects::new(&kept.store, caller.tenant).get(id).await {
            // Its runs go on, and nothing of the project's own tells.
            Ok(project) => serde_json::to_vec(&(project, now)),
            Err(ProjectError::NotFound) => return Err(Problem::not_found("There is no such project.")),
            Err(ProjectError::Data(error)) => return Err(error.into()),
            Err(error) => return Err(Problem::unavailable(error)),
        },
    };
    told.map(|text| Digest::of(&text)).map_err(Problem::internal)
}

/// Whether a job is as good as a new one: at work, done with its file still there, or doomed for what it is given.
async fn stands(kept: &Kept, caller: &Principal, job: &Job) -> Result<bool, Problem> {
    match job.status {
        Status::Pending | Status::Running => Ok(true),
        Status::Error => Ok(job.error.as_ref().is_some_and(Failure::is_poison)),
        Status::Success => {
            let Some(file) = job.artifacts.first() else { return Ok(false) };
            match kept.artifacts.get(caller.tenant, *file).await {
                Ok(_) => Ok(true),
                Err(sequent_artifacts::Error::NotFound) => Ok(false),
                Err(error) => Err(problem(error)),
            }
        }
    }
}
