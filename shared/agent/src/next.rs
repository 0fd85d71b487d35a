//! What a run's log calls for next. Pure: any process that reads the same log does the same.

use sequent_core::ArtifactId;
use sequent_deliverables::{Next as Delivery, Task, next as delivery};
use sequent_documents::Kind;
use sequent_event::{Orchestration, Plan, State, Step, StepStatus, Turn};

/// The next thing to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Next {
    /// Carry out the tool calls that have no result.
    Tools,
    /// Ask the model.
    Ask(Purpose),
    /// Turn to a step of the plan.
    Begin(String),
    /// The step at hand is done.
    Complete(String),
    /// Have these steps done by child runs, or wait for those that do them.
    Delegate(Vec<Step>),
    /// Have what follows a document done by jobs, or wait for those that do it.
    FollowUp(Vec<Task>),
    /// Say that the website can be opened.
    Announce {
        /// The archive of its files.
        website: ArtifactId,
        /// What it was made of.
        document: ArtifactId,
    },
    /// End the run: what it was to deliver will not be.
    Fail {
        /// Stable code.
        code: &'static str,
        /// For people.
        message: String,
    },
    /// The answer is complete.
    Finish,
}

/// What the model is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To answer, or to call tools on the way.
    Answer,
    /// To plan.
    Plan,
    /// To carry out the step at hand.
    Step,
    /// To answer, now that all steps are done.
    Conclude,
    /// To write what the run is to deliver.
    Deliver(Kind),
}

/// What `state` calls for. A child run works directly: it does not plan for itself.
pub(crate) fn next(state: &State) -> Next {
    if !state.pending_tools.is_empty() {
        return Next::Tools;
    }
    if state.configuration.orchestration == Orchestration::Direct || state.parent.is_some() {
        return last(state, Purpose::Answer);
    }
    match &state.plan {
        // A model that answers instead of planning has nothing to plan.
        None if has_answered(state) => last(state, Purpose::Answer),
        None => Next::Ask(Purpose::Plan),
        Some(plan) => next_of(plan, state),
    }
}

/// What is left when there is no step to do: to answer for this `purpose`, and to deliver.
fn last(state: &State, purpose: Purpose) -> Next {
    let answered = has_answered(state);
    match delivery(state, answered) {
        None | Some(Delivery::Finish) if answered => Next::Finish,
        None | Some(Delivery::Answer) => Next::Ask(purpose),
        Some(Delivery::Finish) => Next::Finish,
        Some(Delivery::Write(kind)) => Next::Ask(Purpose::Deliver(kind)),
        Some(Delivery::Work(tasks)) => Next::FollowUp(tasks),
        Some(Delivery::Announce { website, document }) => Next::Announce { website, document },
        Some(Delivery::Fail { code, message }) => Next::Fail { code, message },
    }
}

fn next_of(plan: &Plan, state: &State) -> Next {
    let mut pending = plan.steps.iter().filter(|step| step.status == StepStatus::Pending);
    let Some(first) = pending.next() else {
        return last(state, Purpose::Conclude);
    };
    if first.independent {
        let others = pending.take_while(|step| step.independent);
        return Next::Delegate(std::iter::once(first).chain(others).cloned().collect());
    }
    if !state.open_steps.contains(&first.id) {
        return Next::Begin(first.id.clone());
    }
    if has_answered(state) { Next::Complete(first.id.clone()) } else { Next::Ask(Purpose::Step) }
}

/// Whether the last thing in the log is a response that calls no tool, to all that people have said.
fn has_answered(state: &State) -> bool {
    let answered = matches!(state.turns.last(), Some(Turn::Assistant { calls, .. }) if calls.is_empty());
    answered && state.told >= state.prompts.len()
}
