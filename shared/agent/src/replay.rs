//! The positions of a log from which its run can be run again: those at which its model was about to be asked. There, nothing is
//! under way that would have to be done again or given up.

use sequent_conversation::Error;
use sequent_event::{Event, Phase, Seq, State};
use sequent_runlog::{DynamoStorage, LogKey, Segment, Stopped, read_all};

use crate::next::{Next, next};

/// Reads the events of a run up to `from`, after which its model was about to be asked.
///
/// # Errors
/// [`Error::NoReplayPoint`] if it was not, or when the log cannot be read.
pub async fn kept_events(storage: &DynamoStorage, key: LogKey, from: Seq) -> Result<Vec<Event>, Error> {
    let segments = read_all(storage, key).await?;
    let mut events: Vec<Event> = segments.iter().flat_map(Segment::events).collect();
    let points = points(&events)?;
    if !points.contains(&from) {
        let before = points.iter().rev().find(|point| **point < from).copied();
        let after = points.iter().find(|point| **point > from).copied();
        return Err(Error::NoReplayPoint { before, after });
    }
    events.retain(|event| event.seq <= from);
    Ok(events)
}

/// The positions at which the model was about to be asked, in order.
fn points(events: &[Event]) -> Result<Vec<Seq>, Error> {
    let mut state = State::default();
    let mut points = Vec::new();
    for event in events {
        state.apply(event).map_err(Stopped::from)?;
        if is_about_to_ask(&state) {
            points.push(event.seq);
        }
    }
    Ok(points)
}

fn is_about_to_ask(state: &State) -> bool {
    // What a run has copied from another one, that one did in an execution.
    let is_at_work = state.phase == Phase::Running || state.last <= state.copied_through;
    let is_at_rest = !state.call_in_flight
        && state.draft.is_none()
        && state.open_reasoning.is_none()
        && state.live_children().next().is_none()
        && state.open_jobs().next().is_none();
    let has_task = !state.prompts.is_empty();
    is_at_work && is_at_rest && has_task && state.cancel.is_none() && matches!(next(state), Next::Ask(_))
}

#[cfg(test)]
mod tests {
    use sequent_core::{MessageId, ProjectId, RunId, Timestamp};
    use sequent_event::{
        Body, CancelReason, ClaimReason, Configuration, Entry, Orchestration, Plan, Role, Step, StepStatus,
        Usage,
    };

    use super::*;

    fn log(bodies: Vec<Body>) -> Vec<Event> {
        let at = Timestamp::from_millis(1);
        (1..).zip(bodies).map(|(seq, body)| Entry::new(at, body).at_seq(Seq(seq))).collect()
    }

    fn begun() -> Vec<Body> {
        vec![
            Body::UserMessage { message_id: MessageId::new(), content: "Go.".into(), by: None, model: None },
            Body::RunClaimed { epoch: 1, writer: "w".into(), reason: ClaimReason::Start },
            Body::RunStarted {
                thread_id: ProjectId::from_bits(1),
                run_id: RunId::from_bits(1),
                parent_run_id: None,
            },
        ]
    }

    fn said() -> Vec<Body> {
        let message_id = MessageId::new();
        vec![
            Body::TextMessageStart { message_id, role: Role::Assistant },
            Body::TextMessageContent { message_id, delta: "So.".into() },
            Body::TextMessageEnd { message_id },
        ]
    }

    fn called(id: &str) -> Vec<Body> {
        let tool_call_id = id.to_owned();
        vec![
            Body::ToolCallStart {
                tool_call_id: tool_call_id.clone(),
                tool_call_name: "look".into(),
                parent_message_id: None,
            },
            Body::ToolCallEnd { tool_call_id },
        ]
    }

    fn result(id: &str) -> Body {
        let message_id = MessageId::new();
        Body::ToolCallResult { message_id, tool_call_id: id.into(), content: "Blue.".into(), error: None }
    }

    fn used(finish_reason: &str) -> Body {
        Body::UsageRecorded(Usage { finish_reason: finish_reason.into(), ..sequent_event::testing::usage() })
    }

    fn points_of(bodies: Vec<Body>) -> Vec<u64> {
        points(&log(bodies)).unwrap().into_iter().map(|seq| seq.0).collect()
    }

    #[test]
    fn a_run_can_be_replayed_from_its_start_and_after_the_results_of_all_calls() {
        let calls = [called("a"), called("b"), vec![used("stop"), result("b"), result("a")]].concat();
        let log = [begun(), calls, said(), vec![used("stop")]].concat();
        assert_eq!(points_of(log), [3, 10]);
    }

    #[test]
    fn a_run_cannot_be_replayed_from_a_response_that_was_lost_or_after_a_cancel() {
        let text = said();
        let Body::TextMessageStart { message_id, .. } = text[0] else { panic!() };
        let lost = vec![
            Body::RunClaimed { epoch: 2, writer: "x".into(), reason: ClaimReason::TakeOver },
            Body::MessageAbandoned { message_id },
            used(Usage::ABANDONED),
            Body::CancelRequested { by: None, reason: CancelReason::Requested },
        ];
        assert_eq!(points_of([begun(), text[..2].to_vec(), lost].concat()), [3, 8]);
    }

    #[test]
    fn a_message_that_the_model_has_not_read_makes_a_point() {
        let steering =
            Body::UserMessage { message_id: MessageId::new(), content: "And?".into(), by: None, model: None };
        assert_eq!(points_of([begun(), said(), vec![used("stop"), steering]].concat()), [3, 8]);
    }

    #[test]
    fn a_plan_can_be_replayed_from_each_step_that_the_run_does_itself() {
        let configuration = Configuration { orchestration: Orchestration::Plan, ..Configuration::default() };
        let step = Step {
            id: "s".into(),
            title: "S".into(),
            instructions: "Do it.".into(),
            independent: false,
            agent: None,
            status: StepStatus::Pending,
        };
        let log = [
            vec![Body::RunConfigured(configuration.into())],
            begun(),
            vec![Body::PlanUpdated { plan: Plan { steps: vec![step] } }],
            vec![Body::StepStarted { step_name: "s".into() }],
            said(),
            vec![used("stop")],
            vec![Body::StepFinished { step_name: "s".into() }],
            vec![Body::PlanStepUpdated { step_id: "s".into(), status: StepStatus::Done }],
        ];
        // The plan, the step, and the answer to the task.
        assert_eq!(points_of(log.concat()), [4, 6, 12]);
    }
}
