//! What a run's log calls for next. Pure: any process that reads the same log does the same.

use sequent_event::{Orchestration, Plan, State, Step, StepStatus, Turn};

/// The next thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
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
}

/// What `state` calls for. A child run works directly: it does not plan for itself.
pub(crate) fn next(state: &State) -> Next {
    if !state.pending_tools.is_empty() {
        return Next::Tools;
    }
    if state.configuration.orchestration == Orchestration::Direct || state.parent.is_some() {
        return if has_answered(state) { Next::Finish } else { Next::Ask(Purpose::Answer) };
    }
    match &state.plan {
        // A model that answers instead of planning has nothing to plan.
        None if has_answered(state) => Next::Finish,
        None => Next::Ask(Purpose::Plan),
        Some(plan) => next_of(plan, state),
    }
}

fn next_of(plan: &Plan, state: &State) -> Next {
    let mut pending = plan.steps.iter().filter(|step| step.status == StepStatus::Pending);
    let Some(first) = pending.next() else {
        return if has_answered(state) { Next::Finish } else { Next::Ask(Purpose::Conclude) };
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
