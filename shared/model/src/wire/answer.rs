//! The answer that a decoder has read so far, independent of the protocol.

use super::{
    calls::{Calls, Piece},
    json::Object,
    provider_data,
    surrogates::Joiner,
};
use crate::{Chunk, Error, FinishReason, Usage, chunk::Raw};

/// Returns the reason for a word of a server that is not known. A new word may mean an ordinary end or half an answer, so that
/// the answer does not count as complete.
pub(super) fn unknown_reason(word: &str) -> FinishReason {
    const MAX_CHARS: usize = 60;
    let reason: String = word.chars().filter(|c| !c.is_control()).take(MAX_CHARS).collect();
    tracing::warn!(reason, "a model's server stopped for an unknown reason; the answer counts as incomplete");
    FinishReason::Other
}

/// The state of an answer. Its methods add what clients may see to `out`.
#[derive(Debug, Default)]
pub(super) struct AnswerState {
    text: Joiner,
    reasoning: Joiner,
    calls: Calls,
    /// Data of the whole answer that goes back with its calls.
    kept: Object,
    stop: Option<FinishReason>,
    /// The model declined in words of its own.
    has_refused: bool,
    has_output: bool,
    usage: Option<Usage>,
    /// The usage came with the stop reason or after it, so it is final.
    has_final_usage: bool,
    is_over: bool,
}

impl AnswerState {
    pub(super) fn text(&mut self, piece: &str, out: &mut Vec<Raw>) {
        let text = self.text.join(piece);
        self.has_output |= !piece.is_empty();
        if !text.is_empty() {
            out.push(Raw::Chunk(Chunk::TextDelta(text)));
        }
    }

    pub(super) fn reasoning(&mut self, piece: &str, out: &mut Vec<Raw>) {
        let text = self.reasoning.join(piece);
        self.has_output |= !piece.is_empty();
        if !text.is_empty() {
            out.push(Raw::Chunk(Chunk::ReasoningDelta(text)));
        }
    }

    /// Ends a block of reasoning that has data of its own.
    pub(super) fn reasoning_data(&mut self, data: Object, out: &mut Vec<Raw>) {
        self.has_output = true;
        out.extend(provider_data::chunk(None, data).map(Raw::Chunk));
    }

    /// Returns the data of the whole answer, for additions.
    pub(super) fn kept(&mut self) -> &mut Object {
        &mut self.kept
    }

    /// Takes words with which the model declines. They are text for people.
    pub(super) fn refusal(&mut self, piece: &str, out: &mut Vec<Raw>) {
        self.has_refused |= !piece.is_empty();
        self.text(piece, out);
    }

    pub(super) fn call(&mut self, piece: Piece, out: &mut Vec<Raw>) -> Result<(), Error> {
        self.has_output = true;
        self.calls.take(piece, out)
    }

    /// Takes the reason why the model stopped. Some servers repeat it.
    pub(super) fn stopped(&mut self, reason: FinishReason) {
        self.stop.get_or_insert(reason);
    }

    /// Takes a report of the usage. A later one replaces it.
    pub(super) fn used(&mut self, usage: Usage) {
        self.usage = Some(usage);
        self.has_final_usage = self.stop.is_some();
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    pub(super) fn has_output(&self) -> bool {
        self.has_output
    }

    pub(super) fn has_stopped(&self) -> bool {
        self.stop.is_some()
    }

    pub(super) fn has_final_usage(&self) -> bool {
        self.has_final_usage
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Ends the answer.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the server has not said that the model stopped. Also fails if the calls are not complete.
    pub(super) fn finish(&mut self, out: &mut Vec<Raw>) -> Result<(), Error> {
        if std::mem::replace(&mut self.is_over, true) {
            return Ok(());
        }
        let stop = self.stop.ok_or(Error::Truncated)?;
        let has_calls = !self.calls.is_empty();
        let rest = self.text.end().map(|half| Chunk::TextDelta(half.into()));
        out.extend(rest.map(Raw::Chunk));
        let rest = self.reasoning.end().map(|half| Chunk::ReasoningDelta(half.into()));
        out.extend(rest.map(Raw::Chunk));
        self.calls.end(out)?;
        let kept = std::mem::take(&mut self.kept);
        out.extend(provider_data::chunk(None, kept).filter(|_| has_calls).map(Raw::Chunk));
        let finish_reason = match stop {
            // Many servers give the reason of an ordinary end after calls.
            FinishReason::Stop if has_calls => FinishReason::ToolCalls,
            FinishReason::ToolCalls if !has_calls => {
                return Err(Error::InvalidAnswer("it announces tool calls, and contains none".into()));
            }
            FinishReason::Stop if self.has_refused => FinishReason::Refusal,
            other => other,
        };
        out.push(Raw::Finished { finish_reason, usage: self.usage });
        Ok(())
    }
}
