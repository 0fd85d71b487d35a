use sequent_core::RunId;
use sequent_model::ToolCall;

use super::*;
use crate::conversation::{RunMessages, Turn};

const ROOM: u64 = 10_000;

fn limits() -> RequestLimits {
    RequestLimits { fixed: 500, room: ROOM, cover: None }
}

/// A call of `fetch` with a result of this many tokens.
fn called(id: &str, tokens: usize) -> Vec<Message> {
    let call = ToolCall::new(id, "fetch", "{}");
    let asked = Message { role: Role::Assistant, parts: vec![Part::ToolCall(call)] };
    vec![asked, Message::tool_result(id, "word ".repeat(tokens * 4 / 5))]
}

fn said(tokens: usize) -> Vec<Message> {
    vec![Message::assistant("word ".repeat(tokens * 4 / 5))]
}

fn conversation(turns: Vec<Vec<Message>>, responses: Vec<Vec<Message>>) -> Conversation {
    let turns = (1..).zip(turns).map(|(depth, messages)| Turn { at: at(depth), messages });
    let head = vec![Message::user("The task.")];
    Conversation { turns: turns.collect(), own: RunMessages { head, responses, ..RunMessages::default() } }
}

/// The turn of this depth. The ids of the runs are in the opposite order.
fn at(depth: u32) -> TurnPosition {
    TurnPosition { depth, run: RunId::from_bits(u128::from(1_000 - depth)) }
}

fn covers(cut: &Cut) -> Option<(Option<u32>, u32)> {
    cut.covers.map(|covers| (covers.through.map(|through| through.depth), covers.responses))
}

#[test]
fn a_request_that_fits_stays_as_it_is() {
    let conversation = conversation(vec![said(3_000)], vec![called("a", 3_000), called("b", 3_000)]);
    assert_eq!(fit(&conversation, limits()), Ok(None));
}

#[test]
fn the_oldest_results_are_left_out_to_half_of_the_room_and_the_last_is_not() {
    let responses = ["a", "b", "c", "d"].map(|id| called(id, 2_000)).into();
    let conversation = conversation(vec![called("z", 2_000)], responses);
    let cut = fit(&conversation, limits()).unwrap().unwrap();
    assert_eq!(cut.calls, ["z", "a", "b"]);
    assert_eq!((cut.excerpts, cut.covers), (None, None));
}

#[test]
fn words_are_covered_when_results_are_not_enough() {
    let conversation = conversation(vec![said(4_000), said(4_000)], vec![called("a", 400), said(2_000)]);
    let cut = fit(&conversation, limits()).unwrap().unwrap();
    assert_eq!(cut.calls, ["a"]);
    assert_eq!(covers(&cut), Some((Some(2), 0)));
}

#[test]
fn responses_are_covered_after_all_turns_and_the_last_is_not() {
    let conversation = conversation(vec![said(100)], vec![said(4_000), said(4_000), said(4_000)]);
    let cut = fit(&conversation, limits()).unwrap().unwrap();
    assert_eq!(covers(&cut), Some((Some(1), 2)));
    let large = self::conversation(Vec::new(), vec![said(100), said(9_900)]);
    assert!(matches!(fit(&large, limits()), Err(TooLarge { tokens }) if tokens > ROOM));
}

#[test]
fn responses_that_were_covered_before_count() {
    let mut conversation = conversation(Vec::new(), vec![said(4_000), said(4_000), said(4_000)]);
    conversation.own.covered = 7;
    let cut = fit(&conversation, limits()).unwrap().unwrap();
    assert_eq!(covers(&cut), Some((None, 9)));
}

#[test]
fn results_that_were_not_read_share_half_of_the_room() {
    let unread: Vec<Message> =
        (0..8).flat_map(|id| called(&id.to_string(), if id == 0 { 100 } else { 2_000 })).collect();
    let conversation = conversation(Vec::new(), vec![called("a", 400), unread]);
    let cut = fit(&conversation, limits()).unwrap().unwrap();
    let excerpts = cut.excerpts.unwrap();
    assert_eq!(excerpts.after_response, 2);
    assert!((2_500..3_300).contains(&excerpts.bytes), "{} bytes of 8,000", excerpts.bytes);
}

#[test]
fn a_task_that_does_not_fit_is_an_error() {
    let mut conversation = conversation(vec![said(100)], Vec::new());
    conversation.own.head = vec![Message::user("word ".repeat(10_000))];
    assert!(matches!(fit(&conversation, limits()), Err(TooLarge { .. })));
}

#[test]
fn turns_that_are_too_many_are_covered_although_they_fit() {
    let conversation = conversation(vec![said(10), said(10), said(10)], Vec::new());
    let limits = RequestLimits { cover: Some(at(2)), ..limits() };
    let cut = fit(&conversation, limits).unwrap().unwrap();
    assert_eq!(covers(&cut), Some((Some(2), 0)));
}

#[test]
fn a_fair_limit_leaves_short_texts_alone() {
    assert_eq!(fair_limit(vec![10, 20], 30), None);
    assert_eq!(fair_limit(vec![100, 10, 100], 90), Some(40));
    assert_eq!(fair_limit(vec![50, 50], 9), Some(4));
}

#[test]
fn a_compaction_names_no_more_calls_than_its_event_can_hold() {
    let calls = (0..2_000).flat_map(|n| called(&format!("call_{n:0>60}"), 120)).collect();
    let conversation = conversation(vec![said(10)], vec![calls, said(10)]);
    let cut = fit(&conversation, RequestLimits { room: 60_000, ..limits() }).unwrap().unwrap();
    let bytes: usize = cut.calls.iter().map(|id| id.len() + 3).sum();
    assert!((30_000..=MAX_CALL_IDS).contains(&bytes), "{bytes} bytes");
    assert_eq!(covers(&cut), Some((Some(1), 1)), "a summary takes the place of the others");
}
