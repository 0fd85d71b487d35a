//! Decides what a run's log calls for next. Pure: every process that reads the same log decides the same.

mod deliverable;

use std::fmt;

use sequent_core::ArtifactId;
use sequent_deliverables::wanted;
use sequent_documents::DocumentKind;
use sequent_event::{EvaluationSetup, Orchestration, Plan, State, Step, StepStatus, TranscriptEntry};

use crate::{jobs::JobRequest, output};

/// The next thing to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Next {
    /// Carry out the tool calls that have no result.
    Tools,
    /// Send a request to the model.
    Ask(Purpose),
    /// Start a step of the plan.
    Begin(String),
    /// Complete the current step of the plan.
    Complete(String),
    /// Have child runs carry out these steps, or wait for the children.
    Delegate(Vec<Step>),
    /// Have child runs answer the items of a dataset, score the answers, and end the run.
    Evaluate(Box<EvaluationSetup>),
    /// Create the jobs that follow a document, or wait for them.
    FollowUp(Vec<JobRequest>),
    /// Announce that the website can be opened.
    Announce {
        /// The archive of the website's files.
        website: ArtifactId,
        /// The document that the archive was made from.
        document: ArtifactId,
    },
    /// End the run, because the document cannot be delivered.
    Fail { code: &'static str, message: String },
    /// End the run: the answer is complete.
    Finish,
}

/// The purpose of a request to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To answer, or to call tools on the way.
    Answer,
    /// To write a plan.
    Plan,
    /// To carry out the current step.
    Step,
    /// To answer after all steps.
    Conclude,
    /// To write the document that the run has to deliver.
    Deliver(DocumentKind),
}

impl Purpose {
    /// Returns `true` if the model must call a tool.
    pub(crate) fn must_call(self) -> bool {
        matches!(self, Self::Deliver(_))
    }

    /// Returns the purpose with this name in the record of a request.
    pub(crate) fn of_record(name: &str) -> Option<Self> {
        let plain = [Self::Answer, Self::Plan, Self::Step, Self::Conclude];
        let all = plain.into_iter().chain(DocumentKind::ALL.into_iter().map(Self::Deliver));
        all.into_iter().find(|purpose| purpose.to_string() == name)
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer => f.write_str("answer"),
            Self::Plan => f.write_str("plan"),
            Self::Step => f.write_str("step"),
            Self::Conclude => f.write_str("conclude"),
            Self::Deliver(kind) => write!(f, "deliver_{kind}"),
        }
    }
}

/// Decides what `state` calls for. A child run works directly, without a plan of its own.
pub(crate) fn next(state: &State) -> Next {
    if !state.pending_tools.is_empty() {
        return Next::Tools;
    }
    if let Some(setup) = &state.configuration.evaluation {
        return Next::Evaluate(setup.clone());
    }
    if state.configuration.orchestration == Orchestration::Direct || state.parent.is_some() {
        return answer(state, Purpose::Answer);
    }
    match &state.plan {
        // The model may answer at once instead of writing a plan.
        None if has_answered(state) => answer(state, Purpose::Answer),
        None => Next::Ask(Purpose::Plan),
        Some(plan) => next_step(plan, state),
    }
}

/// Decides what is left when there is no step to do: to answer for this `purpose`, and to deliver.
fn answer(state: &State, purpose: Purpose) -> Next {
    let has_answered = has_answered(state);
    match wanted(state) {
        Some(kind) => deliverable::next(state, kind, purpose, has_answered),
        None if has_answered && output::check(state).is_ok() => Next::Finish,
        None => Next::Ask(purpose),
    }
}

fn next_step(plan: &Plan, state: &State) -> Next {
    let mut pending = plan.steps.iter().filter(|step| step.status == StepStatus::Pending);
    let Some(first) = pending.next() else {
        return answer(state, Purpose::Conclude);
    };
    if first.independent {
        let others = pending.take_while(|step| step.independent);
        return Next::Delegate(std::iter::once(first).chain(others).cloned().collect());
    }
    if !state.open_steps.contains(&first.id) {
        let step = first.id.clone();
        return if was_done(state, &step) { Next::Complete(step) } else { Next::Begin(step) };
    }
    if has_answered(state) { Next::Complete(first.id.clone()) } else { Next::Ask(Purpose::Step) }
}

/// Returns `true` if the step was answered and finished, and the owner was lost before it could mark the step in the plan.
/// Messages that people sent meanwhile are for the next request.
fn was_done(state: &State, step: &str) -> bool {
    let is_work = |entry: &&TranscriptEntry| !matches!(entry, TranscriptEntry::User { .. });
    let mut latest = state.transcript.iter().rev().filter(is_work);
    let is_over = matches!(latest.next(), Some(TranscriptEntry::StepOver));
    let is_answered =
        matches!(latest.next(), Some(TranscriptEntry::Assistant { calls, .. }) if calls.is_empty());
    let is_last = latest.find_map(|entry| match entry {
        TranscriptEntry::Step { name } => Some(name == step),
        _ => None,
    });
    is_over && is_answered && is_last == Some(true)
}

/// Returns `true` if the log ends with a response that calls no tool and covers all messages of people.
pub(crate) fn has_answered(state: &State) -> bool {
    let answered =
        matches!(state.transcript.last(), Some(TranscriptEntry::Assistant { calls, .. }) if calls.is_empty());
    answered && state.prompts_seen >= state.prompts.len()
}
