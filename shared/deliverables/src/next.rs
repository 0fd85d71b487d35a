//! What a run's log calls for between its answer and its end. Pure: any process that reads the same log does the same.

use sequent_artifacts::{Digest, Export, Source};
use sequent_core::{ArtifactId, JobId};
use sequent_documents::{Format, Kind};
use sequent_event::{Artifact, Job, JobStatus, State, Turn};
use sequent_jobs::Queue;
use serde::Serialize;
use serde_json::Value;

use crate::{
    BindCitations, ExtractEntities, GenerateCompanionReport, citations, companion, entities, tool_name,
    wanted,
};

/// Responses in which a model may fail to deliver before the run gives up.
const PATIENCE: usize = 6;
/// Most of what a person asked that goes with a job, in characters.
const TASK: usize = 8_000;

/// The next thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// The model has to answer, as without a document.
    Answer,
    /// The model has to write the document.
    Write(Kind),
    /// These jobs are to be made, if they are not, and to be waited for.
    Work(Vec<Task>),
    /// The website can be opened, and nobody has said so.
    Announce {
        /// The archive of its files.
        website: ArtifactId,
        /// What it was made of.
        document: ArtifactId,
    },
    /// There will be no document.
    Fail {
        /// Stable code.
        code: &'static str,
        /// For people.
        message: String,
    },
    /// Nothing.
    Finish,
}

/// A job that a document calls for.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Its id, which the run and the document decide.
    pub id: JobId,
    /// Its type.
    pub job_type: &'static str,
    /// Who works on it.
    pub queue: Queue,
    /// What it works on.
    pub input: Value,
}

/// What `state` calls for, if its run is to deliver a document: `answered` says whether the model has said its last word.
#[must_use]
pub fn next(state: &State, answered: bool) -> Option<Next> {
    let kind = wanted(state)?;
    let Some(document) = delivered(state, kind) else {
        return Some(match () {
            () if failures(state, kind) >= PATIENCE => Next::Fail {
                code: "deliverable_missing",
                message: format!("The model did not write a {kind} that holds the rules of one."),
            },
            () if answered || has_spoken(state) => Next::Write(kind),
            () => Next::Answer,
        });
    };
    // A model that was made to write has answered before.
    let heard = state.told >= state.prompts.len();
    if !(answered || (heard && has_spoken(state))) {
        return Some(Next::Answer);
    }
    Some(match kind {
        Kind::Slides => Next::Finish,
        Kind::Report => of_report(state, document),
        Kind::Website => of_website(state, document),
    })
}

fn of_report(state: &State, document: &Artifact) -> Next {
    let (artifact_id, model) = (document.artifact_id, state.model.clone());
    let names = entities::Input { artifact_id, model };
    let mut tasks = vec![Task::of::<ExtractEntities>(state, document, &names)];
    if !state.citations.is_empty() {
        tasks.push(Task::of::<BindCitations>(state, document, &citations::Input { artifact_id }));
    }
    work(state, tasks).unwrap_or(Next::Finish)
}

fn of_website(state: &State, document: &Artifact) -> Next {
    let Ok(version) = document.sha256.parse::<Digest>() else { return Next::Finish };
    let document_id = document.artifact_id;
    let export = Export { source: Source::Artifact(document_id), version, format: Format::Zip, again: 0 };
    let pack = Task::new(state, document, Export::TYPE, Queue::Exports, &export);
    let Some(ended) = ended(state, pack.id) else { return Next::Work(vec![pack]) };
    let archive = state.artifacts.iter().find(|artifact| artifact.job_id == Some(pack.id));
    let Some(archive) = archive.filter(|_| ended == JobStatus::Success).map(|archive| archive.artifact_id)
    else {
        let message = "The website was written, but its files could not be packed.".to_owned();
        return Next::Fail { code: "website_not_packed", message };
    };
    if state.website != Some(archive) {
        return Next::Announce { website: archive, document: document_id };
    }
    let task =
        state.prompts.first().map(|prompt| prompt.text.chars().take(TASK).collect()).unwrap_or_default();
    let input = companion::Input { website: document_id, task, model: state.model.clone() };
    work(state, vec![Task::of::<GenerateCompanionReport>(state, document, &input)]).unwrap_or(Next::Finish)
}

/// Those of `tasks` that have not ended.
fn work(state: &State, mut tasks: Vec<Task>) -> Option<Next> {
    tasks.retain(|task| ended(state, task.id).is_none());
    (!tasks.is_empty()).then_some(Next::Work(tasks))
}

fn ended(state: &State, id: JobId) -> Option<JobStatus> {
    let job = state.jobs.iter().find(|task| task.job.job_id == id)?;
    job.ended.as_ref().map(|ended| ended.status)
}

impl Task {
    fn of<K: sequent_jobs::Kind>(state: &State, document: &Artifact, input: &K::Input) -> Self {
        Self::new(state, document, K::TYPE, K::QUEUE, input)
    }

    fn new(
        state: &State,
        document: &Artifact,
        job_type: &'static str,
        queue: Queue,
        input: &impl Serialize,
    ) -> Self {
        let run = state.run.map_or(0, sequent_core::RunId::bits);
        let digest = Digest::of(format!("{}:{job_type}", document.artifact_id).as_bytes());
        let (head, _) = digest.bytes().split_first_chunk::<16>().expect("a digest has 32 bytes");
        // Sorts where its run does.
        let id = JobId::from_bits((run >> 80 << 80) | (u128::from_be_bytes(*head) & ((1 << 80) - 1)));
        Self { id, job_type, queue, input: serde_json::to_value(input).expect("a job's input is plain data") }
    }

    /// As the run's log says it.
    #[must_use]
    pub fn event(&self) -> Job {
        Job { job_id: self.id, job_type: self.job_type.to_owned(), tool_call_id: None }
    }
}

/// The last document of this kind that the model has delivered.
fn delivered(state: &State, kind: Kind) -> Option<&Artifact> {
    state.artifacts.iter().rfind(|artifact| {
        let call = artifact.tool_call_id.as_deref().and_then(|id| state.tool_call(id));
        call.is_some_and(|call| call.name == tool_name(kind))
    })
}

/// The turns since the model was last told something by others than its tools.
fn latest(state: &State) -> impl Iterator<Item = &Turn> {
    state.turns.iter().rev().take_while(|turn| matches!(turn, Turn::Assistant { .. } | Turn::Tool { .. }))
}

/// Whether one of the latest responses called nothing.
fn has_spoken(state: &State) -> bool {
    latest(state).any(|turn| matches!(turn, Turn::Assistant { calls, .. } if calls.is_empty()))
}

/// Of the latest responses, those that should have been the document.
fn failures(state: &State, kind: Kind) -> usize {
    let failed = |turn: &&Turn| match turn {
        Turn::Assistant { calls, .. } => {
            calls.is_empty() || calls.iter().any(|call| call.name == tool_name(kind))
        }
        _ => false,
    };
    latest(state).filter(failed).count()
}

#[cfg(test)]
mod tests;
