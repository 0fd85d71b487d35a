//! One run with events of many types, in each protocol.

use sequent_event::{AnswerStatus, Body, Configuration, Event, Reason, Replay, Role, RunOutcome, copies};
use sequent_protocol::{event_source, native, sse::Frame, ui_message};
use serde_json::json;

use crate::generator::{Log, run, usage};

/// A log with reasoning, a tool call, a crash within a message, the answer and its cost.
pub(crate) fn log() -> Vec<Event> {
    let mut log = Log::default();
    log.prompt("What's the weather?");
    log.claim();
    log.start();
    let message_id = log.fresh();
    log.push(Body::ReasoningStart { message_id });
    log.push(Body::ReasoningMessageStart { message_id, role: Role::Reasoning });
    log.push(Body::ReasoningMessageContent { message_id, delta: "Look it up.".into() });
    log.push(Body::ReasoningMessageEnd { message_id });
    log.push(Body::ReasoningEnd { message_id });
    let tool_call_id = "call_1".to_owned();
    log.push(Body::ToolCallStart {
        tool_call_id: tool_call_id.clone(),
        tool_call_name: "weather".into(),
        parent_message_id: None,
    });
    log.push(Body::ToolCallArgs { tool_call_id: tool_call_id.clone(), delta: "{\"city\":".into() });
    log.push(Body::ToolCallArgs { tool_call_id: tool_call_id.clone(), delta: "\"Bern\"}".into() });
    log.push(Body::ToolCallEnd { tool_call_id: tool_call_id.clone() });
    let message_id = log.fresh();
    log.push(Body::ToolCallResult {
        message_id,
        tool_call_id,
        content: "{\"sky\":\"clear\"}".into(),
        error: None,
    });
    let message_id = log.say(&["It is s"]);
    log.claim();
    log.push(Body::MessageAbandoned { message_id });
    log.say(&["Clear sky", "\nover Bern."]);
    log.push(usage());
    log.finish(RunOutcome::Success);
    log.events
}

fn text(frames: impl IntoIterator<Item = Frame>) -> String {
    frames.into_iter().map(String::from).collect()
}

#[test]
fn native_shows_every_event() {
    insta::assert_snapshot!(text(log().iter().map(native::frame)), @r#"
    id: 1
    event: USER_MESSAGE
    data: {"seq":1,"v":1,"timestamp":1700000000000,"type":"USER_MESSAGE","messageId":"msg_00000000000000000000000001","content":"What's the weather?","model":"demo"}

    id: 2
    event: RUN_CLAIMED
    data: {"seq":2,"v":1,"timestamp":1700000000000,"type":"RUN_CLAIMED","epoch":1,"writer":"writer-1","reason":"start"}

    id: 3
    event: RUN_STARTED
    data: {"seq":3,"v":1,"timestamp":1700000000000,"type":"RUN_STARTED","threadId":"prj_00000000000000000000000001","runId":"run_00000000000000000000000002"}

    id: 4
    event: REASONING_START
    data: {"seq":4,"v":1,"timestamp":1700000000000,"type":"REASONING_START","messageId":"msg_00000000000000000000000002"}

    id: 5
    event: REASONING_MESSAGE_START
    data: {"seq":5,"v":1,"timestamp":1700000000000,"type":"REASONING_MESSAGE_START","messageId":"msg_00000000000000000000000002","role":"reasoning"}

    id: 6
    event: REASONING_MESSAGE_CONTENT
    data: {"seq":6,"v":1,"timestamp":1700000000000,"type":"REASONING_MESSAGE_CONTENT","messageId":"msg_00000000000000000000000002","delta":"Look it up."}

    id: 7
    event: REASONING_MESSAGE_END
    data: {"seq":7,"v":1,"timestamp":1700000000000,"type":"REASONING_MESSAGE_END","messageId":"msg_00000000000000000000000002"}

    id: 8
    event: REASONING_END
    data: {"seq":8,"v":1,"timestamp":1700000000000,"type":"REASONING_END","messageId":"msg_00000000000000000000000002"}

    id: 9
    event: TOOL_CALL_START
    data: {"seq":9,"v":1,"timestamp":1700000000000,"type":"TOOL_CALL_START","toolCallId":"call_1","toolCallName":"weather"}

    id: 10
    event: TOOL_CALL_ARGS
    data: {"seq":10,"v":1,"timestamp":1700000000000,"type":"TOOL_CALL_ARGS","toolCallId":"call_1","delta":"{\"city\":"}

    id: 11
    event: TOOL_CALL_ARGS
    data: {"seq":11,"v":1,"timestamp":1700000000000,"type":"TOOL_CALL_ARGS","toolCallId":"call_1","delta":"\"Bern\"}"}

    id: 12
    event: TOOL_CALL_END
    data: {"seq":12,"v":1,"timestamp":1700000000000,"type":"TOOL_CALL_END","toolCallId":"call_1"}

    id: 13
    event: TOOL_CALL_RESULT
    data: {"seq":13,"v":1,"timestamp":1700000000000,"type":"TOOL_CALL_RESULT","messageId":"msg_00000000000000000000000003","toolCallId":"call_1","content":"{\"sky\":\"clear\"}"}

    id: 14
    event: TEXT_MESSAGE_START
    data: {"seq":14,"v":1,"timestamp":1700000000000,"type":"TEXT_MESSAGE_START","messageId":"msg_00000000000000000000000004","role":"assistant"}

    id: 15
    event: TEXT_MESSAGE_CONTENT
    data: {"seq":15,"v":1,"timestamp":1700000000000,"type":"TEXT_MESSAGE_CONTENT","messageId":"msg_00000000000000000000000004","delta":"It is s"}

    id: 16
    event: RUN_CLAIMED
    data: {"seq":16,"v":1,"timestamp":1700000000000,"type":"RUN_CLAIMED","epoch":2,"writer":"writer-2","reason":"take_over"}

    id: 17
    event: MESSAGE_ABANDONED
    data: {"seq":17,"v":1,"timestamp":1700000000000,"type":"MESSAGE_ABANDONED","messageId":"msg_00000000000000000000000004"}

    id: 18
    event: TEXT_MESSAGE_START
    data: {"seq":18,"v":1,"timestamp":1700000000000,"type":"TEXT_MESSAGE_START","messageId":"msg_00000000000000000000000005","role":"assistant"}

    id: 19
    event: TEXT_MESSAGE_CONTENT
    data: {"seq":19,"v":1,"timestamp":1700000000000,"type":"TEXT_MESSAGE_CONTENT","messageId":"msg_00000000000000000000000005","delta":"Clear sky"}

    id: 20
    event: TEXT_MESSAGE_CONTENT
    data: {"seq":20,"v":1,"timestamp":1700000000000,"type":"TEXT_MESSAGE_CONTENT","messageId":"msg_00000000000000000000000005","delta":"\nover Bern."}

    id: 21
    event: USAGE_RECORDED
    data: {"seq":21,"v":1,"timestamp":1700000000000,"type":"USAGE_RECORDED","provider":"demo","model":"demo","inputTokens":12,"outputTokens":7,"costMicroUsd":3,"estimated":true,"latencyMs":250,"finishReason":"stop"}

    id: 22
    event: TEXT_MESSAGE_END
    data: {"seq":22,"v":1,"timestamp":1700000000000,"type":"TEXT_MESSAGE_END","messageId":"msg_00000000000000000000000005"}

    id: 23
    event: RUN_FINISHED
    data: {"seq":23,"v":1,"timestamp":1700000000000,"type":"RUN_FINISHED","threadId":"prj_00000000000000000000000001","runId":"run_00000000000000000000000002","outcome":{"type":"success"}}
    "#);
}

#[test]
fn event_source_shows_the_answer() {
    let mut projector = event_source::Projector::new(run());
    insta::assert_snapshot!(text(log().iter().flat_map(|event| projector.push(event))), @r#"
    id: run_00000000000000000000000002:1
    event: start
    data: {"run_id":"run_00000000000000000000000002"}

    id: run_00000000000000000000000002:15
    data: {"delta":"It is s"}

    id: run_00000000000000000000000002:17
    event: reset
    data: {"content":""}

    id: run_00000000000000000000000002:19
    data: {"delta":"Clear sky"}

    id: run_00000000000000000000000002:20
    data: {"delta":"\nover Bern."}

    id: run_00000000000000000000000002:23
    event: end
    data: {"content":"Clear sky\nover Bern."}
    "#);
}

#[test]
fn ui_message_shows_steps_tools_and_text() {
    let mut projector = ui_message::Projector::new(run());
    let chunks = text(log().iter().flat_map(|event| projector.push(event)).map(|chunk| chunk.frame()));
    insta::assert_snapshot!(chunks + ui_message::done().as_str(), @r#"
    data: {"type":"start","messageId":"run_00000000000000000000000002","messageMetadata":{"runId":"run_00000000000000000000000002","projectId":"prj_00000000000000000000000001","model":"demo","demo":true}}

    data: {"type":"start-step"}

    data: {"type":"reasoning-start","id":"msg_00000000000000000000000002"}

    data: {"type":"reasoning-delta","id":"msg_00000000000000000000000002","delta":"Look it up."}

    data: {"type":"reasoning-end","id":"msg_00000000000000000000000002"}

    data: {"type":"tool-input-start","toolCallId":"call_1","toolName":"weather","providerExecuted":true}

    data: {"type":"tool-input-delta","toolCallId":"call_1","inputTextDelta":"{\"city\":"}

    data: {"type":"tool-input-delta","toolCallId":"call_1","inputTextDelta":"\"Bern\"}"}

    data: {"type":"tool-input-available","toolCallId":"call_1","toolName":"weather","input":{"city":"Bern"},"providerExecuted":true}

    data: {"type":"tool-output-available","toolCallId":"call_1","output":{"sky":"clear"},"providerExecuted":true}

    data: {"type":"finish-step"}

    data: {"type":"start-step"}

    data: {"type":"text-start","id":"msg_00000000000000000000000004"}

    data: {"type":"text-delta","id":"msg_00000000000000000000000004","delta":"It is s"}

    data: {"type":"text-end","id":"msg_00000000000000000000000004","providerMetadata":{"sequent":{"abandoned":true}}}

    data: {"type":"data-sequent-event","data":{"seq":17,"v":1,"timestamp":1700000000000,"type":"MESSAGE_ABANDONED","messageId":"msg_00000000000000000000000004"},"transient":true}

    data: {"type":"finish-step"}

    data: {"type":"start-step"}

    data: {"type":"text-start","id":"msg_00000000000000000000000005"}

    data: {"type":"text-delta","id":"msg_00000000000000000000000005","delta":"Clear sky"}

    data: {"type":"text-delta","id":"msg_00000000000000000000000005","delta":"\nover Bern."}

    data: {"type":"message-metadata","messageMetadata":{"model":"demo","provider":"demo","demo":true,"usage":{"inputTokens":12,"outputTokens":7,"costMicroUsd":3}}}

    data: {"type":"text-end","id":"msg_00000000000000000000000005"}

    data: {"type":"finish-step"}

    data: {"type":"finish","finishReason":"stop"}

    data: [DONE]
    "#);
}

/// A call of the tool `name`, and the usage of the response that makes it.
fn call(log: &mut Log, id: &str, name: &str) {
    let tool_call_id = id.to_owned();
    log.push(Body::ToolCallStart {
        tool_call_id: tool_call_id.clone(),
        tool_call_name: name.into(),
        parent_message_id: None,
    });
    log.push(Body::ToolCallArgs { tool_call_id: tool_call_id.clone(), delta: "{\"for\":\"Bern\"}".into() });
    log.push(Body::ToolCallEnd { tool_call_id });
    log.push(usage());
}

fn result(log: &mut Log, id: &str, content: &str) {
    let message_id = log.fresh();
    log.push(Body::ToolCallResult {
        message_id,
        tool_call_id: id.into(),
        content: content.into(),
        error: None,
    });
}

fn answer_and_finish(log: &mut Log) {
    let message_id = log.say(&["Here."]);
    log.push(Body::TextMessageEnd { message_id });
    log.push(usage());
    log.finish(RunOutcome::Success);
}

/// A log with a call that the client carries out, beside one that runs here.
pub(crate) fn client_tool() -> Vec<Event> {
    let mut log = Log::default();
    log.configure();
    log.prompt("Where am I?");
    log.claim();
    log.start();
    call(&mut log, "call_1", "locate");
    call(&mut log, "call_2", "weather");
    result(&mut log, "call_2", "sunny");
    log.ask(Reason::Question);
    log.answer(AnswerStatus::Resolved, Some(json!({"at": 47})));
    result(&mut log, "call_1", "{\"at\":47}");
    answer_and_finish(&mut log);
    log.events
}

/// A log with a call that a person approves or denies.
pub(crate) fn approval(approved: bool) -> Vec<Event> {
    let mut log = Log::default();
    log.prompt("Send it.");
    log.claim();
    log.start();
    call(&mut log, "call_1", "wire");
    log.ask(Reason::Approval);
    log.answer(AnswerStatus::Resolved, Some(json!({"approved": approved, "reason": "Too much."})));
    result(&mut log, "call_1", if approved { "wired" } else { "The person did not approve `wire`." });
    answer_and_finish(&mut log);
    log.events
}

/// The chunks, without those that the comparison of all logs covers.
fn chunks_of(log: &[Event]) -> String {
    let mut projector = ui_message::Projector::new(run());
    let chunks = log.iter().flat_map(|event| projector.push(event));
    let lines = chunks.map(|chunk| serde_json::to_string(&chunk).expect("a chunk is JSON"));
    let left_out = [
        "message-metadata",
        "data-sequent-event",
        "\"text-",
        "tool-input-start",
        "tool-input-delta",
        "\"start\"",
    ];
    let lines = lines.filter(|line| !left_out.iter().any(|kind| line.contains(kind)));
    lines.map(|line| line + "\n").collect()
}

#[test]
fn a_call_of_the_client_waits_and_its_step_goes_on_with_the_answer() {
    insta::assert_snapshot!(chunks_of(&client_tool()), @r#"
    {"type":"start-step"}
    {"type":"tool-input-available","toolCallId":"call_1","toolName":"locate","input":{"for":"Bern"},"providerExecuted":false}
    {"type":"tool-input-available","toolCallId":"call_2","toolName":"weather","input":{"for":"Bern"},"providerExecuted":true}
    {"type":"tool-output-available","toolCallId":"call_2","output":"sunny","providerExecuted":true}
    {"type":"finish","finishReason":"tool-calls"}
    {"type":"tool-output-available","toolCallId":"call_1","output":{"at":47},"providerExecuted":false}
    {"type":"finish-step"}
    {"type":"start-step"}
    {"type":"finish-step"}
    {"type":"finish","finishReason":"stop"}
    "#);
}

#[test]
fn a_call_that_is_approved_runs_in_its_step() {
    insta::assert_snapshot!(chunks_of(&approval(true)), @r#"
    {"type":"start-step"}
    {"type":"tool-input-available","toolCallId":"call_1","toolName":"wire","input":{"for":"Bern"},"providerExecuted":true}
    {"type":"tool-input-available","toolCallId":"call_1","toolName":"wire","input":{"for":"Bern"},"providerExecuted":false}
    {"type":"tool-approval-request","approvalId":"int_00000000000000000000000002","toolCallId":"call_1"}
    {"type":"finish","finishReason":"tool-calls"}
    {"type":"tool-input-available","toolCallId":"call_1","toolName":"wire","input":{"for":"Bern"},"providerExecuted":true}
    {"type":"tool-output-available","toolCallId":"call_1","output":"wired","providerExecuted":true}
    {"type":"finish-step"}
    {"type":"start-step"}
    {"type":"finish-step"}
    {"type":"finish","finishReason":"stop"}
    "#);
}

#[test]
fn a_call_that_is_denied_says_so_and_has_no_result() {
    insta::assert_snapshot!(chunks_of(&approval(false)), @r#"
    {"type":"start-step"}
    {"type":"tool-input-available","toolCallId":"call_1","toolName":"wire","input":{"for":"Bern"},"providerExecuted":true}
    {"type":"tool-input-available","toolCallId":"call_1","toolName":"wire","input":{"for":"Bern"},"providerExecuted":false}
    {"type":"tool-approval-request","approvalId":"int_00000000000000000000000002","toolCallId":"call_1"}
    {"type":"finish","finishReason":"tool-calls"}
    {"type":"tool-output-denied","toolCallId":"call_1","reason":"Too much."}
    {"type":"finish-step"}
    {"type":"start-step"}
    {"type":"finish-step"}
    {"type":"finish","finishReason":"stop"}
    "#);
}

/// The log of a run that begins with a call of another one and its result.
fn replay() -> Vec<Event> {
    let tool_call_id = "call_1".to_owned();
    let mut source = Log::default();
    source.prompt("What's the weather?");
    source.claim();
    source.start();
    source.push(Body::ToolCallStart {
        tool_call_id: tool_call_id.clone(),
        tool_call_name: "weather".into(),
        parent_message_id: None,
    });
    source.push(Body::ToolCallEnd { tool_call_id: tool_call_id.clone() });
    source.push(usage());
    let message_id = source.fresh();
    source.push(Body::ToolCallResult { message_id, tool_call_id, content: "clear".into(), error: None });
    let copies = copies(&source.events, None);
    let replay = Replay { run_id: run(), seq: Some(source.state.last), copied: copies.len() as u64 };
    let mut log = Log::default();
    let configuration = Configuration { replay: Some(Box::new(replay)), ..Configuration::default() };
    log.push(Body::RunConfigured(Box::new(configuration)));
    log.prompt("What's the weather?");
    for copy in copies {
        assert!(log.push(copy));
    }
    log.claim();
    log.start();
    let message_id = log.say(&["Clear."]);
    log.push(Body::TextMessageEnd { message_id });
    log.push(usage());
    log.finish(RunOutcome::Success);
    log.events
}

#[test]
fn a_replay_shows_first_what_it_keeps_and_counts_only_its_own_calls() {
    let mut projector = ui_message::Projector::new(run());
    let chunks: Vec<serde_json::Value> = replay()
        .iter()
        .flat_map(|event| projector.push(event))
        .map(|chunk| serde_json::to_value(chunk).unwrap())
        .collect();
    let types: Vec<&str> = chunks.iter().map(|chunk| chunk["type"].as_str().unwrap()).collect();
    let copied = ["tool-input-start", "tool-input-available", "tool-output-available"];
    let own = ["text-start", "text-delta", "text-end", "message-metadata"];
    let expected = [
        &["start", "start-step"][..],
        &copied,
        &["finish-step", "start", "start-step"],
        &own,
        &["finish-step", "finish"],
    ];
    assert_eq!(types, expected.concat());
    let usage = chunks.iter().find(|chunk| chunk["type"] == "message-metadata").unwrap();
    assert_eq!(usage["messageMetadata"]["usage"]["inputTokens"], 12);
    let mut projector = event_source::Projector::new(run());
    let answer = text(replay().iter().flat_map(|event| projector.push(event)));
    assert!(answer.ends_with("event: end\ndata: {\"content\":\"Clear.\"}\n\n"), "{answer}");
}
