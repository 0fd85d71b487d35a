//! The conversation in the form that every model server accepts.
//!
//! Servers refuse blank texts, two turns of the same side in a row, calls without results, results without calls, and a
//! conversation that begins or ends with the model. A request that is refused once would be refused for ever, because the
//! conversation stays as it is.

use crate::{Message, Part, Role, ToolCall, ToolResult};

/// A turn. The sides alternate, and a person's side is first and last.
#[derive(Debug, PartialEq)]
pub(super) enum WireTurn {
    /// The results of the calls in the turn before, in the order of the calls, then the text of people.
    User { results: Vec<ToolResult>, text: String },
    /// The text of the model, then its calls.
    Assistant { text: String, calls: Vec<ToolCall> },
}

/// The text of a first turn whose conversation begins with the model.
const OMITTED: &str = "(The beginning of the conversation is left out.)";
/// The text of a last turn whose conversation ends with the model.
const CONTINUE: &str = "Continue.";
/// The result of a call that was never carried out, because its run ended before.
const NOT_CARRIED_OUT: &str = "The call was not carried out.";

/// Returns the turns of a conversation. Neighbouring texts of one side are joined, so that a turn which was never answered is
/// a part of the next one.
pub(super) fn of(messages: &[Message]) -> Vec<WireTurn> {
    let mut turns: Vec<WireTurn> = Vec::new();
    for message in messages {
        match message.role {
            Role::Assistant => add_response(&mut turns, message),
            Role::User | Role::Tool => add_input(&mut turns, message),
        }
    }
    if !matches!(turns.first(), Some(WireTurn::User { .. })) {
        turns.insert(0, WireTurn::User { results: Vec::new(), text: OMITTED.to_owned() });
    }
    if matches!(turns.last(), Some(WireTurn::Assistant { .. })) {
        turns.push(WireTurn::User { results: Vec::new(), text: String::new() });
    }
    pair_results(&mut turns);
    turns
}

fn add_response(turns: &mut Vec<WireTurn>, message: &Message) {
    let written = text_of(message);
    let made: Vec<ToolCall> = message.parts.iter().filter_map(Part::tool_call).cloned().collect();
    if written.is_empty() && made.is_empty() {
        return;
    }
    if let Some(WireTurn::Assistant { text, calls }) = turns.last_mut() {
        join(text, &written);
        calls.extend(made);
    } else {
        turns.push(WireTurn::Assistant { text: written, calls: made });
    }
}

fn add_input(turns: &mut Vec<WireTurn>, message: &Message) {
    let written = text_of(message);
    let brought: Vec<ToolResult> = message.parts.iter().filter_map(Part::tool_result).cloned().collect();
    if written.is_empty() && brought.is_empty() {
        return;
    }
    if let Some(WireTurn::User { results, text }) = turns.last_mut() {
        join(text, &written);
        results.extend(brought);
    } else {
        turns.push(WireTurn::User { results: brought, text: written });
    }
}

/// Gives each call the one result after it, and drops results of calls that are not in the turn before.
fn pair_results(turns: &mut [WireTurn]) {
    let mut calls: Vec<ToolCall> = Vec::new();
    let last = turns.len().saturating_sub(1);
    for (at, turn) in turns.iter_mut().enumerate() {
        match turn {
            WireTurn::Assistant { calls: made, .. } => calls.clone_from(made),
            WireTurn::User { results, text } => {
                let result = |call: &ToolCall| {
                    let found = results.iter().find(|result| result.call_id == call.id);
                    let content = found.map_or(NOT_CARRIED_OUT, |result| result.content.as_str()).to_owned();
                    ToolResult { call_id: call.id.clone(), content }
                };
                *results = calls.drain(..).map(|call| result(&call)).collect();
                if results.is_empty() && text.is_empty() {
                    *text = if at == last { CONTINUE } else { OMITTED }.to_owned();
                }
            }
        }
    }
}

/// Returns the texts of a message that are not blank.
fn text_of(message: &Message) -> String {
    let mut joined = String::new();
    message.parts.iter().filter_map(Part::text).for_each(|text| join(&mut joined, text));
    joined
}

fn join(text: &mut String, more: &str) {
    if more.trim().is_empty() {
        return;
    }
    if !text.is_empty() {
        text.push_str("\n\n");
    }
    text.push_str(more);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn user(text: &str) -> WireTurn {
        WireTurn::User { results: Vec::new(), text: text.to_owned() }
    }

    fn assistant(text: &str, ids: &[&str]) -> WireTurn {
        WireTurn::Assistant { text: text.to_owned(), calls: ids.iter().map(|id| call(id)).collect() }
    }

    fn call(id: &str) -> ToolCall {
        ToolCall { id: id.to_owned(), name: "search".to_owned(), arguments: "{}".to_owned() }
    }

    fn calling(text: &str, ids: &[&str]) -> Message {
        let spoken = Part::Text { text: text.to_owned() };
        let calls = ids.iter().map(|id| Part::ToolCall(call(id)));
        Message { role: Role::Assistant, parts: std::iter::once(spoken).chain(calls).collect() }
    }

    fn result(id: &str, content: &str) -> ToolResult {
        ToolResult { call_id: id.to_owned(), content: content.to_owned() }
    }

    #[test]
    fn a_turn_without_an_answer_is_a_part_of_the_next() {
        let messages =
            [Message::user("one"), Message::user(" \n"), Message::user("two"), Message::assistant("\n")];
        assert_eq!(of(&messages), [user("one\n\ntwo")]);
        let messages =
            [Message::user("a"), Message::assistant("b"), Message::assistant("c"), Message::user("d")];
        assert_eq!(of(&messages), [user("a"), assistant("b\n\nc", &[]), user("d")]);
    }

    #[test]
    fn results_come_together_in_the_order_of_the_calls_and_before_the_text() {
        let messages = [
            Message::user("go"),
            calling("", &["a", "b", "c"]),
            Message::tool_result("c", "3"),
            Message::user("faster"),
            Message::tool_result("a", "1"),
            Message::tool_result("z", "of nothing"),
        ];
        let results = vec![result("a", "1"), result("b", NOT_CARRIED_OUT), result("c", "3")];
        let expected = [
            user("go"),
            assistant("", &["a", "b", "c"]),
            WireTurn::User { results, text: "faster".to_owned() },
        ];
        assert_eq!(of(&messages), expected);
    }

    #[test]
    fn a_conversation_begins_and_ends_with_a_person() {
        assert_eq!(of(&[Message::assistant("a")]), [user(OMITTED), assistant("a", &[]), user(CONTINUE)]);
        let messages = [Message::tool_result("a", "of nothing"), calling("b", &["b"])];
        let results = vec![result("b", NOT_CARRIED_OUT)];
        let last = WireTurn::User { results, text: String::new() };
        assert_eq!(of(&messages), [user(OMITTED), assistant("b", &["b"]), last]);
    }

    fn any_message() -> impl Strategy<Value = Message> {
        let text = prop::sample::select(vec!["", " ", "\n", "word"]);
        let id = prop::sample::select(vec!["a", "b", "c"]);
        prop_oneof![
            text.clone().prop_map(Message::user),
            text.clone().prop_map(Message::assistant),
            (text, prop::collection::btree_set(id.clone(), 0..3))
                .prop_map(|(text, ids)| calling(text, &ids.into_iter().collect::<Vec<_>>())),
            id.prop_map(|id| Message::tool_result(id, "done")),
        ]
    }

    proptest! {
        #[test]
        fn every_conversation_has_the_form_that_servers_accept(messages in prop::collection::vec(any_message(), 0..12)) {
            let turns = of(&messages);
            let is_user = |turn: &WireTurn| matches!(turn, WireTurn::User { .. });
            prop_assert!(turns.first().is_some_and(is_user) && turns.last().is_some_and(is_user), "{turns:?}");
            for pair in turns.windows(2) {
                prop_assert!(is_user(&pair[0]) != is_user(&pair[1]), "{turns:?}");
                if let [WireTurn::Assistant { calls, .. }, WireTurn::User { results, .. }] = pair {
                    let made: Vec<&str> = calls.iter().map(|call| call.id.as_str()).collect();
                    let brought: Vec<&str> = results.iter().map(|result| result.call_id.as_str()).collect();
                    prop_assert_eq!(made, brought);
                }
            }
            for turn in &turns {
                let (text, others) = match turn {
                    WireTurn::User { results, text } => (text, results.len()),
                    WireTurn::Assistant { text, calls } => (text, calls.len()),
                };
                prop_assert!(!text.trim().is_empty() || (text.is_empty() && others > 0), "{turns:?}");
            }
        }
    }
}
