//! The answers of a run, as its conversation keeps them. Pure: they are computed from the log.

use std::collections::BTreeMap;

use sequent_core::{MessageId, Timestamp};
use sequent_event::{Phase, RunOutcome, State, TranscriptEntry};

use crate::{Message, MessageRole, MessageStatus, Run};

/// Longest text of a message in bytes. DynamoDB stores 400 KB per item.
const MAX_TEXT: usize = 300_000;
/// Longest text of all answers of a run together, in bytes. A transaction takes 4 MB. One writes them, and one deletes them
/// with the messages of people (2.2 MB at most) when another run replaces this one: rows that are deleted may count.
const MAX_TEXT_OF_RUN: usize = 1_500_000;

/// An answer, with its position among the messages of the run.
pub(crate) struct PlacedAnswer {
    pub(crate) ordinal: usize,
    pub(crate) message: Message,
}

/// The text of one response of the model.
struct ResponseText<'a> {
    id: MessageId,
    text: &'a str,
    /// The response is an answer to people: it is complete, calls no tool and is no part of a plan's step.
    is_answer: bool,
}

/// Returns the answers of a run that has ended: one to each group of messages that the model read together. An answer
/// comes before the messages that were sent while it was written, because it does not refer to them.
pub(crate) fn answers(run: &Run, state: &State, at: Timestamp) -> Vec<PlacedAnswer> {
    let exchanges = exchanges(state);
    let last = exchanges.keys().next_back().copied();
    let answers: Vec<_> = exchanges
        .into_iter()
        .filter_map(|(told, responses)| {
            let (text, status) = answer(state, told, &responses, last == Some(told))?;
            Some((told, responses.last()?.id, text, status))
        })
        .collect();
    let max_text = MAX_TEXT.min(MAX_TEXT_OF_RUN / answers.len().max(1));
    let place = |(told, id, text, status): (usize, MessageId, String, MessageStatus)| PlacedAnswer {
        ordinal: answer_ordinal(told),
        message: Message {
            id,
            project_id: run.project_id,
            run_id: run.id,
            role: MessageRole::Assistant,
            truncated: text.len() > max_text,
            content: text[..text.floor_char_boundary(max_text)].to_owned(),
            status,
            created_at: at,
        },
    };
    answers.into_iter().map(place).collect()
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

/// The responses with a text, by the number of people's messages that their requests contained.
fn exchanges(state: &State) -> BTreeMap<usize, Vec<ResponseText<'_>>> {
    let mut exchanges: BTreeMap<usize, Vec<ResponseText<'_>>> = BTreeMap::new();
    let mut in_step = false;
    for entry in &state.transcript {
        match entry {
            TranscriptEntry::Step { .. } => in_step = true,
            TranscriptEntry::StepOver => in_step = false,
            TranscriptEntry::Assistant { id, text, calls, told, is_cut } if !text.trim().is_empty() => {
                let is_answer = calls.is_empty() && !is_cut && !in_step;
                exchanges.entry(*told).or_default().push(ResponseText { id: *id, text, is_answer });
            }
            TranscriptEntry::Assistant { .. }
            | TranscriptEntry::User { .. }
            | TranscriptEntry::Tool { .. }
            | TranscriptEntry::Child { .. } => {}
        }
    }
    exchanges
}

/// Returns what the conversation keeps of `responses` to the first `told` messages. A run that succeeded leaves its
/// answers. Any other leaves all that it has said since the last answer that it completed.
fn answer(
    state: &State,
    told: usize,
    responses: &[ResponseText<'_>],
    is_last: bool,
) -> Option<(String, MessageStatus)> {
    let succeeded = state.phase == Phase::Finished(RunOutcome::Success);
    // The run went on after this answer because a message had arrived.
    let was_followed = told < state.prompts.len();
    let last = responses.last()?;
    if last.is_answer && (succeeded || was_followed) {
        return Some((last.text.to_owned(), MessageStatus::Complete));
    }
    if succeeded {
        // The last response may be empty. Then the text before it is all that the run has to say.
        return is_last.then(|| (last.text.to_owned(), MessageStatus::Complete));
    }
    let texts: Vec<&str> = responses.iter().map(|response| response.text).collect();
    Some((texts.join("\n\n"), MessageStatus::Partial))
}

#[cfg(test)]
mod tests;
