//! The same logs read by the real clients: `ai` (versions 5, 6 and 7), `@ai-sdk/workflow` and
//! `eventsource-parser`.
//!
//! This writes what the projections make of representative and random logs to a temporary folder and runs the
//! tests of `infra/e2e/node` over it, which parse every frame strictly and replay the streams over HTTP with
//! cuts.

use std::{fs, path::Path, process::Command};

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use sequent_event::{Event, Phase, Seq, State};
use sequent_protocol::{event_source, native, sse::Frame, ui_message};
use serde_json::{Value, json};

use crate::{
    generator::{Log, logs, run},
    representative,
};

const RANDOM_LOGS: usize = 30;

#[test]
fn the_public_clients_read_our_streams() {
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/e2e/node");
    assert!(clients.join("node_modules").is_dir(), "run `npm ci` in infra/e2e/node first");

    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, log: &[Event]| {
        let text = serde_json::to_string(&fixture(name, log)).unwrap();
        fs::write(folder.path().join(format!("{name}.json")), text).unwrap();
    };
    write("representative", &representative::log());
    write("client-tool", &representative::client_tool());
    write("approved", &representative::approval(true));
    write("denied", &representative::approval(false));
    write("long", &long());
    // The same logs every time: a failure can be looked at again.
    let mut runner = TestRunner::deterministic();
    for number in 0..RANDOM_LOGS {
        let mut log = logs(60).new_tree(&mut runner).unwrap().current();
        if number % 4 != 0 {
            log = ended(log);
        }
        write(&format!("random-{number:02}"), &log);
    }

    let output = Command::new("node")
        .args(["--test", "--test-reporter=tap"])
        .current_dir(clients)
        .env("SEQUENT_FIXTURES", folder.path())
        .output()
        .expect("Node.js 20 or later is installed");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// 200 events and more, for cuts at every boundary.
fn long() -> Vec<Event> {
    let mut log = Log::default();
    log.prompt("Count.");
    log.claim();
    log.start();
    let numbers: Vec<String> = (0..200).map(|n| format!("{n} é\u{2028}\n")).collect();
    log.say(&numbers.iter().map(String::as_str).collect::<Vec<_>>());
    log.finish(sequent_event::RunOutcome::Success);
    log.events
}

/// The log up to its first end, ended if it has none.
fn ended(events: Vec<Event>) -> Vec<Event> {
    let mut log = Log::default();
    for event in events {
        log.push_entry(event.entry);
        if log.state.phase.is_closed() {
            break;
        }
    }
    if log.state.phase == Phase::Pending {
        log.claim();
        log.start();
    }
    log.finish(sequent_event::RunOutcome::Success);
    log.events
}

fn fixture(name: &str, log: &[Event]) -> Value {
    let state = State::of(log).expect("the generator makes valid logs");
    let mut simple = event_source::Projector::new(run());
    let simple: Vec<Value> = log
        .iter()
        .flat_map(|event| simple.push(event).into_iter().map(|frame| placed(event.seq, &frame)))
        .collect();
    json!({
        "name": name,
        "run": run(),
        "events": log,
        "closed": log.last().is_some_and(Event::is_terminal),
        "terminals": log.iter().filter(|event| event.is_terminal()).count(),
        "failed": log.iter().any(|event| event.entry.type_name() == "RUN_ERROR"),
        "answers": state.answers.iter().map(|answer| &answer.text).collect::<Vec<_>>(),
        "open": state.open.as_ref().filter(|open| !open.reasoning).map(|open| &open.text),
        "answer_text": state.answer_text(),
        "native": log.iter().map(|event| placed(event.seq, &native::frame(event))).collect::<Vec<_>>(),
        "simple": simple,
        "ui": ui(ui_message::Projector::new(run()), log),
        "ui5": ui(ui_message::Projector::new(run()).without_approvals(), log),
        "history": history(log),
        "done": ui_message::done().as_str(),
        "heartbeat": Frame::heartbeat().as_str(),
        "cut": ui_message::cut().as_str(),
    })
}

fn placed(seq: Seq, frame: &Frame) -> Value {
    json!({"seq": seq, "frame": frame.as_str()})
}

/// The message that the history of the chat shows.
fn history(log: &[Event]) -> Value {
    let mut fold = ui_message::MessageFold::new(run());
    log.iter().for_each(|event| fold.push(event));
    serde_json::to_value(fold.message()).expect("a message is JSON")
}

fn ui(mut projector: ui_message::Projector, log: &[Event]) -> Vec<String> {
    log.iter().flat_map(|event| projector.push(event)).map(|chunk| chunk.frame().into()).collect()
}
