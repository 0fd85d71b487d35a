//! The messages of Anthropic, and of servers and gateways with the same API.

mod cache;
mod encode;
mod output;
pub(super) mod reasoning;

pub(super) use encode::{DEFAULT_OUTPUT, encode};

use serde_json::Value;

use super::{
    answer::{AnswerState, unknown_reason},
    blocks::{self, OpenBlock, SIGNATURE, lacks},
    calls::{ArgumentPiece, Piece},
    json::{self, Object},
};
use crate::{Error, FinishReason, Usage, chunk::Raw};

/// Reads the events of an answer.
#[derive(Debug, Default)]
pub(super) struct EventReader {
    block: OpenBlock,
}

impl EventReader {
    /// Reads an event, or a whole message. Returns `true` if nothing follows.
    ///
    /// # Errors
    /// If the event cannot be understood.
    pub(super) fn read(
        &mut self,
        event: &str,
        object: &Object,
        answer: &mut AnswerState,
        out: &mut Vec<Raw>,
    ) -> Result<bool, Error> {
        let kind =
            object.get("type").and_then(Value::as_str).filter(|kind| !kind.is_empty()).unwrap_or(event);
        let index = json::number(object.get("index"));
        match kind {
            "message_start" => self.begin(object, answer)?,
            "content_block_start" => {
                let index = self.block.begin(index, answer, out);
                let block = json::object(object, "content_block").ok_or_else(|| lacks("content_block"))?;
                self.read_block(block, index, answer, out)?;
            }
            "content_block_delta" => {
                let delta = json::object(object, "delta").ok_or_else(|| lacks("delta"))?;
                self.read_delta(delta, self.block.of(index), answer, out)?;
            }
            "content_block_stop" => self.block.end(answer, out),
            "message_delta" => {
                self.block.end(answer, out);
                read_end(json::object(object, "delta").unwrap_or(object), object, answer)?;
            }
            "message" => {
                for (at, block) in json::elements(object.get("content")).iter().enumerate() {
                    let block = block.as_object().ok_or_else(|| lacks("type"))?;
                    self.read_block(block, at as u64, answer, out)?;
                    self.block.end(answer, out);
                }
                read_end(object, object, answer)?;
            }
            "message_stop" => return Ok(true),
            // New kinds of events may appear at any time (Anthropic, "Versions").
            _ => {}
        }
        Ok(false)
    }

    /// Reads the first event.
    fn begin(&mut self, object: &Object, answer: &mut AnswerState) -> Result<(), Error> {
        self.block.begin_answer(answer)?;
        if let Some(usage) =
            json::object(object, "message").and_then(|message| json::object(message, "usage"))
        {
            answer.used(usage_of(usage, Usage::default()));
        }
        Ok(())
    }

    /// Reads a block: whole, or the beginning of one.
    fn read_block(
        &mut self,
        block: &Object,
        index: u64,
        answer: &mut AnswerState,
        out: &mut Vec<Raw>,
    ) -> Result<(), Error> {
        let text = |name: &str| block.get(name).and_then(Value::as_str).unwrap_or_default();
        match text("type") {
            "text" => answer.text(text("text"), out),
            "thinking" => {
                self.block.reasoning(text("thinking"), answer, out);
                self.block.signature(text(SIGNATURE));
            }
            "redacted_thinking" => blocks::redacted(text("data"), answer, out),
            "tool_use" => {
                let arguments = blocks::arguments(block.get("input"));
                let id = json::text(block.get("id"));
                let name = json::text(block.get("name"));
                let piece = Piece { index: Some(index), id, name, arguments, ..Piece::default() };
                answer.call(piece, out)?;
            }
            _ => {} // blocks of tools that the server runs
        }
        Ok(())
    }

    fn read_delta(
        &mut self,
        delta: &Object,
        index: u64,
        answer: &mut AnswerState,
        out: &mut Vec<Raw>,
    ) -> Result<(), Error> {
        let text = |name: &str| delta.get(name).and_then(Value::as_str);
        if let Some(text) = text("text") {
            answer.text(text, out);
        }
        if let Some(thinking) = text("thinking") {
            self.block.reasoning(thinking, answer, out);
        }
        if let Some(signature) = text(SIGNATURE) {
            self.block.signature(signature);
        }
        if let Some(json) = text("partial_json") {
            let arguments = ArgumentPiece::Part(json.to_owned());
            answer.call(Piece { index: Some(index), arguments, ..Piece::default() }, out)?;
        }
        Ok(())
    }
}

/// Reads the reason of the end from `end`, and the usage from `object`. A gateway may send the event twice.
fn read_end(end: &Object, object: &Object, answer: &mut AnswerState) -> Result<(), Error> {
    if let Some(reason) = end.get("stop_reason").and_then(Value::as_str).filter(|reason| !reason.is_empty()) {
        answer.stopped(finish_reason(reason)?);
    }
    if let Some(usage) = json::object(object, "usage") {
        answer.used(usage_of(usage, answer.usage().unwrap_or_default()));
    }
    Ok(())
}

/// Reads a report of the usage, which is cumulative. Numbers that it lacks are those of the report `before` it; gateways
/// send zeros for numbers that they do not know yet.
fn usage_of(report: &Object, before: Usage) -> Usage {
    let number = |name: &str| json::number(report.get(name));
    let cached = number("cache_read_input_tokens");
    let written = number("cache_creation_input_tokens");
    let fresh = number("input_tokens");
    // Anthropic counts the three kinds of input apart.
    let input = [fresh, cached, written].into_iter().flatten().fold(0_u64, u64::saturating_add);
    Usage {
        input_tokens: input.max(before.input_tokens),
        output_tokens: number("output_tokens").unwrap_or(before.output_tokens),
        cached_input_tokens: cached.unwrap_or(0).max(before.cached_input_tokens),
        cache_write_tokens: written.unwrap_or(0).max(before.cache_write_tokens),
        reasoning_tokens: 0,
        estimated: false,
    }
}

fn finish_reason(word: &str) -> Result<FinishReason, Error> {
    match word {
        "end_turn" | "stop_sequence" | "stop" => Ok(FinishReason::Stop),
        "max_tokens" | "length" => Ok(FinishReason::Length),
        "tool_use" | "tool_calls" => Ok(FinishReason::ToolCalls),
        "refusal" => Ok(FinishReason::Refusal),
        "content_filter" => Ok(FinishReason::ContentFilter),
        "model_context_window_exceeded" => Ok(FinishReason::Context),
        "error" => Err(Error::Unavailable("the server stopped with the reason `error`".into())),
        // The server wants to go on with a tool of its own. No request asks for one.
        "pause_turn" => Err(Error::InvalidAnswer("the server has paused the answer".into())),
        _ => Ok(unknown_reason(word)),
    }
}
