//! Fits the messages of a run to a bound, so that a long run does not outgrow its model's context window.
//!
//! The work of a run is mostly the results of its tools, and the model has read the old ones already. They are replaced by
//! stubs, the oldest first; a call and its result stay a pair, because providers refuse one without the other. If the
//! messages exceed the bound they are cut to half of it at once: the beginning of the request then stays the same for many
//! requests, and providers cache by it. Results of tools, answers of child runs and messages of people that the model has
//! not read yet have the other half. The same log always gives the same messages.

use std::mem;

use sequent_model::{Message, Part, Role};
use sequent_tool::cut;

use crate::transcript::is_report;

/// Bytes of a text that remain when the rest is left out.
const EXCERPT: usize = 200;

/// The kinds of texts that can be cut, in the order in which they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Reasoning,
    Result,
    Arguments,
    Text,
    /// A line that describes a file. It is never cut.
    File,
}

/// Cuts the oldest texts of `messages` so that they have at most `bound` bytes. The first message, which is the task, stays
/// whole. So do the results and texts that the model has not read yet, unless they exceed half of the bound by themselves.
pub(crate) fn fit(messages: &mut [Message], bound: usize) {
    // As many requests as the model has answered, and the next one. A report of child runs is not an answer.
    let is_answer = |message: &Message| message.role == Role::Assistant && !is_report(message);
    let answers = (1..messages.len()).filter(|at| is_answer(&messages[*at])).collect::<Vec<_>>();
    let mut unread = 0;
    for end in answers.into_iter().chain([messages.len()]) {
        fit_request(&mut messages[..end], unread, bound);
        unread = end;
    }
}

/// Fits the messages of one request. The model has read those before `unread`.
fn fit_request(messages: &mut [Message], unread: usize, bound: usize) {
    if size(messages) <= bound {
        return;
    }
    let (task, rest) = messages.split_at_mut(1);
    let (read, new) = rest.split_at_mut(unread.saturating_sub(1));
    let fixed = size(task) + size(new);
    for kind in [Kind::Reasoning, Kind::Result, Kind::Arguments, Kind::Text] {
        let mut excess = (size(read) + fixed).saturating_sub(bound / 2);
        for part in
            read.iter_mut().flat_map(|message| &mut message.parts).filter(|part| kind_of(part) == kind)
        {
            if excess > 0 {
                excess = excess.saturating_sub(leave_out(part, EXCERPT));
            }
        }
    }
    share(new, bound / 2);
}

/// Cuts the results and texts among `messages` so that together they have at most `bound` bytes: the long ones to equal
/// shares.
fn share(messages: &mut [Message], bound: usize) {
    let is_shared = |part: &Part| matches!(kind_of(part), Kind::Result | Kind::Text);
    let shared = messages.iter().flat_map(|message| &message.parts).filter(|part| is_shared(part));
    let Some(limit) = fair_limit(shared.map(text_len).collect(), bound) else { return };
    for part in messages.iter_mut().flat_map(|message| &mut message.parts) {
        if is_shared(part) {
            leave_out(part, limit);
        }
    }
}

/// Returns the largest limit of each size with which their sum is at most `bound`, or `None` if none has to be limited.
fn fair_limit(mut sizes: Vec<usize>, bound: usize) -> Option<usize> {
    if sizes.iter().sum::<usize>() <= bound {
        return None;
    }
    sizes.sort_unstable();
    let mut room = bound;
    for (at, size) in sizes.iter().enumerate() {
        let limit = room / (sizes.len() - at);
        if *size > limit {
            return Some(limit);
        }
        room -= size;
    }
    None
}

fn kind_of(part: &Part) -> Kind {
    match part {
        Part::Text { .. } => Kind::Text,
        Part::Reasoning(_) => Kind::Reasoning,
        Part::ToolCall(_) => Kind::Arguments,
        Part::ToolResult(_) => Kind::Result,
        Part::File(_) => Kind::File,
    }
}

fn text_len(part: &Part) -> usize {
    match part {
        Part::Text { text } => text.len(),
        Part::Reasoning(reasoning) => {
            reasoning.text.len() + reasoning.origin.data.as_ref().map_or(0, String::len)
        }
        Part::ToolCall(call) => call.arguments.len(),
        Part::ToolResult(result) => result.content.len(),
        Part::File(file) => file.description.len(),
    }
}

/// Returns the bytes of the messages' texts.
pub(crate) fn size(messages: &[Message]) -> usize {
    messages.iter().flat_map(|message| &message.parts).map(text_len).sum()
}

/// Leaves out results and then arguments, in the order of `messages`, until `excess` bytes are saved. Returns the bytes that
/// are still too many.
pub(crate) fn leave_out_results<'a>(
    messages: impl Iterator<Item = &'a mut Message>,
    mut excess: usize,
) -> usize {
    let mut parts: Vec<&mut Part> = messages.flat_map(|message| &mut message.parts).collect();
    for kind in [Kind::Result, Kind::Arguments] {
        for part in parts.iter_mut().filter(|part| kind_of(part) == kind) {
            if excess > 0 {
                excess = excess.saturating_sub(leave_out(part, EXCERPT));
            }
        }
    }
    excess
}

/// Leaves out most of a text that is longer than `keep` bytes. Returns the number of bytes that this saves.
fn leave_out(part: &mut Part, keep: usize) -> usize {
    let before = text_len(part);
    if before <= keep {
        return 0;
    }
    match part {
        // A part of it would be refused, because its signature is of the whole.
        Part::Reasoning(reasoning) => {
            reasoning.text.clear();
            reasoning.origin.data = None;
        }
        Part::Text { text } => *text = cut(mem::take(text), keep, usize::MAX, "this text"),
        Part::ToolResult(result) => {
            let what = format!("the result of {}", result.call_id);
            result.content = cut(mem::take(&mut result.content), keep, usize::MAX, &what);
        }
        // Providers require JSON here.
        Part::ToolCall(call) => {
            let note = serde_json::json!({ "left_out": format!("{before} bytes of arguments") });
            call.arguments = note.to_string();
        }
        Part::File(_) => {}
    }
    before.saturating_sub(text_len(part))
}

#[cfg(test)]
mod tests {
    use std::slice;

    use sequent_model::ToolCall;

    use super::*;

    const BOUND: usize = 40_000;

    /// The calls of one response, and their results of `bytes` each.
    fn round(id: usize, calls: usize, bytes: usize) -> Vec<Message> {
        let call_id = |call: usize| format!("call_{id}_{call}");
        let made = (0..calls).map(|call| Part::ToolCall(ToolCall::new(call_id(call), "fetch", "{}")));
        let asked = Message { role: Role::Assistant, parts: made.collect() };
        let results = (0..calls).map(|call| Message::tool_result(call_id(call), "x".repeat(bytes)));
        [asked].into_iter().chain(results).collect()
    }

    fn fitted(rounds: &[(usize, usize)]) -> Vec<Message> {
        let rounds = rounds.iter().enumerate().flat_map(|(id, (calls, bytes))| round(id, *calls, *bytes));
        let mut messages: Vec<Message> =
            [Message::user("The task. ".repeat(90))].into_iter().chain(rounds).collect();
        fit(&mut messages, BOUND);
        messages
    }

    fn results(messages: &[Message]) -> Vec<usize> {
        let parts = messages.iter().flat_map(|message| &message.parts);
        parts.filter(|part| kind_of(part) == Kind::Result).map(text_len).collect()
    }

    #[test]
    fn short_transcripts_stay_as_they_are() {
        let messages = fitted(&[(2, 16_000)]);
        assert_eq!(results(&messages), [16_000, 16_000]);
    }

    #[test]
    fn old_results_are_left_out_and_new_ones_stay() {
        let messages = fitted(&[(1, 12_000); 20]);
        assert!(size(&messages) <= BOUND, "{}", size(&messages));
        let results = results(&messages);
        assert_eq!(results.len(), 20, "each call has its result");
        assert_eq!(*results.last().unwrap(), 12_000);
        assert!(results[..15].iter().all(|bytes| *bytes <= EXCERPT));
        assert_eq!(size(&messages[..1]), 900, "the task is whole");
    }

    #[test]
    fn many_results_of_one_response_share_the_bound() {
        let mut messages = fitted(&[(1, 12_000), (8, 16_000)]);
        assert!(size(&messages) <= BOUND, "{}", size(&messages));
        assert!(
            results(&messages)[1..].iter().all(|bytes| *bytes == BOUND / 2 / 8),
            "{:?}",
            results(&messages)
        );
        messages.extend(round(2, 1, 200_000));
        fit(&mut messages, BOUND);
        assert_eq!(*results(&messages).last().unwrap(), BOUND / 2);
    }

    #[test]
    fn texts_that_the_model_has_not_read_share_the_bound() {
        let mut messages = fitted(&[(1, 12_000)]);
        messages.push(Message::assistant("Let me delegate."));
        messages.push(Message::user("A short answer."));
        messages.extend(vec![Message::user("x".repeat(60_000)); 20]);
        fit(&mut messages, BOUND);
        assert!(size(&messages) <= BOUND, "{}", size(&messages));
        assert_eq!(size(&messages[..1]), 900, "the task is whole");
        assert_eq!(messages[messages.len() - 21], Message::user("A short answer."));
        let answers = &messages[messages.len() - 20..];
        assert!(answers.iter().all(|answer| size(slice::from_ref(answer)) > 900), "{answers:?}");
    }

    #[test]
    fn the_messages_of_the_first_request_share_the_bound_and_the_task_is_whole() {
        let mut messages = vec![Message::user("y".repeat(12_000))];
        messages.extend(vec![Message::user("x".repeat(8_000)); 32]);
        fit(&mut messages, BOUND);
        assert!(size(&messages) <= BOUND, "{}", size(&messages));
        assert_eq!(size(&messages[..1]), 12_000);
    }

    #[test]
    fn the_beginning_stays_the_same_for_many_requests() {
        let mut changes = 0;
        let mut before = fitted(&[(1, 4_000)]);
        for rounds in 2..40 {
            let messages = fitted(&vec![(1, 4_000); rounds]);
            changes += usize::from(messages[..before.len()] != before[..]);
            before = messages;
        }
        assert!((1..=12).contains(&changes), "{changes} of 38 requests begin differently");
    }

    #[test]
    fn long_arguments_and_texts_are_left_out_when_no_result_is_left() {
        let arguments = serde_json::json!({ "text": "x".repeat(12_000) }).to_string();
        let call = ToolCall::new("c", "write", arguments);
        let asked = Message { role: Role::Assistant, parts: vec![Part::ToolCall(call)] };
        let mut messages = vec![Message::user("The task.")];
        for _ in 0..6 {
            messages.extend([
                asked.clone(),
                Message::tool_result("c", "no"),
                Message::user("y".repeat(8_000)),
            ]);
        }
        fit(&mut messages, BOUND);
        assert!(size(&messages) <= BOUND, "{}", size(&messages));
        for part in messages.iter().flat_map(|message| &message.parts) {
            if let Part::ToolCall(call) = part {
                assert!(
                    serde_json::from_str::<serde_json::Value>(&call.arguments).is_ok(),
                    "{}",
                    call.arguments
                );
            }
        }
    }

    #[test]
    fn a_fair_limit_leaves_short_texts_alone() {
        assert_eq!(fair_limit(vec![10, 20], 30), None);
        assert_eq!(fair_limit(vec![100, 10, 100], 90), Some(40));
        assert_eq!(fair_limit(vec![50, 50], 9), Some(4));
    }
}
