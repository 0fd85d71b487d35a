use sequent_core::{MessageId, RunId};
use sequent_event::{ChildEnd, CompactionReason, Excerpts, ToolCall, TranscriptEntry};

use super::*;

fn compaction() -> Compaction {
    Compaction {
        reason: CompactionReason::Window,
        tokens: 2,
        room: 1,
        calls: Vec::new(),
        excerpts: None,
        covers: None,
        summary: None,
        provisional: false,
        words: None,
        usage: None,
    }
}

/// The turn of this depth. The ids of the runs are in the opposite order.
fn at(depth: u32) -> TurnPosition {
    TurnPosition { depth, run: RunId::from_bits(u128::from(1_000 - depth)) }
}

fn covering(through: Option<u32>, responses: u32, summary: Option<&str>) -> Compaction {
    let covers = Coverage { through: through.map(at), responses };
    Compaction { covers: Some(covers), summary: summary.map(str::to_owned), ..compaction() }
}

fn user(text: &str) -> TranscriptEntry {
    TranscriptEntry::User { id: MessageId::new(), content: text.into() }
}

/// A call of `fetch` with its result.
fn called(id: &str, bytes: usize) -> [TranscriptEntry; 2] {
    let call = ToolCall { id: id.into(), name: "fetch".into(), arguments: "x".repeat(bytes) };
    let response = TranscriptEntry::Assistant {
        id: MessageId::new(),
        text: String::new(),
        calls: vec![call],
        told: 1,
        is_cut: false,
        origin: None,
    };
    [response, TranscriptEntry::Tool { call: id.into(), content: "y".repeat(bytes) }]
}

/// A run with a task and two calls.
fn run(compactions: Vec<Compaction>) -> State {
    let calls = [called("a", 900), called("b", 900)].into_iter().flatten();
    let transcript = std::iter::once(user("The task.")).chain(calls).collect();
    State { transcript, compactions, ..State::default() }
}

fn turn(depth: u32, text: &str) -> Turn {
    Turn { at: at(depth), messages: vec![Message::user(text)] }
}

/// The messages in short: their texts, the names of their calls, and the sizes of long results.
fn outline(conversation: &Conversation) -> Vec<String> {
    let part = |part: &Part| match part {
        Part::Text { text } => text.clone(),
        Part::Reasoning(reasoning) => reasoning.text.clone(),
        Part::File(file) => file.description.clone(),
        Part::ToolCall(call) => format!("{}({})", call.name, call.arguments.len()),
        Part::ToolResult(result) if result.content.starts_with('y') => result.content.len().to_string(),
        Part::ToolResult(result) => result.content.clone(),
    };
    let messages = conversation.messages(true);
    messages.iter().map(|message| message.parts.iter().map(part).collect::<Vec<_>>().join("+")).collect()
}

const LEFT_OUT: &str = "(The conversation up to here is left out.)";

#[test]
fn without_a_compaction_everything_is_there() {
    let conversation = Conversation::of(vec![turn(1, "Hi.")], &[], &run(Vec::new()));
    assert_eq!(outline(&conversation), ["Hi.", "The task.", "fetch(900)", "900", "fetch(900)", "900"]);
}

#[test]
fn a_call_that_is_left_out_has_stubs_and_stays_a_pair() {
    let state = run(vec![Compaction { calls: vec!["a".into()], ..compaction() }]);
    let conversation = Conversation::of(Vec::new(), &[], &state);
    let stub = "[Left out: the result of fetch, 900 bytes. Call it again if you need it.]";
    assert_eq!(outline(&conversation), ["The task.", "fetch(37)", stub, "fetch(900)", "900"]);
    let of_earlier = [Compaction { calls: vec!["b".into()], ..compaction() }];
    let conversation = Conversation::of(Vec::new(), &of_earlier, &run(Vec::new()));
    assert_eq!(outline(&conversation)[3..], ["fetch(37)", stub], "an earlier run left it out");
}

#[test]
fn a_summary_takes_the_place_of_earlier_turns() {
    let turns = vec![turn(1, "one"), turn(2, "two"), turn(3, "three")];
    let state = run(vec![covering(Some(2), 0, Some("They greeted."))]);
    let conversation = Conversation::of(turns, &[], &state);
    let outline = outline(&conversation);
    assert_eq!(outline[0], "three");
    assert!(outline[1].ends_with("This is a summary of it.)\n\nThey greeted."), "{outline:?}");
    assert_eq!(outline[2], "The task.");
}

#[test]
fn the_task_and_the_last_instruction_stay_when_responses_are_covered() {
    let mut state = run(vec![covering(None, 1, None)]);
    state.transcript.insert(1, TranscriptEntry::Step { name: "s".into() });
    let conversation = Conversation::of(vec![turn(1, "one")], &[], &state);
    let instruction = "Carry out the step “s”.";
    assert_eq!(outline(&conversation), ["The task.", LEFT_OUT, instruction, "fetch(900)", "900"]);
    let covers = Coverage { through: None, responses: 2 };
    assert_eq!(
        conversation.covered_by(covers).len(),
        4,
        "the mark, the instruction, and a call with its result"
    );
}

#[test]
fn the_latest_coverage_counts() {
    let state = run(vec![covering(Some(1), 0, Some("Old.")), covering(Some(1), 2, Some("New."))]);
    let outline = outline(&Conversation::of(Vec::new(), &[], &state));
    assert_eq!(outline.len(), 2);
    assert!(outline[1].ends_with("New."), "{outline:?}");
}

#[test]
fn what_was_not_read_yet_is_cut_where_it_was_cut_before() {
    let excerpts = Some(Excerpts { after_response: 1, bytes: 200 });
    let mut state = run(vec![Compaction { excerpts, ..compaction() }]);
    state.transcript.insert(3, user(&"z".repeat(500)));
    let sizes: Vec<usize> =
        outline(&Conversation::of(Vec::new(), &[], &state)).iter().map(String::len).collect();
    assert_eq!(sizes[2..4], [3, 200], "the result, which says its size, and the message");
    let outline = outline(&Conversation::of(Vec::new(), &[], &state));
    assert_eq!((outline[2].as_str(), outline[5].as_str()), ("200", "900"));
}

#[test]
fn without_tools_earlier_turns_have_no_calls() {
    let earlier = RunMessages::of(&run(Vec::new()), false);
    let turn = Turn { at: at(1), messages: earlier.iter().cloned().collect() };
    let child = TranscriptEntry::Child {
        run: RunId::from_bits(1),
        name: "s".into(),
        ended: ChildEnd::Result("found".into()),
    };
    let state = State { transcript: vec![user("Go."), child], ..State::default() };
    let conversation = Conversation::of(vec![turn], &[], &state);
    assert_eq!(conversation.messages(false).len(), 4, "the task, the new task, and a report of a child");
}
