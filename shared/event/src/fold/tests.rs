use sequent_core::{InterruptId, JobId, MessageId, ProjectId, RunId};

use super::*;
use crate::{
    AnswerStatus, Body, ClaimReason, CompactionReason, Coverage, Entry, InterruptAnswer, JobEnd, JobStatus,
    Question, Reason, RequestRecord, Role, Step, StepStatus, Usage,
};

fn events(bodies: impl IntoIterator<Item = Body>) -> Vec<Event> {
    let at = Timestamp::from_millis(1);
    bodies.into_iter().zip(1..).map(|(body, seq)| Entry::new(at, body).at_seq(Seq(seq))).collect()
}

fn claimed(epoch: u32) -> Body {
    Body::RunClaimed { epoch, writer: "w".into(), reason: ClaimReason::Start }
}

fn started() -> Body {
    Body::RunStarted { thread_id: ProjectId::from_bits(1), run_id: RunId::from_bits(2), parent_run_id: None }
}

fn finished(outcome: RunOutcome) -> Body {
    Body::RunFinished { thread_id: ProjectId::from_bits(1), run_id: RunId::from_bits(2), outcome }
}

fn message(id: u128) -> [Body; 3] {
    let message_id = MessageId::from_bits(id);
    [
        Body::TextMessageStart { message_id, role: Role::Assistant },
        Body::TextMessageContent { message_id, delta: format!("text {id}") },
        Body::TextMessageEnd { message_id },
    ]
}

#[test]
fn an_abandoned_message_is_not_part_of_the_answer() {
    let [start, content, _] = message(1);
    let mut log = vec![claimed(1), started(), start, content, claimed(2)];
    log.push(Body::MessageAbandoned { message_id: MessageId::from_bits(1) });
    log.extend(message(2));
    log.push(finished(RunOutcome::Success));
    let state = State::of(&events(log)).unwrap();
    assert_eq!(state.answer_text(), "text 2");
    assert_eq!(state.epoch, 2);
    assert_eq!(state.phase, Phase::Finished(RunOutcome::Success));
}

#[test]
fn a_failed_run_keeps_its_answer_so_far() {
    let [start, content, _] = message(1);
    let error = Body::RunError { message: "provider".into(), code: "model_unavailable".into() };
    let state = State::of(&events([claimed(1), started(), start, content, error])).unwrap();
    assert_eq!(state.answer_text(), "text 1");
    assert!(state.phase.is_closed());
}

#[test]
fn events_out_of_place_are_refused() {
    let [start, content, end] = message(1);
    let cases: Vec<(Vec<Body>, InvalidEvent)> = vec![
        (vec![started()], InvalidEvent::OutOfPlace("RUN_STARTED")),
        (vec![claimed(2)], InvalidEvent::Epoch { current: 0, found: 2 }),
        (vec![claimed(1), started(), claimed(1)], InvalidEvent::Epoch { current: 1, found: 1 }),
        (vec![claimed(1), started(), content], InvalidEvent::OutOfPlace("TEXT_MESSAGE_CONTENT")),
        (vec![claimed(1), started(), end], InvalidEvent::OutOfPlace("TEXT_MESSAGE_END")),
        (
            vec![claimed(1), started(), start.clone(), finished(RunOutcome::Success)],
            InvalidEvent::OutOfPlace("RUN_FINISHED"),
        ),
        (
            vec![claimed(1), started(), finished(RunOutcome::Success), finished(RunOutcome::Success)],
            InvalidEvent::Closed("RUN_FINISHED"),
        ),
        (
            vec![claimed(1), started(), finished(RunOutcome::Success), start],
            InvalidEvent::Closed("TEXT_MESSAGE_START"),
        ),
    ];
    for (log, expected) in cases {
        assert_eq!(State::of(&events(log)).unwrap_err(), expected);
    }
    let mut gap = events([claimed(1), started()]);
    gap.remove(0);
    assert!(matches!(State::of(&gap), Err(InvalidEvent::Gap { .. })));
}

#[test]
fn a_pending_run_can_be_cancelled_before_its_first_execution() {
    let cancel = Body::CancelRequested { by: None, reason: CancelReason::Requested };
    let state = State::of(&events([cancel, claimed(1), finished(RunOutcome::Cancelled)])).unwrap();
    assert_eq!(state.phase, Phase::Finished(RunOutcome::Cancelled));
    assert_eq!(state.cancel, None, "the cancellation has taken effect");
}

#[test]
fn the_status_of_a_step_changes_without_a_new_plan() {
    let step = |id: &str| Step {
        id: id.into(),
        title: id.to_uppercase(),
        instructions: "Do it.".into(),
        independent: false,
        agent: None,
        status: StepStatus::Pending,
    };
    let plan = Plan { steps: vec![step("a"), step("b")] };
    let update = |id: &str| Body::PlanStepUpdated { step_id: id.into(), status: StepStatus::Done };
    let log = [claimed(1), started(), Body::PlanUpdated { plan: plan.clone() }, update("b")];
    let steps = State::of(&events(log)).unwrap().plan.unwrap().steps;
    assert_eq!(steps[0], plan.steps[0]);
    assert_eq!(steps[1], Step { status: StepStatus::Done, ..plan.steps[1].clone() });
    for log in [
        vec![claimed(1), started(), update("a")],
        vec![claimed(1), started(), Body::PlanUpdated { plan }, update("c")],
    ] {
        let refused = State::of(&events(log)).unwrap_err();
        assert_eq!(refused, InvalidEvent::OutOfPlace("PLAN_STEP_UPDATED"));
    }
}

#[test]
fn a_compaction_is_kept_and_its_summary_is_a_call_of_the_run() {
    let usage = |request: Option<RequestRecord>, tokens, reason: &str| Usage {
        provider: "openai".into(),
        model: "m".into(),
        input_tokens: tokens,
        finish_reason: reason.into(),
        request: request.map(Box::new),
        ..crate::testing::usage()
    };
    let record = RequestRecord {
        purpose: "answer".into(),
        offer: String::new(),
        messages: String::new(),
        tokens: 50,
        max_output_tokens: None,
    };
    let compaction = Compaction {
        reason: CompactionReason::Window,
        tokens: 200,
        room: 100,
        calls: vec!["a".into()],
        excerpts: None,
        covers: Some(Coverage { through: None, responses: 1 }),
        summary: Some("They met.".into()),
        provisional: false,
        words: None,
        usage: Some(usage(None, 70, "stop")),
    };
    let compacted = Body::ContextCompacted(Box::new(compaction.clone()));
    let response = Body::UsageRecorded(usage(Some(record), 60, "stop"));
    let mut log = vec![claimed(1), started(), compacted.clone()];
    let state = State::of(&events(log.clone())).unwrap();
    assert_eq!((state.model_calls, state.totals.input_tokens, state.new_compactions), (1, 70, 1));
    assert!(state.transcript.is_empty() && state.compactions == [compaction]);
    log.push(response);
    let state = State::of(&events(log.clone())).unwrap();
    assert_eq!((state.model_calls, state.totals.input_tokens, state.new_compactions), (2, 130, 0));
    assert_eq!(state.measured, Some(MeasuredRequest { estimated: 50, counted: 60 }));
    let [start, ..] = message(1);
    log.extend([start, compacted]);
    let refused = State::of(&events(log)).unwrap_err();
    assert_eq!(refused, InvalidEvent::OutOfPlace("CONTEXT_COMPACTED"), "a response is being written");
}

#[test]
fn a_job_that_ends_after_the_last_answer_leaves_the_log_open() {
    let job = Job {
        job_id: JobId::from_bits(1),
        job_type: "x".into(),
        tool_call_id: None,
        budget: Default::default(),
    };
    let question = Question {
        reason: Reason::Question,
        message: "Which?".into(),
        tool_call_id: None,
        call: None,
        response_schema: None,
        expires_at: None,
    };
    let interrupt = Interrupt { id: InterruptId::from_bits(1), question: question.clone() };
    let asked = [
        claimed(1),
        started(),
        Body::JobEnqueued(job),
        Body::ClarificationNeeded { interrupt_id: interrupt.id, question },
        finished(RunOutcome::Interrupt { interrupts: vec![interrupt.clone()] }),
    ];
    let waits = State::of(&events(asked.clone())).unwrap();
    assert_eq!(waits.stage(), RunStage::Waiting);
    let answer = Body::ClarificationAnswered(InterruptAnswer {
        interrupt_id: interrupt.id,
        status: AnswerStatus::Cancelled,
        payload: None,
        by: None,
        remaining: 0,
    });
    let ended = |run| {
        Body::JobFinished(JobEnd {
            job_id: JobId::from_bits(1),
            status: JobStatus::Success,
            result: String::new(),
            usage: Totals::default(),
            usage_may_grow: false,
            run,
        })
    };
    let log = |run| events(asked.iter().cloned().chain([answer.clone(), ended(run)]));
    let state = State::of(&log(RunStage::Live)).unwrap();
    assert!(state.is_resumable() && !ended(RunStage::Live).leaves_closed());
    let refused = State::of(&log(RunStage::Waiting)).unwrap_err();
    assert_eq!(refused, InvalidEvent::OutOfPlace("JOB_FINISHED"));
}
