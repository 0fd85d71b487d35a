//! Properties of the projections on random logs.

use std::collections::BTreeSet;

use proptest::prelude::*;
use sequent_event::{Body, Event, Seq, State};
use sequent_protocol::{event_source, native, sse::Frame, ui_message};
use serde_json::Value;

use crate::generator::{logs, run};

/// The types of approvals, which only versions 6 and 7 have.
const APPROVALS: [&str; 2] = ["tool-approval-request", "tool-output-denied"];

/// The types that we use of those that `uiMessageChunkSchema` has in versions 5, 6 and 7.
const ALLOWED: [&str; 21] = [
    "start",
    "start-step",
    "text-start",
    "text-delta",
    "text-end",
    "reasoning-start",
    "reasoning-delta",
    "reasoning-end",
    "tool-input-start",
    "tool-input-delta",
    "tool-input-available",
    "tool-input-error",
    "tool-output-available",
    "tool-output-error",
    "source-url",
    "data-sequent-event",
    "message-metadata",
    "finish-step",
    "finish",
    "abort",
    "error",
];

fn event_source_frames(log: &[Event], after: Seq) -> Vec<Frame> {
    let mut projector = event_source::Projector::resume(event_source::Cursor { run: run(), after });
    log.iter().flat_map(|event| projector.push(event)).collect()
}

fn ui_frames(log: &[Event], skip: u64) -> Vec<Frame> {
    let mut projector = ui_message::Projector::new(run());
    log.iter().flat_map(|event| projector.push_after(skip, event)).map(|chunk| chunk.frame()).collect()
}

fn ui_chunks(log: &[Event]) -> Vec<Value> {
    chunks_of(ui_message::Projector::new(run()), log)
}

fn chunks_of(mut projector: ui_message::Projector, log: &[Event]) -> Vec<Value> {
    let chunks = log.iter().flat_map(|event| projector.push(event));
    chunks.map(|chunk| serde_json::from_str(&fields(&chunk.frame()).1).expect("chunks are JSON")).collect()
}

/// The event name and the joined data of a frame, as a client reads them.
fn fields(frame: &Frame) -> (Option<&str>, String) {
    let lines = || frame.as_str().lines();
    let event = lines().find_map(|line| line.strip_prefix("event: "));
    let data: Vec<&str> = lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    (event, data.join("\n"))
}

fn kind(chunk: &Value) -> &str {
    chunk["type"].as_str().expect("chunks have a type")
}

/// Reads chunks like `processUIMessageStream`. Returns the text parts as `(text, marked as abandoned)`.
/// Panics where the SDK throws.
fn read_texts(chunks: &[Value]) -> Vec<(String, bool)> {
    let mut parts: Vec<(String, String, bool)> = Vec::new(); // id, text, abandoned; the id of a complete part is empty
    let mut reasoning: BTreeSet<&str> = BTreeSet::new();
    let mut tools: BTreeSet<&str> = BTreeSet::new();
    for chunk in chunks {
        let id = chunk["id"].as_str().or(chunk["toolCallId"].as_str()).unwrap_or_default();
        let open = parts.iter_mut().find(|part| part.0 == id && !id.is_empty());
        match kind(chunk) {
            "text-start" => parts.push((id.to_owned(), String::new(), false)),
            "text-delta" => {
                open.expect("a delta has a start").1 += chunk["delta"].as_str().expect("a delta is text");
            }
            "text-end" => {
                let part = open.expect("an end has a start");
                part.0.clear();
                part.2 = chunk["providerMetadata"]["sequent"]["abandoned"] == true;
            }
            "reasoning-start" => assert!(reasoning.insert(id)),
            "reasoning-delta" => assert!(reasoning.contains(id)),
            "reasoning-end" => assert!(reasoning.remove(id)),
            "tool-input-start" => {
                tools.insert(id);
            }
            "tool-input-delta"
            | "tool-input-available"
            | "tool-input-error"
            | "tool-approval-request"
            | "tool-output-denied"
            | "tool-output-available"
            | "tool-output-error" => assert!(tools.contains(id), "{chunk} without a start"),
            "finish-step" => {
                assert!(parts.iter().all(|part| part.0.is_empty()), "version 5 would lose an open text");
                assert!(reasoning.is_empty(), "version 5 would lose open reasoning");
            }
            _ => {}
        }
    }
    parts.into_iter().map(|(_, text, abandoned)| (text, abandoned)).collect()
}

/// Returns `true` if an owner completes a call that another one began. The agent never does: it asks for the response again.
fn is_completed_by_another_owner(log: &[Event]) -> bool {
    let mut owner = 0;
    let mut begun: Vec<(&str, u32)> = Vec::new();
    log.iter().filter_map(Event::body).any(|body| match body {
        Body::RunClaimed { epoch, .. } => {
            owner = *epoch;
            false
        }
        Body::ToolCallStart { tool_call_id, .. } => {
            begun.push((tool_call_id, owner));
            false
        }
        Body::ToolCallEnd { tool_call_id } => {
            begun.iter().any(|(call, by)| *call == tool_call_id.as_str() && *by != owner)
        }
        _ => false,
    })
}

proptest! {
    #[test]
    fn a_resumed_event_source_stream_is_the_rest_of_the_whole(log in logs(60), at in any::<prop::sample::Index>()) {
        let at = at.index(log.len() + 1);
        let mut projector = event_source::Projector::new(run());
        let whole: Vec<Vec<Frame>> = log.iter().map(|event| projector.push(event)).collect();
        let rest: Vec<Frame> = whole[at..].concat();
        prop_assert_eq!(event_source_frames(&log, Seq(at as u64)), rest);
    }

    #[test]
    fn a_resumed_ui_stream_is_the_rest_of_the_whole(log in logs(60), at in any::<prop::sample::Index>()) {
        let whole = ui_frames(&log, 0);
        let at = at.index(whole.len() + 1);
        prop_assert_eq!(&ui_frames(&log, at as u64), &whole[at..]);
        // A longer log only adds chunks: every replay contains what was sent live.
        let shorter = ui_frames(&log[..log.len() / 2], 0);
        prop_assert_eq!(&shorter, &whole[..shorter.len()]);
    }

    #[test]
    fn the_count_is_the_number_of_chunks(log in logs(60)) {
        let mut projector = ui_message::Projector::new(run());
        let mut seen = 0;
        for event in &log {
            seen += projector.push(event).len() as u64;
            prop_assert_eq!(projector.count(), seen);
        }
    }

    #[test]
    fn native_frames_are_the_events(log in logs(40)) {
        for event in &log {
            let frame = native::frame(event);
            let (name, data) = fields(&frame);
            prop_assert_eq!(name, Some(event.entry.type_name()));
            prop_assert_eq!(&serde_json::from_str::<Event>(&data).unwrap(), event);
            let id = format!("id: {}\n", event.seq);
            prop_assert!(frame.as_str().starts_with(&id));
        }
    }

    #[test]
    fn the_text_of_the_event_source_stream_is_the_answer(log in logs(80)) {
        let mut projector = event_source::Projector::new(run());
        let mut state = State::default();
        let mut text = String::new();
        for event in &log {
            state.apply(event).unwrap();
            for frame in projector.push(event) {
                let (name, data) = fields(&frame);
                let data: Value = serde_json::from_str(&data).unwrap_or_default();
                match name {
                    None => text += data["delta"].as_str().unwrap_or_default(),
                    Some("reset") => text = data["content"].as_str().unwrap().to_owned(),
                    Some("end") => {
                        prop_assert_eq!(&data["content"], &text);
                        prop_assert_eq!(&state.answer_text(), &text);
                    }
                    name => prop_assert!(matches!(name, Some("start" | "error"))),
                }
            }
            if event.is_terminal() {
                prop_assert_eq!(&state.answer_text(), &text);
            }
        }
    }

    #[test]
    fn every_version_of_the_sdk_can_read_the_ui_stream(log in logs(80)) {
        for chunk in ui_chunks(&log) {
            prop_assert!(ALLOWED.contains(&kind(&chunk)) || APPROVALS.contains(&kind(&chunk)), "{}", chunk);
        }
        for chunk in chunks_of(ui_message::Projector::new(run()).without_approvals(), &log) {
            prop_assert!(ALLOWED.contains(&kind(&chunk)), "{}", chunk);
        }
    }

    /// The SDK sends a message whose calls all have results again, if one of them does not run here. Only a run that waits for
    /// nothing else takes it.
    #[test]
    fn the_sdk_sends_a_message_again_only_if_the_run_waits_for_it(log in logs(80)) {
        if is_completed_by_another_owner(&log) {
            return Ok(());
        }
        let state = State::of(&log).unwrap();
        let mut fold = ui_message::MessageFold::new(run());
        log.iter().for_each(|event| fold.push(event));
        let parts = serde_json::to_value(&fold.message().parts).unwrap();
        let parts = parts.as_array().unwrap();
        let start = parts.iter().rposition(|part| part["type"] == "step-start").map_or(0, |at| at + 1);
        let calls: Vec<&Value> = parts[start..].iter().filter(|part| part["toolCallId"].is_string()).collect();
        let of_client = || calls.iter().filter(|call| call["providerExecuted"] == false);
        let is_complete = of_client().next().is_some()
            && of_client().all(|call| call["state"] == "output-available" || call["state"] == "output-error");
        if is_complete && log.last().is_some_and(Event::leaves_closed) {
            prop_assert!(state.open_interrupts().next().is_none() && state.is_interrupted());
        }
    }

    #[test]
    fn ui_text_that_is_not_marked_is_the_answer(log in logs(80)) {
        let state = State::of(&log).unwrap();
        let mut answers: Vec<String> = state.answers.iter().map(|answer| answer.text.clone()).collect();
        answers.extend(state.open.filter(|open| !open.reasoning).map(|open| open.text));
        let mut shown = read_texts(&ui_chunks(&log));
        shown.retain(|(_, abandoned)| !abandoned);
        prop_assert_eq!(shown.into_iter().map(|(text, _)| text).collect::<Vec<_>>(), answers);
    }

    #[test]
    fn steps_and_messages_of_the_ui_stream_are_framed(log in logs(80)) {
        let chunks = ui_chunks(&log);
        let mut outside = true;
        let mut in_step = false;
        for chunk in &chunks {
            match kind(chunk) {
                "start" => prop_assert!(std::mem::replace(&mut outside, false), "start inside a message"),
                "start-step" => prop_assert!(!std::mem::replace(&mut in_step, true)),
                "finish-step" => prop_assert!(std::mem::replace(&mut in_step, false)),
                "finish" => {
                    // The next execution goes on with a step whose calls wait.
                    let waits = chunk["finishReason"] == "tool-calls";
                    prop_assert!(!in_step || waits, "finish inside a step");
                    prop_assert!(!std::mem::replace(&mut outside, true), "finish without start");
                }
                "data-sequent-event" | "message-metadata" | "abort" | "error" => {}
                other => prop_assert!(in_step, "{} outside a step", other),
            }
        }
        let terminals = log.iter().filter(|event| event.is_terminal()).count();
        let finishes = chunks.iter().filter(|chunk| kind(chunk) == "finish").count();
        prop_assert_eq!(finishes, terminals, "one finish per execution");
    }
}
