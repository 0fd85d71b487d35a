use sequent_core::{InterruptId, Timestamp};
use sequent_event::{
    AnswerStatus, ClaimReason, Entry, Interrupt, InterruptAnswer, Payload, Question, Reason, Role, Seq,
};
use serde_json::json;

use super::*;

fn run() -> RunId {
    RunId::from_bits(2)
}

fn project() -> ProjectId {
    ProjectId::from_bits(1)
}

fn msg(id: u128) -> MessageId {
    MessageId::from_bits(id)
}

fn started() -> Vec<Body> {
    vec![
        Body::UserMessage { message_id: msg(1), content: "Hi".into(), model: Some("demo".into()), by: None },
        Body::RunClaimed { epoch: 1, writer: "w".into(), reason: ClaimReason::Start },
        Body::RunStarted { thread_id: project(), run_id: run(), parent_run_id: None },
    ]
}

fn finished(outcome: RunOutcome) -> Body {
    Body::RunFinished { thread_id: project(), run_id: run(), outcome }
}

fn begin(id: u128, delta: &str) -> [Body; 2] {
    [
        Body::TextMessageStart { message_id: msg(id), role: Role::Assistant },
        Body::TextMessageContent { message_id: msg(id), delta: delta.into() },
    ]
}

fn end(id: u128) -> Body {
    Body::TextMessageEnd { message_id: msg(id) }
}

fn tool(id: &str, arguments: &str) -> [Body; 3] {
    let tool_call_id = id.to_owned();
    [
        Body::ToolCallStart {
            tool_call_id: tool_call_id.clone(),
            tool_call_name: "look".into(),
            parent_message_id: None,
        },
        Body::ToolCallArgs { tool_call_id: tool_call_id.clone(), delta: arguments.into() },
        Body::ToolCallEnd { tool_call_id },
    ]
}

/// The chunks of a valid log, one per line.
fn chunks(bodies: Vec<Body>) -> String {
    let mut projector = Projector::new(run());
    let mut state = sequent_event::State::default();
    let mut lines = String::new();
    for body in bodies {
        let event = Entry::new(Timestamp::from_millis(5), body).at_seq(state.next());
        state.apply(&event).unwrap();
        for chunk in projector.push(&event) {
            lines += &serde_json::to_string(&chunk).unwrap();
            lines.push('\n');
        }
    }
    lines
}

/// The types of the chunks.
fn types(bodies: Vec<Body>) -> Vec<String> {
    chunks(bodies)
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["type"].as_str().unwrap().to_owned()
        })
        .collect()
}

#[test]
fn tools_run_here_and_a_new_step_follows_their_results() {
    let mut log = started();
    log.extend(tool("call-1", "{ \"b\": 1,\n \"a\": 12345678901234567890123 }"));
    log.push(Body::ToolCallResult {
        message_id: msg(8),
        tool_call_id: "call-1".into(),
        content: "sunny".into(),
        error: None,
    });
    log.extend(begin(9, "Sun."));
    log.extend([end(9), finished(RunOutcome::Success)]);
    insta::assert_snapshot!(chunks(log), @r#"
    {"type":"start","messageId":"run_00000000000000000000000002","messageMetadata":{"runId":"run_00000000000000000000000002","projectId":"prj_00000000000000000000000001","model":"demo","demo":true}}
    {"type":"start-step"}
    {"type":"tool-input-start","toolCallId":"call-1","toolName":"look","providerExecuted":true}
    {"type":"tool-input-delta","toolCallId":"call-1","inputTextDelta":"{ \"b\": 1,\n \"a\": 12345678901234567890123 }"}
    {"type":"tool-input-available","toolCallId":"call-1","toolName":"look","input":{ "b": 1,
     "a": 12345678901234567890123 },"providerExecuted":true}
    {"type":"tool-output-available","toolCallId":"call-1","output":"sunny","providerExecuted":true}
    {"type":"finish-step"}
    {"type":"start-step"}
    {"type":"text-start","id":"msg_00000000000000000000000009"}
    {"type":"text-delta","id":"msg_00000000000000000000000009","delta":"Sun."}
    {"type":"text-end","id":"msg_00000000000000000000000009"}
    {"type":"finish-step"}
    {"type":"finish","finishReason":"stop"}
    "#);
}

#[test]
fn a_call_that_has_failed_shows_its_error() {
    let mut log = started();
    log.extend(tool("call-1", "{}"));
    log.push(Body::ToolCallResult {
        message_id: msg(8),
        tool_call_id: "call-1".into(),
        content: "The host does not answer.".into(),
        error: Some("tool_unavailable".into()),
    });
    log.extend(begin(9, "Alas."));
    log.extend([end(9), finished(RunOutcome::Success)]);
    let error = r#"{"type":"tool-output-error","toolCallId":"call-1","errorText":"The host does not answer.","providerExecuted":true}"#;
    let chunks = chunks(log.clone());
    assert!(chunks.lines().any(|line| line == error), "{chunks}");
    assert!(!types(log).iter().any(|chunk| chunk == "tool-output-available"));
}

#[test]
fn a_cancel_ends_with_abort_and_finish() {
    let mut log = started();
    log.extend(tool("call-1", ""));
    log.extend(begin(9, "Su"));
    log.push(Body::CancelRequested { by: None, reason: CancelReason::Requested });
    log.extend([end(9), finished(RunOutcome::Cancelled)]);
    insta::assert_snapshot!(chunks(log), @r#"
    {"type":"start","messageId":"run_00000000000000000000000002","messageMetadata":{"runId":"run_00000000000000000000000002","projectId":"prj_00000000000000000000000001","model":"demo","demo":true}}
    {"type":"start-step"}
    {"type":"tool-input-start","toolCallId":"call-1","toolName":"look","providerExecuted":true}
    {"type":"tool-input-delta","toolCallId":"call-1","inputTextDelta":""}
    {"type":"tool-input-available","toolCallId":"call-1","toolName":"look","input":{},"providerExecuted":true}
    {"type":"text-start","id":"msg_00000000000000000000000009"}
    {"type":"text-delta","id":"msg_00000000000000000000000009","delta":"Su"}
    {"type":"text-end","id":"msg_00000000000000000000000009"}
    {"type":"tool-output-error","toolCallId":"call-1","errorText":"The run ended before the tool had answered.","providerExecuted":true}
    {"type":"finish-step"}
    {"type":"abort","reason":"requested"}
    {"type":"finish","finishReason":"other"}
    "#);
}

#[test]
fn an_error_closes_what_was_open() {
    let mut log = started();
    log.extend(begin(9, "Su"));
    log.extend(tool("call-1", "{\"half").into_iter().take(2));
    log.push(Body::RunError { message: "The model failed.".into(), code: "model_failed".into() });
    insta::assert_snapshot!(chunks(log), @r#"
    {"type":"start","messageId":"run_00000000000000000000000002","messageMetadata":{"runId":"run_00000000000000000000000002","projectId":"prj_00000000000000000000000001","model":"demo","demo":true}}
    {"type":"start-step"}
    {"type":"text-start","id":"msg_00000000000000000000000009"}
    {"type":"text-delta","id":"msg_00000000000000000000000009","delta":"Su"}
    {"type":"tool-input-start","toolCallId":"call-1","toolName":"look","providerExecuted":true}
    {"type":"tool-input-delta","toolCallId":"call-1","inputTextDelta":"{\"half"}
    {"type":"text-end","id":"msg_00000000000000000000000009"}
    {"type":"tool-input-error","toolCallId":"call-1","toolName":"look","input":"{\"half","errorText":"The run ended before the tool had answered.","providerExecuted":true}
    {"type":"finish-step"}
    {"type":"error","errorText":"The model failed.","code":"model_failed"}
    {"type":"finish","finishReason":"error"}
    "#);
}

#[test]
fn a_run_that_ends_before_it_starts_is_a_complete_message() {
    let cancel = Body::CancelRequested { by: None, reason: CancelReason::Interrupted };
    let claim = Body::RunClaimed { epoch: 1, writer: "w".into(), reason: ClaimReason::Start };
    let types = types(vec![cancel, claim, finished(RunOutcome::Cancelled)]);
    assert_eq!(types, ["start", "start-step", "finish-step", "abort", "finish"]);
}

fn abandoned() -> Vec<Body> {
    let mut log = started();
    log.extend(begin(4, "Hal"));
    log.push(Body::RunClaimed { epoch: 2, writer: "x".into(), reason: ClaimReason::TakeOver });
    log.push(Body::MessageAbandoned { message_id: msg(4) });
    log.extend(begin(5, "Whole."));
    log.extend([end(5), finished(RunOutcome::Success)]);
    log
}

#[test]
fn an_abandoned_message_is_marked_and_the_answer_is_the_last_step() {
    insta::assert_snapshot!(chunks(abandoned()), @r#"
    {"type":"start","messageId":"run_00000000000000000000000002","messageMetadata":{"runId":"run_00000000000000000000000002","projectId":"prj_00000000000000000000000001","model":"demo","demo":true}}
    {"type":"start-step"}
    {"type":"text-start","id":"msg_00000000000000000000000004"}
    {"type":"text-delta","id":"msg_00000000000000000000000004","delta":"Hal"}
    {"type":"text-end","id":"msg_00000000000000000000000004","providerMetadata":{"sequent":{"abandoned":true}}}
    {"type":"data-sequent-event","data":{"seq":7,"v":1,"timestamp":5,"type":"MESSAGE_ABANDONED","messageId":"msg_00000000000000000000000004"},"transient":true}
    {"type":"finish-step"}
    {"type":"start-step"}
    {"type":"text-start","id":"msg_00000000000000000000000005"}
    {"type":"text-delta","id":"msg_00000000000000000000000005","delta":"Whole."}
    {"type":"text-end","id":"msg_00000000000000000000000005"}
    {"type":"finish-step"}
    {"type":"finish","finishReason":"stop"}
    "#);
}

#[test]
fn an_event_without_a_type_in_the_protocol_is_sent_as_data() {
    let fields = json!({"type": "HOLOGRAM_SHOWN", "v": 3, "depth": 7});
    let payload = Payload::Unknown(fields.as_object().unwrap().clone());
    let event = Entry { at: Timestamp::from_millis(5), payload }.at_seq(Seq(1));
    let mut projector = Projector::new(run());
    let [chunk] = projector.push(&event).try_into().unwrap();
    let expected = json!({"type": "data-sequent-event", "transient": true, "data":
        {"seq": 1, "timestamp": 5, "type": "HOLOGRAM_SHOWN", "v": 3, "depth": 7}});
    assert_eq!(serde_json::to_value(&chunk).unwrap(), expected);
}

#[test]
fn tool_text_is_json_where_it_is_an_object_or_array() {
    let json = |json: Json| serde_json::to_string(&json).unwrap();
    assert_eq!(json(Json::of(" [1] ")), "[1]");
    assert_eq!(json(Json::of("{broken")), "\"{broken\"");
    assert_eq!(json(Json::of("12")), "\"12\"");
    assert_eq!(json(Json::of_arguments(" ")), "{}");
}

fn approval(id: u128) -> Question {
    Question {
        reason: Reason::Approval,
        message: "May it run?".into(),
        tool_call_id: Some(format!("call-{id}")),
        call: None,
        response_schema: None,
        expires_at: None,
    }
}

/// The parts of the message, each as its type and state.
fn states(log: &[Body]) -> Vec<String> {
    let mut fold = MessageFold::new(run());
    for (body, seq) in log.iter().zip(1..) {
        fold.push(&Entry::new(Timestamp::from_millis(5), body.clone()).at_seq(Seq(seq)));
    }
    let text = |part: &serde_json::Value, name: &str| part[name].as_str().unwrap_or_default().to_owned();
    let parts = serde_json::to_value(&fold.message().parts).unwrap();
    parts.as_array().unwrap().iter().map(|part| text(part, "type") + " " + &text(part, "state")).collect()
}

#[test]
fn a_call_whose_run_is_cancelled_while_it_waits_has_failed() {
    let mut log = started();
    log.extend(tool("call-1", "{}"));
    let interrupt_id = InterruptId::from_bits(1);
    log.push(Body::ClarificationNeeded { interrupt_id, question: approval(1) });
    let interrupts = vec![Interrupt { id: interrupt_id, question: approval(1) }];
    log.push(finished(RunOutcome::Interrupt { interrupts }));
    assert_eq!(states(&log), ["step-start ", "tool-look approval-requested"]);
    log.push(Body::CancelRequested { by: None, reason: CancelReason::Requested });
    log.push(Body::RunClaimed { epoch: 2, writer: "w".into(), reason: ClaimReason::Resume });
    log.push(Body::RunStarted { thread_id: project(), run_id: run(), parent_run_id: None });
    log.push(finished(RunOutcome::Cancelled));
    // The empty step keeps the SDK from sending the message again.
    assert_eq!(states(&log), ["step-start ", "tool-look output-error", "step-start "]);
}

#[test]
fn of_several_approvals_the_first_is_shown_as_open_until_all_are_given() {
    let mut log = started();
    log.extend(tool("call-1", "{}"));
    log.extend(tool("call-2", "{}"));
    let ids = [1, 2].map(InterruptId::from_bits);
    for (interrupt_id, question) in ids.into_iter().zip([approval(1), approval(2)]) {
        log.push(Body::ClarificationNeeded { interrupt_id, question });
    }
    let asked = ids.into_iter().zip([approval(1), approval(2)]);
    let interrupts = asked.map(|(id, question)| Interrupt { id, question }).collect();
    log.push(finished(RunOutcome::Interrupt { interrupts }));
    let answer = |at: usize, remaining| {
        let payload = Some(json!({"approved": true}));
        let status = AnswerStatus::Resolved;
        Body::ClarificationAnswered(InterruptAnswer {
            interrupt_id: ids[at],
            status,
            payload,
            by: None,
            remaining,
        })
    };
    log.push(answer(0, 1));
    let open = ["step-start ", "tool-look approval-requested", "tool-look approval-requested"];
    assert_eq!(states(&log), open, "a client can still send both");
    log.push(answer(1, 0));
    log.push(Body::RunClaimed { epoch: 2, writer: "w".into(), reason: ClaimReason::Resume });
    log.push(Body::RunStarted { thread_id: project(), run_id: run(), parent_run_id: None });
    assert_eq!(states(&log), ["step-start ", "tool-look input-available", "tool-look input-available"]);
}

#[test]
fn a_call_that_is_asked_about_again_waits_again() {
    let mut log = started();
    log.extend(tool("call-1", "{}"));
    let [first, second] = [1, 2].map(InterruptId::from_bits);
    let question = || Question { reason: Reason::ClientTool, ..approval(1) };
    log.push(Body::ClarificationNeeded { interrupt_id: first, question: question() });
    let interrupts = vec![Interrupt { id: first, question: question() }];
    log.push(finished(RunOutcome::Interrupt { interrupts }));
    log.push(Body::ClarificationAnswered(InterruptAnswer {
        interrupt_id: first,
        status: AnswerStatus::Resolved,
        payload: Some(json!({"place": "Vienna"})),
        by: None,
        remaining: 0,
    }));
    assert_eq!(states(&log), ["step-start ", "tool-look output-available"]);
    // The owner that was to store the result was lost, and the next one asks again.
    log.push(Body::RunClaimed { epoch: 2, writer: "w".into(), reason: ClaimReason::TakeOver });
    log.push(Body::RunStarted { thread_id: project(), run_id: run(), parent_run_id: None });
    log.push(Body::ClarificationNeeded { interrupt_id: second, question: question() });
    let interrupts = vec![Interrupt { id: second, question: question() }];
    log.push(finished(RunOutcome::Interrupt { interrupts }));
    assert_eq!(states(&log), ["step-start ", "tool-look input-available"]);
}

#[test]
fn feedback_is_no_part_of_the_stream() {
    let rated = |run| {
        let rating = sequent_event::Rating { comment: Some("Good.".into()), ..Default::default() };
        let by = sequent_core::UserId::from_bits(1);
        Body::FeedbackGiven(sequent_event::FeedbackChange { by, message_id: None, rating: Some(rating), run })
    };
    let mut log = started();
    log.extend(begin(9, "Hello."));
    log.extend([end(9), finished(RunOutcome::Success)]);
    let before = chunks(log.clone());
    log.push(rated(sequent_event::RunStage::Ended));
    log.insert(3, rated(sequent_event::RunStage::Live));
    assert_eq!(chunks(log), before);
}
