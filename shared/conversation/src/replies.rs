//! The answers of a run, as its conversation keeps them. Pure: they are computed from the log.

use std::collections::BTreeMap;

use sequent_core::{MessageId, Timestamp};
use sequent_event::{AnswerText, Compaction, Phase, RunOutcome, State, TranscriptEntry};

use crate::{Message, MessageRole, MessageStatus, Run};

/// Longest text of a message in bytes. DynamoDB stores 400 KB per item.
const MAX_TEXT: usize = 300_000;
/// Longest text of all answers of a run together, in bytes. The transaction that writes them takes 4 MB.
const MAX_TEXT_OF_RUN: usize = 1_500_000;

/// An answer, with its position among the messages of the run.
pub(crate) struct PlacedAnswer {
    pub(crate) ordinal: usize,
    pub(crate) message: Message,
}

/// One response of the model.
struct ResponseText<'a> {
    id: MessageId,
    text: &'a str,
    has_calls: bool,
    /// The response is a part of a plan's step.
    in_step: bool,
    is_cut: bool,
}

/// Returns the answers of a run that has ended: one to each group of messages that the model read together. An answer
/// comes before the messages that were sent while it was written, because it does not refer to them. An answer of calls
/// alone has no text: its parts are in the log.
pub(crate) fn answers(run: &Run, state: &State, at: Timestamp) -> Vec<PlacedAnswer> {
    let exchanges = exchanges(state);
    let max_text = MAX_TEXT.min(MAX_TEXT_OF_RUN / exchanges.len().max(1));
    let is_answer = |response: &ResponseText<'_>| !response.in_step && !response.text.trim().is_empty();
    let has_answer = exchanges.values().flatten().any(is_answer);
    let answers = exchanges.into_iter().filter_map(|(told, responses)| {
        let last = responses.last()?;
        let text = text(&responses, has_answer);
        let message = Message {
            id: last.id,
            project_id: run.project_id,
            run_id: run.id,
            lineage: run.lineage,
            role: MessageRole::Assistant,
            truncated: text.len() > max_text,
            content: text[..text.floor_char_boundary(max_text)].to_owned(),
            parts: Vec::new(),
            has_calls: responses.iter().any(|response| response.has_calls),
            compacts: compacts(state),
            status: status(state, told, last),
            created_at: at,
        };
        Some(PlacedAnswer { ordinal: answer_ordinal(told), message })
    });
    answers.collect()
}

/// Returns `true` if later turns keep to a coverage of this run.
pub(crate) fn compacts(state: &State) -> bool {
    state.compactions.iter().any(Compaction::covers_for_good)
}

/// Returns the position of the answer that has what the run did for its first `told` messages: that of its exchange, or the
/// next one if it has none. Returns `None` if the run has no answer.
pub(crate) fn ordinal_of_exchange(state: &State, told: usize) -> Option<usize> {
    let exchanges = exchanges(state);
    let next = exchanges.range(told..).next().or(exchanges.iter().next_back());
    next.map(|(told, _)| answer_ordinal(*told))
}

/// The position of the message of a person that comes after `earlier` others in the same run.
pub(crate) const fn prompt_ordinal(earlier: usize) -> usize {
    2 * earlier
}

/// The number of people's messages up to the one at this position. Returns `None` if an answer is there.
pub(crate) const fn prompts_up_to(ordinal: usize) -> Option<usize> {
    if ordinal.is_multiple_of(2) { Some(ordinal / 2 + 1) } else { None }
}

/// The position of the answer to the first `told` messages of the run: after the last of them.
const fn answer_ordinal(told: usize) -> usize {
    2 * told.saturating_sub(1) + 1
}

/// The responses with a text or calls, by the number of people's messages that their requests contained.
fn exchanges(state: &State) -> BTreeMap<usize, Vec<ResponseText<'_>>> {
    let mut exchanges: BTreeMap<usize, Vec<ResponseText<'_>>> = BTreeMap::new();
    let mut open_steps = 0_usize;
    for entry in &state.transcript {
        match entry {
            TranscriptEntry::Step { .. } => open_steps += 1,
            TranscriptEntry::StepOver => open_steps = open_steps.saturating_sub(1),
            TranscriptEntry::Assistant { id, text, calls, told, is_cut, .. } => {
                let is_empty = text.trim().is_empty() && calls.is_empty();
                let has_calls = !calls.is_empty();
                let response =
                    ResponseText { id: *id, text, has_calls, in_step: open_steps > 0, is_cut: *is_cut };
                if !is_empty {
                    exchanges.entry(*told).or_default().push(response);
                }
            }
            TranscriptEntry::User { .. }
            | TranscriptEntry::Rejected { .. }
            | TranscriptEntry::Tool { .. }
            | TranscriptEntry::Child { .. } => {}
        }
    }
    exchanges
}

/// Returns the text of the answer that the responses are: see [`AnswerText`]. If the run `has_answer`, the steps of its plan
/// are none.
fn text(responses: &[ResponseText<'_>], has_answer: bool) -> String {
    let mut answer = AnswerText::default();
    for ResponseText { id, text, in_step, .. } in responses {
        if !(has_answer && *in_step) {
            answer.add_response(*id, text, *in_step);
        }
    }
    answer.text()
}

/// Returns the status of the answer to the first `told` messages, which ends with `last`.
fn status(state: &State, told: usize, last: &ResponseText<'_>) -> MessageStatus {
    let succeeded = state.phase == Phase::Finished(RunOutcome::Success);
    // The run went on after this answer because a message had arrived.
    let was_followed = told < state.prompts.len();
    if succeeded || (was_followed && !last.is_cut) { MessageStatus::Complete } else { MessageStatus::Partial }
}

#[cfg(test)]
mod tests;
