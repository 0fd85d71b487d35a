//! The end of a response: what follows from it is appended, and may end the run.

use sequent_conversation::Error;
use sequent_core::Timestamp;
use sequent_event::{Body, Entry, RunOutcome, State, Usage};
use sequent_model::FinishReason;
use sequent_runlog::Stopped;

use crate::{
    bounds::{LimitReached, TIME_LIMIT},
    candidates::Candidate,
    execution::{Execution, Flow, StopSignal, run_error, stop_error},
    model_call::{ModelCall, usage_recorded},
    next::{Next, Purpose, has_answered, next},
    output,
};

/// The end of a response's stream.
pub(crate) enum StreamEnd {
    Finished(FinishReason, sequent_model::Usage),
    Failed(sequent_model::Error),
    Stopped(StopSignal),
    /// The invocation has no time left.
    HandOver,
    /// The run has no time left.
    TimeLimit,
}

/// Appends what follows from the end of the response.
pub(crate) async fn conclude(
    execution: &mut Execution<'_>,
    mut call: ModelCall,
    end: StreamEnd,
) -> Result<Flow, Error> {
    let mut bodies = call.response.end();
    let (finish_reason, terminal) = match end {
        StreamEnd::Finished(reason, used) => match incomplete(&call.candidate, reason) {
            // Its calls are not carried out, because their arguments may be cut.
            Some(terminal) => (reason.as_str(), terminal),
            None => {
                let usage = usage_recorded(execution, &call, used, reason.as_str());
                return complete(execution, bodies, usage).await;
            }
        },
        StreamEnd::HandOver => return abandon(execution, &call).await,
        StreamEnd::Stopped(StopSignal::WriterStopped) => return Err(stop_error(&execution.writer).await),
        StreamEnd::Stopped(StopSignal::Cancelled(reason)) => {
            execution.state.cancel = Some(reason);
            (Usage::CANCELLED, execution.run_finished(RunOutcome::Cancelled))
        }
        StreamEnd::TimeLimit => (Usage::CANCELLED, run_error("time_limit", TIME_LIMIT)),
        StreamEnd::Failed(error) => {
            tracing::warn!(run = %execution.key.run, %error, "the model failed; ending the run");
            (Usage::FAILED, run_error(error.code(), &error.public_message()))
        }
    };
    bodies.extend(call.usage.map(|used| usage_recorded(execution, &call, used, finish_reason)));
    let open_steps = execution.state.open_steps.iter();
    bodies.extend(open_steps.map(|name| Body::StepFinished { step_name: name.clone() }));
    bodies.push(terminal);
    Ok(Flow::End(bodies))
}

/// The end of a run whose response ended for this reason before it was complete. Returns `None` if it is complete.
fn incomplete(candidate: &Candidate, reason: FinishReason) -> Option<Body> {
    if let Some(limit) = candidate.limit.reached(reason) {
        let limit = LimitReached::from(limit);
        return Some(run_error(limit.code, &limit.message));
    }
    reason.failure().map(|error| run_error(error.code(), &error.public_message()))
}

/// Records a complete response. If it completes the answer, the run's end is stored in the same write.
async fn complete(execution: &mut Execution<'_>, mut bodies: Vec<Body>, usage: Body) -> Result<Flow, Error> {
    let mut drafted = execution.state.clone();
    apply(&mut drafted, &bodies)?;
    let mut after = drafted.clone();
    apply(&mut after, std::slice::from_ref(&usage))?;
    let next = next(&after);
    let is_asked_again =
        matches!(next, Next::Ask(Purpose::Answer | Purpose::Conclude)) && has_answered(&after);
    if let Some(errors) = output::check(&after).err().filter(|_| is_asked_again) {
        return reject(execution, &drafted, bodies, usage, &errors).await;
    }
    bodies.push(usage);
    if next == Next::Finish {
        bodies.push(execution.run_finished(RunOutcome::Success));
        return Ok(Flow::End(bodies));
    }
    execution.append_all(bodies).await?;
    Ok(Flow::Continue)
}

/// Takes back an answer that does not match the schema of the run, or ends the run if it is the second one.
async fn reject(
    execution: &mut Execution<'_>,
    drafted: &State,
    mut bodies: Vec<Body>,
    usage: Body,
    errors: &str,
) -> Result<Flow, Error> {
    if output::was_rejected(&execution.state) {
        tracing::warn!(run = %execution.key.run, "the model did not keep to the schema of the run twice; ending the run");
        bodies.push(usage);
        bodies.push(run_error(
            output::INVALID,
            &format!("The answer does not match `output_schema`: {errors}."),
        ));
        return Ok(Flow::End(bodies));
    }
    let (abandoned, rejected) = output::rejection(drafted, errors);
    bodies.extend(abandoned);
    bodies.extend([usage, rejected]);
    execution.append_all(bodies).await?;
    Ok(Flow::Continue)
}

fn apply(state: &mut State, bodies: &[Body]) -> Result<(), Error> {
    for body in bodies {
        let event = Entry::new(Timestamp::now(), body.clone()).at_seq(state.next());
        state.apply(&event).map_err(Stopped::from)?;
    }
    Ok(())
}

/// Abandons a response that is cut by the hand-over. The next owner asks the model again, but what was used
/// is counted.
async fn abandon(execution: &mut Execution<'_>, call: &ModelCall) -> Result<Flow, Error> {
    let unfinished = execution.state.unfinished().into_iter();
    let mut bodies: Vec<Body> = unfinished.map(|message_id| Body::MessageAbandoned { message_id }).collect();
    bodies.extend(call.usage.map(|used| usage_recorded(execution, call, used, Usage::ABANDONED)));
    execution.append_all(bodies).await?;
    Ok(Flow::HandOver)
}
