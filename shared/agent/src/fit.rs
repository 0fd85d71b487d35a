//! Decides what a request leaves out so that it fits the context window of its model.
//!
//! The work of a run is mostly the results of its tools, and the model has read the old ones already. They become stubs
//! first, the oldest before the others. Then a summary takes the place of the oldest turns and responses. Results and
//! messages that the model has not read yet have half of the room. A request that is too large is cut to half of the room at
//! once: the beginning of the requests then stays the same for many of them, and providers cache by it.

use std::collections::BTreeMap;

use sequent_event::{Coverage, Excerpts, TurnPosition, size::encoded_bytes};
use sequent_model::{
    Message, Part, Role,
    estimate::{message_tokens, part_tokens, text_tokens},
};

use crate::conversation::{Conversation, SHORT};

/// Tokens of a stub, with the marks around it.
const STUB: u64 = 40;
/// Tokens of a summary.
const SUMMARY: u64 = 1_500;
/// Bytes of an excerpt at least.
const LEAST_EXCERPT: usize = 200;

/// Bytes of the ids of calls that one compaction leaves out, as its event encodes them. Beside them, it has a summary.
const MAX_CALL_IDS: usize = 40_000;

/// The limits of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestLimits {
    /// The tokens of the parts that are not messages.
    pub(crate) fixed: u64,
    /// The tokens that the whole request may have.
    pub(crate) room: u64,
    /// The last earlier turn that must be covered in any case.
    pub(crate) cover: Option<TurnPosition>,
}

/// The parts that a request leaves out from here on.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Cut {
    pub(crate) calls: Vec<String>,
    pub(crate) excerpts: Option<Excerpts>,
    pub(crate) covers: Option<Coverage>,
}

/// The request does not fit, whatever is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge {
    /// The tokens that remain.
    pub(crate) tokens: u64,
}

/// Decides what to leave out of a conversation. Returns `None` if it fits.
///
/// # Errors
/// If it cannot be made to fit.
pub(crate) fn fit(conversation: &Conversation, limits: RequestLimits) -> Result<Option<Cut>, TooLarge> {
    let mut fitting = Fitting::new(conversation, limits);
    if fitting.tokens() <= limits.room && limits.cover.is_none() {
        return Ok(None);
    }
    fitting.leave_out_results();
    fitting.cut_what_is_unread();
    fitting.cover();
    let fits = fitting.tokens() <= limits.room && fitting.cut != Cut::default();
    if fits { Ok(Some(fitting.cut)) } else { Err(TooLarge { tokens: fitting.tokens() }) }
}

/// The units of a conversation: its earlier turns, what comes before the first response of the run, and its responses. The
/// model has read all but the last.
struct Fitting<'a> {
    conversation: &'a Conversation,
    limits: RequestLimits,
    /// The tokens of each unit.
    units: Vec<u64>,
    cut: Cut,
}

impl<'a> Fitting<'a> {
    fn new(conversation: &'a Conversation, limits: RequestLimits) -> Self {
        let units = units(conversation).map(size).collect();
        let summary = conversation.own.summary.as_ref().map_or(0, message_tokens);
        let limits = RequestLimits { fixed: limits.fixed + summary, ..limits };
        Self { conversation, limits, units, cut: Cut::default() }
    }

    fn tokens(&self) -> u64 {
        self.limits.fixed + self.units.iter().sum::<u64>()
    }

    /// The position of the unit before the first response.
    fn head(&self) -> usize {
        self.conversation.turns.len()
    }

    fn leave_out_results(&mut self) {
        let mut ids = 0;
        let read = units(self.conversation).take(self.units.len() - 1).enumerate();
        for (unit, messages) in read.filter(|(unit, _)| *unit != self.conversation.turns.len()) {
            for call in long_calls(messages) {
                let bytes = encoded_bytes(&call.id) + 3; // in quotation marks, with a comma
                if self.tokens() > self.limits.room / 2 && ids + bytes <= MAX_CALL_IDS {
                    ids += bytes;
                    self.units[unit] = self.units[unit].saturating_sub(call.saved);
                    self.cut.calls.push(call.id);
                }
            }
        }
    }

    /// Cuts the results and messages after the last response to equal shares, if together they take more than half of the
    /// room.
    fn cut_what_is_unread(&mut self) {
        let Some(messages) = units(self.conversation).last() else { return };
        let is_head = self.conversation.own.responses.is_empty();
        // The task is the first message of the run.
        let unread =
            messages.iter().skip(usize::from(is_head)).filter(|message| message.role != Role::Assistant);
        let parts: Vec<&Part> = unread.flat_map(|message| &message.parts).collect();
        let tokens: u64 = parts.iter().map(|part| part_tokens(part)).sum();
        let room = self.limits.room / 2;
        if tokens <= room {
            return;
        }
        let sizes: Vec<usize> = parts.iter().map(|part| bytes(part)).collect();
        let all: usize = sizes.iter().sum();
        let bound = u128::try_from(all).unwrap_or(u128::MAX) * u128::from(room) / u128::from(tokens);
        let Some(limit) = fair_limit(sizes, usize::try_from(bound).unwrap_or(usize::MAX)) else { return };
        let own = &self.conversation.own;
        self.cut.excerpts = Some(Excerpts {
            after_response: number(own.covered + own.responses.len()),
            bytes: number(limit.max(LEAST_EXCERPT)),
        });
        if let Some(last) = self.units.last_mut() {
            *last = last.saturating_sub(tokens - room);
        }
    }

    /// Covers the oldest units. A summary is not worth it if the request fits well without one.
    fn cover(&mut self) {
        let RequestLimits { room, cover, .. } = self.limits;
        if self.tokens() <= room / 4 * 3 && cover.is_none() {
            return;
        }
        let head = self.head();
        let coverable = (0..self.units.len() - 1).filter(|unit| *unit != head).collect::<Vec<_>>();
        let mut last = None;
        for unit in coverable {
            if self.tokens() <= room / 2 && !self.must_cover(unit) {
                break;
            }
            self.units[unit] = 0;
            if unit > head {
                self.units[head] = self.task();
            }
            last = Some(unit);
        }
        if let Some(last) = last {
            self.limits.fixed += SUMMARY;
            self.cut.covers = Some(self.coverage(last));
        }
    }

    fn must_cover(&self, unit: usize) -> bool {
        let turn = self.conversation.turns.get(unit);
        turn.is_some_and(|turn| self.limits.cover.is_some_and(|through| turn.at <= through))
    }

    /// The coverage of everything up to this unit.
    fn coverage(&self, unit: usize) -> Coverage {
        let turn = self.conversation.turns.get(unit).or(self.conversation.turns.last());
        let responses = unit.saturating_sub(self.head());
        let covered = if responses > 0 { self.conversation.own.covered + responses } else { 0 };
        Coverage { through: turn.map(|turn| turn.at), responses: number(covered) }
    }

    fn task(&self) -> u64 {
        size(&self.conversation.own.head[..self.conversation.own.head.len().min(1)])
    }
}

/// A call whose result or arguments are long.
struct LongCall {
    id: String,
    /// The tokens that its stubs save.
    saved: u64,
}

/// Returns the long calls among the messages, in their order.
fn long_calls(messages: &[Message]) -> Vec<LongCall> {
    let mut arguments: BTreeMap<&str, u64> = BTreeMap::new();
    let mut calls = Vec::new();
    for part in messages.iter().flat_map(|message| &message.parts) {
        match part {
            Part::ToolCall(call) => {
                arguments.insert(&call.id, saved(&call.arguments));
            }
            Part::ToolResult(result) => {
                let of_arguments = arguments.get(result.call_id.as_str()).copied();
                let saved = saved(&result.content) + of_arguments.unwrap_or_default();
                if let Some(saved) = of_arguments.and(Some(saved)).filter(|saved| *saved > 0) {
                    calls.push(LongCall { id: result.call_id.clone(), saved });
                }
            }
            Part::Text { .. } | Part::Reasoning(_) | Part::File(_) => {}
        }
    }
    calls
}

/// The tokens that a stub for this text saves.
fn saved(text: &str) -> u64 {
    if text.len() > SHORT { text_tokens(text).saturating_sub(STUB) } else { 0 }
}

fn units(conversation: &Conversation) -> impl Iterator<Item = &[Message]> {
    let turns = conversation.turns.iter().map(|turn| turn.messages.as_slice());
    let own = &conversation.own;
    turns.chain([own.head.as_slice()]).chain(own.responses.iter().map(Vec::as_slice))
}

fn size(messages: &[Message]) -> u64 {
    messages.iter().map(message_tokens).sum()
}

fn bytes(part: &Part) -> usize {
    match part {
        Part::Text { text } => text.len(),
        Part::ToolResult(result) => result.content.len(),
        Part::Reasoning(_) | Part::ToolCall(_) | Part::File(_) => 0,
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Returns the largest limit of each size with which their sum is at most `bound`, or `None` if none has to be limited.
pub(crate) fn fair_limit(mut sizes: Vec<usize>, bound: usize) -> Option<usize> {
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

#[cfg(test)]
mod tests;
