//! Decides what a run that has to deliver a document does between its answer and its end.

use sequent_artifacts::{Digest, Export, Source};
use sequent_core::{JobId, RunId};
use sequent_deliverables::{
    BindCitations, CitationsInput, CompanionInput, EntitiesInput, ExtractEntities, GenerateCompanionReport,
    tool_name,
};
use sequent_documents::{DocumentKind, Format};
use sequent_event::{Artifact, Budget, Job, JobStatus, State, TranscriptEntry};
use sequent_jobs::{JobKind, Queue};
use sequent_tables::derived_id;
use serde::Serialize;

use super::{Next, Purpose};
use crate::{allowance, jobs::JobRequest};

/// Responses in which a model may fail to deliver before the run ends.
const MAX_FAILURES: usize = 6;
/// Characters of the first message that are part of a job's input.
const MAX_TASK: usize = 8_000;

/// Decides what is left: to answer for this `purpose`, to write the document, or to carry out what follows
/// it.
pub(super) fn next(state: &State, kind: DocumentKind, purpose: Purpose, has_answered: bool) -> Next {
    let Some(document) = delivered(state, kind) else {
        return if failures(state, kind) >= MAX_FAILURES {
            let message =
                format!("The model did not write a valid {kind}. Try again, or choose another model.");
            Next::Fail { code: "deliverable_missing", message }
        } else if has_answered || has_spoken(state) {
            Next::Ask(Purpose::Deliver(kind))
        } else {
            Next::Ask(purpose)
        };
    };
    // A model that was made to write the document has answered before.
    let has_read_all = state.prompts_seen >= state.prompts.len();
    if !(has_answered || (has_read_all && has_spoken(state))) {
        return Next::Ask(purpose);
    }
    match kind {
        DocumentKind::Slides => Next::Finish,
        DocumentKind::Report => after_report(state, document),
        DocumentKind::Website => after_website(state, document),
    }
}

fn after_report(state: &State, document: &Artifact) -> Next {
    let artifact_id = document.artifact_id;
    let entities = |budget| EntitiesInput { artifact_id, model: state.model.clone(), budget };
    let mut requests = vec![limited_request_of::<ExtractEntities>(state, document, entities)];
    if !state.citations.is_empty() {
        requests.push(request_of::<BindCitations>(state, document, &CitationsInput { artifact_id }));
    }
    follow_up(state, requests)
}

fn after_website(state: &State, document: &Artifact) -> Next {
    let Ok(version) = document.sha256.parse::<Digest>() else { return Next::Finish };
    let document_id = document.artifact_id;
    let export = Export { source: Source::Artifact(document_id), version, format: Format::Zip, again: 0 };
    let pack = request(state, document, Export::TYPE, Queue::Exports, &export);
    let Some(status) = ended(state, pack.job.job_id) else { return Next::FollowUp(vec![pack]) };
    let archive = state.artifacts.iter().find(|artifact| artifact.job_id == Some(pack.job.job_id));
    let archive = archive.filter(|_| status == JobStatus::Success).map(|archive| archive.artifact_id);
    let Some(archive) = archive else {
        let message = "The website was written, but its files could not be packed.".to_owned();
        return Next::Fail { code: "website_not_packed", message };
    };
    if state.website != Some(archive) {
        return Next::Announce { website: archive, document: document_id };
    }
    let task = state.prompts.first().map(|prompt| prompt.content.text().chars().take(MAX_TASK).collect());
    let input = |budget| CompanionInput {
        website: document_id,
        task: task.unwrap_or_default(),
        model: state.model.clone(),
        budget,
    };
    follow_up(state, vec![limited_request_of::<GenerateCompanionReport>(state, document, input)])
}

/// The jobs among `requests` that have not ended. The run is finished without one: a document is delivered
/// even if such a job fails.
fn follow_up(state: &State, mut requests: Vec<JobRequest>) -> Next {
    requests.retain(|request| ended(state, request.job.job_id).is_none());
    if requests.is_empty() { Next::Finish } else { Next::FollowUp(requests) }
}

fn ended(state: &State, id: JobId) -> Option<JobStatus> {
    let known = state.jobs.iter().find(|known| known.job.job_id == id)?;
    known.ended.as_ref().map(|ended| ended.status)
}

/// A request for a job that asks a model. Its budget is the one in the log, or a new share of what is left of the run's.
fn limited_request_of<K: JobKind>(
    state: &State,
    document: &Artifact,
    input: impl FnOnce(Budget) -> K::Input,
) -> JobRequest {
    let id = job_id(state, document, K::TYPE);
    let known = state.jobs.iter().find(|known| known.job.job_id == id);
    let budget = known.map_or_else(|| allowance::of_job(state), |known| known.job.budget);
    let request = request_of::<K>(state, document, &input(budget));
    JobRequest { job: Job { budget, ..request.job }, ..request }
}

fn request_of<K: JobKind>(state: &State, document: &Artifact, input: &K::Input) -> JobRequest {
    request(state, document, K::TYPE, K::QUEUE, input)
}

fn request(
    state: &State,
    document: &Artifact,
    job_type: &str,
    queue: Queue,
    input: &impl Serialize,
) -> JobRequest {
    let job_id = job_id(state, document, job_type);
    let job = Job { job_id, job_type: job_type.to_owned(), tool_call_id: None, budget: Budget::default() };
    JobRequest { job, queue, input: serde_json::to_value(input).expect("a job's input is plain data") }
}

/// The id of a job, derived from the document and the type of the job. It sorts with the run.
fn job_id(state: &State, document: &Artifact, job_type: &str) -> JobId {
    let run = state.run.map_or(0, RunId::bits);
    JobId::from_bits(derived_id(run, format!("{}:{job_type}", document.artifact_id)))
}

/// The last document of this kind that the model has delivered.
fn delivered(state: &State, kind: DocumentKind) -> Option<&Artifact> {
    state.artifacts.iter().rfind(|artifact| {
        let call = artifact.tool_call_id.as_deref().and_then(|id| state.tool_call(id));
        call.is_some_and(|call| call.name == tool_name(kind))
    })
}

/// The turns since the last input that is no tool result, newest first.
fn latest(state: &State) -> impl Iterator<Item = &TranscriptEntry> {
    state
        .transcript
        .iter()
        .rev()
        .take_while(|turn| matches!(turn, TranscriptEntry::Assistant { .. } | TranscriptEntry::Tool { .. }))
}

/// Returns `true` if one of the latest responses calls no tool.
fn has_spoken(state: &State) -> bool {
    latest(state).any(|turn| matches!(turn, TranscriptEntry::Assistant { calls, .. } if calls.is_empty()))
}

/// The number of latest responses that should have been the document.
fn failures(state: &State, kind: DocumentKind) -> usize {
    let has_failed = |turn: &&TranscriptEntry| match turn {
        TranscriptEntry::Assistant { calls, .. } => {
            calls.is_empty() || calls.iter().any(|call| call.name == tool_name(kind))
        }
        _ => false,
    };
    latest(state).filter(has_failed).count()
}

#[cfg(test)]
mod tests;
