//! The corpus of recorded answers in `tests/wire`, and what is left of them after damage.

mod given_back;
mod messages;

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use proptest::prelude::*;

pub(super) use messages::messages;
use serde_json::json;

use super::*;
use crate::{Chunk, FinishReason, Usage};

/// A recorded answer of the corpus.
pub(super) struct Recording {
    pub(super) path: PathBuf,
    pub(super) protocol: Protocol,
    source: Vec<u8>,
    /// The bytes that the server sends.
    pub(super) body: Vec<u8>,
}

impl Recording {
    fn read(path: PathBuf, protocol: Protocol) -> Self {
        let source = fs::read(&path).unwrap();
        let body = match std::str::from_utf8(&source) {
            Ok(text) if is_list_of_messages(&path) => messages(text),
            _ => source.clone(),
        };
        Self { path, protocol, source, body }
    }

    /// Returns the bytes that the server would send for another text of the recording.
    fn body_of(&self, text: &str) -> Vec<u8> {
        if is_list_of_messages(&self.path) { messages(text) } else { text.into() }
    }
}

/// Returns `true` if the recording is the text of messages in AWS's event stream, one in each line.
fn is_list_of_messages(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "messages")
}

/// The outcome of an answer.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    pieces: Vec<Raw>,
    pub(super) error: Option<Error>,
}

pub(super) fn recordings() -> Vec<Recording> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire");
    let protocols =
        [("openai", Protocol::OpenAi), ("anthropic", Protocol::Anthropic), ("bedrock", Protocol::Bedrock)];
    let mut found = Vec::new();
    for (folder, protocol) in protocols {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension != "expected") {
                found.push(Recording::read(path, protocol));
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// Decodes a body that arrives in pieces of `size` bytes, as `upstream` does.
pub(super) fn decoded(protocol: Protocol, body: &[u8], size: usize) -> Outcome {
    let mut framing = Framing::new(protocol);
    let mut decoder = Decoder::new(protocol);
    let mut pieces = Vec::new();
    let mut fed = Ok(());
    for bytes in body.chunks(size.max(1)) {
        fed = framing.push(bytes, &mut |frame| decoder.push(frame, &mut pieces));
        if fed.is_err() {
            break;
        }
    }
    let fed = fed.and_then(|()| framing.end(&mut |frame| decoder.push(frame, &mut pieces)));
    let is_open = decoder.progress() == Progress::Open;
    let ended = match fed {
        Err(error) if is_open => Err(error),
        _ => decoder.finish(&mut pieces),
    };
    // A report on the way is a part of the last one.
    pieces.retain(|piece| !matches!(piece, Raw::Usage(_)));
    Outcome { pieces, error: ended.err() }
}

pub(super) fn shown(outcome: &Outcome) -> String {
    let mut text = String::new();
    for piece in &outcome.pieces {
        let line = match piece {
            Raw::Chunk(Chunk::TextDelta(text)) => format!("text {text:?}"),
            Raw::Chunk(Chunk::ReasoningDelta(text)) => format!("reasoning {text:?}"),
            Raw::Chunk(Chunk::ToolCallStart { id, name }) => format!("call {id} {name}"),
            Raw::Chunk(Chunk::ToolCallDelta { id, arguments }) => format!("arguments {id} {arguments}"),
            Raw::Chunk(Chunk::ProviderData { call_id, data }) => {
                format!("data {} {data}", call_id.as_deref().unwrap_or("of the answer"))
            }
            Raw::Chunk(Chunk::ToolCallEnd { id }) => format!("end {id}"),
            Raw::Finished { finish_reason, usage } => {
                format!(
                    "finished {}{}",
                    finish_reason.as_str(),
                    usage.as_ref().map(of_usage).unwrap_or_default()
                )
            }
            other => format!("{other:?}"),
        };
        writeln!(text, "{line}").unwrap();
    }
    if let Some(error) = &outcome.error {
        writeln!(text, "error {}: {error}", error.code()).unwrap();
    }
    text
}

fn of_usage(usage: &Usage) -> String {
    let Usage { input_tokens, output_tokens, cached_input_tokens, reasoning_tokens, .. } = usage;
    let written = match usage.cache_write_tokens {
        0 => String::new(),
        tokens => format!(" written={tokens}"),
    };
    format!(
        " input={input_tokens} output={output_tokens} cached={cached_input_tokens}{written} reasoning={reasoning_tokens}"
    )
}

/// Splits the text of an expectation into its notes and the expected pieces.
fn split_notes(text: &str) -> (String, String) {
    let (notes, pieces): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with("# "));
    let joined = |lines: Vec<&str>| lines.into_iter().map(|line| format!("{line}\n")).collect();
    (joined(notes), joined(pieces))
}

#[test]
fn every_recorded_answer_is_understood_as_stated_beside_it() {
    for Recording { path, protocol, body, .. } in recordings() {
        let expectation = path.with_extension("expected");
        let text =
            fs::read_to_string(&expectation).unwrap_or_else(|_| panic!("no {}", expectation.display()));
        let (notes, expected) = split_notes(&text);
        for note in ["# server: ", "# quirk: ", "# source: https://"] {
            assert_eq!(notes.matches(note).count(), 1, "{}: {note}", expectation.display());
        }
        let whole = decoded(protocol, &body, body.len());
        if std::env::var_os("UPDATE_WIRE").is_some() {
            fs::write(&expectation, notes + &shown(&whole)).unwrap();
            continue;
        }
        assert_eq!(shown(&whole), expected, "{}", path.display());
        for size in [1, 7] {
            assert_eq!(decoded(protocol, &body, size), whole, "{} in pieces of {size}", path.display());
        }
    }
}

#[test]
fn the_corpus_has_many_deviations_of_many_servers() {
    let recordings = recordings();
    let notes = recordings.iter().map(|recording| {
        let text = fs::read_to_string(recording.path.with_extension("expected")).unwrap();
        text.lines().next().unwrap().to_owned()
    });
    let servers: BTreeSet<String> = notes.collect();
    assert!(recordings.len() >= 60 && servers.len() >= 12, "{} of {}", recordings.len(), servers.len());
}

/// Returns `true` if the outcome claims less than it has, or more: a success without the reason of an end, or anything
/// after an end.
pub(super) fn is_inconsistent(outcome: &Outcome) -> bool {
    let ends = outcome.pieces.iter().filter(|piece| matches!(piece, Raw::Finished { .. })).count();
    let is_last = matches!(outcome.pieces.last(), Some(Raw::Finished { .. }));
    let succeeds = outcome.error.is_none();
    ends > 1 || succeeds != is_last || (ends == 1 && !is_last)
}

/// Returns the text and the calls of an outcome.
pub(super) fn content(outcome: &Outcome) -> (String, Vec<String>) {
    let mut text = String::new();
    let mut calls: Vec<String> = Vec::new();
    for piece in &outcome.pieces {
        match piece {
            Raw::Chunk(Chunk::TextDelta(delta)) => text += delta,
            Raw::Chunk(Chunk::ToolCallStart { name, .. }) => calls.push(name.clone()),
            _ => {}
        }
    }
    (text, calls)
}

#[test]
fn an_answer_that_is_cut_anywhere_is_an_error_or_lacks_only_what_follows_its_end() {
    for Recording { path, protocol, body, .. } in recordings() {
        let whole = decoded(protocol, &body, body.len());
        for end in 0..body.len() {
            let cut = decoded(protocol, &body[..end], end);
            assert!(!is_inconsistent(&cut), "{} cut at {end}: {cut:?}", path.display());
            if cut.error.is_none() && whole.error.is_none() {
                assert_eq!(content(&cut), content(&whole), "{} cut at {end}", path.display());
            }
        }
    }
}

/// Calls `change` for each value inside `value`, one after the other, and gives the changed document to `take`.
fn damaged(value: &Value, take: &mut dyn FnMut(Value)) {
    let replacements = [
        Value::Null,
        Value::Bool(true),
        7.into(),
        "".into(),
        "x".into(),
        Value::Array(vec![]),
        Value::Object(Object::new()),
    ];
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let mut without = fields.clone();
                without.remove(name);
                take(Value::Object(without));
                for replacement in &replacements {
                    let mut changed = fields.clone();
                    changed.insert(name.clone(), replacement.clone());
                    take(Value::Object(changed));
                }
                damaged(field, &mut |inner| {
                    let mut changed = fields.clone();
                    changed.insert(name.clone(), inner);
                    take(Value::Object(changed));
                });
            }
        }
        Value::Array(list) => {
            for at in 0..list.len() {
                damaged(&list[at], &mut |inner| {
                    let mut changed = list.clone();
                    changed[at] = inner;
                    take(Value::Array(changed));
                });
            }
        }
        _ => {}
    }
}

#[test]
fn an_answer_with_a_field_that_is_missing_null_or_of_another_type_never_panics_and_has_one_end() {
    for recording in recordings() {
        let Ok(text) = std::str::from_utf8(&recording.source) else { continue };
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let json = line.find(['{', '[']).map_or(*line, |start| &line[start..]);
            let Ok(value) = serde_json::from_str::<Value>(json) else { continue };
            let prefix = &line[..line.len() - json.len()];
            damaged(&value, &mut |changed| {
                let changed = format!("{prefix}{changed}");
                let mut damaged_lines = lines.clone();
                damaged_lines[at] = &changed;
                let body = recording.body_of(&(damaged_lines.join("\n") + "\n\n"));
                let outcome = decoded(recording.protocol, &body, body.len());
                assert!(!is_inconsistent(&outcome), "{}: {changed}: {outcome:?}", recording.path.display());
            });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn bytes_may_be_split_anywhere(number in 0..1000_usize, size in 1..64_usize) {
        let recordings = recordings();
        let Recording { protocol, body, .. } = &recordings[number % recordings.len()];
        prop_assert_eq!(decoded(*protocol, body, size), decoded(*protocol, body, body.len()));
    }

    #[test]
    fn frames_may_be_lost_doubled_or_swapped(number in 0..1000_usize, seed in prop::collection::vec(0..100_usize, 1..6)) {
        let recordings = recordings();
        let recording = &recordings[number % recordings.len()];
        let text = String::from_utf8_lossy(&recording.source);
        let end = if is_list_of_messages(&recording.path) { "\n" } else { "\n\n" };
        let mut events: Vec<&str> = text.split_inclusive(end).collect();
        for step in seed {
            let at = step % events.len();
            match step % 3 {
                0 => events.insert(at, events[at]),
                1 if events.len() > 1 => { events.remove(at); }
                _ => { let other = events.len() - 1 - at; events.swap(at, other); }
            }
        }
        let outcome = decoded(recording.protocol, &recording.body_of(&events.concat()), 4096);
        prop_assert!(!is_inconsistent(&outcome), "{:?}", outcome);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, number in 0..3_usize) {
        let protocol = [Protocol::OpenAi, Protocol::Anthropic, Protocol::Bedrock][number];
        prop_assert!(!is_inconsistent(&decoded(protocol, &bytes, 16)));
    }
}

#[test]
fn the_reasons_of_an_end_are_kept() {
    let ended = |reason: &str| {
        let body = format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":\"a\"}},\"finish_reason\":\"{reason}\"}}]}}\n\n"
        );
        match decoded(Protocol::OpenAi, body.as_bytes(), 1024).pieces.pop() {
            Some(Raw::Finished { finish_reason, .. }) => Some(finish_reason),
            _ => None,
        }
    };
    for (word, reason) in [
        ("stop", FinishReason::Stop),
        ("eos", FinishReason::Stop),
        ("MAX_TOKENS", FinishReason::Length),
        ("sensitive", FinishReason::ContentFilter),
        ("model_length", FinishReason::Context),
        ("refusal", FinishReason::Refusal),
        ("brand_new", FinishReason::Other),
    ] {
        assert_eq!(ended(word), Some(reason), "{word}");
    }
    for word in ["tool_calls", "error", "malformed_function_call", ""] {
        assert_eq!(ended(word), None, "{word}");
    }
}

#[test]
fn an_answer_that_ends_for_an_unknown_reason_is_not_complete() {
    let call = json!({"index": 0, "id": "a", "function": {"name": "search", "arguments": "{}"}});
    for (protocol, body) in [
        (Protocol::OpenAi, json!({"choices": [{"delta": {"content": "a"}, "finish_reason": "brand_new"}]})),
        (
            Protocol::OpenAi,
            json!({"choices": [{"delta": {"tool_calls": [call]}, "finish_reason": "brand_new"}]}),
        ),
        (
            Protocol::Anthropic,
            json!({"type": "message", "content": [{"type": "text", "text": "a"}], "stop_reason": "brand_new"}),
        ),
    ] {
        let body = format!("data: {body}\n\n");
        let outcome = decoded(protocol, body.as_bytes(), 1024);
        let Some(Raw::Finished { finish_reason, .. }) = outcome.pieces.last() else { panic!("{outcome:?}") };
        let failure = finish_reason.failure().map(|error| error.code());
        assert_eq!(failure, Some("model_garbage"), "{body}");
    }
}

#[test]
fn a_report_of_the_usage_is_passed_on_before_the_answer_ends() {
    let start = json!({"type": "message_start", "message": {"usage": {"input_tokens": 12, "cache_read_input_tokens": 149_988}}});
    let failed = json!({"type": "error", "error": {"type": "overloaded_error", "message": "m"}});
    let mut decoder = Decoder::new(Protocol::Anthropic);
    let mut pieces = Vec::new();
    for (event, data) in [("message_start", start), ("ping", json!({"type": "ping"})), ("error", failed)] {
        let _ = decoder.push(Frame { event, data: &data.to_string(), is_whole: true }, &mut pieces);
    }
    let usage = Usage { input_tokens: 150_000, cached_input_tokens: 149_988, ..Usage::default() };
    assert_eq!(pieces, [Raw::Usage(usage)]);
}

#[test]
fn an_error_names_its_frame() {
    let body = b": comment\n\ndata: {\"choices\":[]}\n\ndata: nonsense\n\n";
    let error = decoded(Protocol::OpenAi, body, 1024).error.unwrap();
    assert_eq!(error, Error::InvalidAnswer("frame 2: it is not JSON".into()));
}
