//! The conversations of Amazon Bedrock (`ConverseStream`), which have one form for the models of all makers.

mod encode;
mod files;
mod reasoning;
#[cfg(test)]
mod tests;

pub(super) use encode::encode;

use serde_json::Value;

use super::{
    answer::{AnswerState, unknown_reason},
    blocks::{self, OpenBlock, SIGNATURE, lacks},
    calls::Piece,
    failure,
    json::{self, Object},
};
use crate::{Error, FinishReason, Usage, chunk::Raw};

/// Reads the events of an answer.
#[derive(Debug, Default)]
pub(super) struct StreamReader {
    block: OpenBlock,
    /// The blocks of tools that Bedrock runs itself. They are no calls for us.
    of_server: Vec<u64>,
}

/// The events of a stream. Everything else is an exception or new.
const EVENTS: &[&str] = &[
    "messageStart",
    "contentBlockStart",
    "contentBlockDelta",
    "contentBlockStop",
    "messageStop",
    "metadata",
];

impl StreamReader {
    /// Reads an event, or the whole answer of `Converse`.
    ///
    /// # Errors
    /// If the event is an exception, or cannot be understood.
    pub(super) fn read(
        &mut self,
        event: &str,
        object: &Object,
        answer: &mut AnswerState,
        out: &mut Vec<Raw>,
    ) -> Result<(), Error> {
        let (event, object) = without_wrapper(event, object);
        let index = json::number(object.get("contentBlockIndex"));
        match event {
            "messageStart" => self.block.begin_answer(answer),
            "contentBlockStart" => {
                let index = self.block.begin(index, answer, out);
                let start = json::object(object, "start").ok_or_else(|| lacks("start"))?;
                self.read_content(start, index, answer, out)
            }
            "contentBlockDelta" => {
                let delta = json::object(object, "delta").ok_or_else(|| lacks("delta"))?;
                self.read_content(delta, self.block.of(index), answer, out)
            }
            "contentBlockStop" => {
                self.block.end(answer, out);
                Ok(())
            }
            "messageStop" => {
                self.block.end(answer, out);
                read_end(object, answer)
            }
            "metadata" => {
                read_usage(object, answer);
                Ok(())
            }
            "" => self.read_whole(object, answer, out),
            name if is_exception(name) => Err(failure::of_kind(name, object)),
            _ => Ok(()),
        }
    }

    /// Reads content: the beginning of a block, a piece of one, or a whole one.
    fn read_content(
        &mut self,
        content: &Object,
        index: u64,
        answer: &mut AnswerState,
        out: &mut Vec<Raw>,
    ) -> Result<(), Error> {
        if let Some(text) = content.get("text").and_then(Value::as_str) {
            answer.text(text, out);
        }
        if let Some(reasoning) = json::object(content, "reasoningContent") {
            // Streams have the text here, and whole answers in a field of its own.
            let inner = json::object(reasoning, "reasoningText").unwrap_or(reasoning);
            self.read_reasoning(inner, answer, out);
        }
        let Some(call) = json::object(content, "toolUse") else { return Ok(()) };
        if call.get("type").and_then(Value::as_str) == Some("server_tool_use") {
            self.of_server.push(index);
        }
        if self.of_server.contains(&index) {
            return Ok(());
        }
        let arguments = blocks::arguments(call.get("input"));
        let id = json::text(call.get("toolUseId"));
        let name = json::text(call.get("name"));
        answer.call(Piece { index: Some(index), id, name, arguments, ..Piece::default() }, out)
    }

    fn read_reasoning(&mut self, reasoning: &Object, answer: &mut AnswerState, out: &mut Vec<Raw>) {
        let text = |name: &str| reasoning.get(name).and_then(Value::as_str);
        if let Some(data) = text("redactedContent") {
            blocks::redacted(data, answer, out);
        }
        if let Some(text) = text("text") {
            self.block.reasoning(text, answer, out);
        }
        if let Some(signature) = text(SIGNATURE) {
            self.block.signature(signature);
        }
    }

    /// Reads the answer of `Converse`, which a gateway may send in place of a stream.
    fn read_whole(
        &mut self,
        object: &Object,
        answer: &mut AnswerState,
        out: &mut Vec<Raw>,
    ) -> Result<(), Error> {
        let Some(message) = json::object(object, "output").and_then(|output| json::object(output, "message"))
        else {
            return Ok(());
        };
        for (at, block) in json::elements(message.get("content")).iter().enumerate() {
            let block = block.as_object().ok_or_else(|| lacks("content"))?;
            self.read_content(block, at as u64, answer, out)?;
            self.block.end(answer, out);
        }
        read_end(object, answer)?;
        read_usage(object, answer);
        Ok(())
    }
}

/// Returns the name of an event and its fields. Where there are no headers, its name is the one field of the document.
fn without_wrapper<'a>(event: &'a str, object: &'a Object) -> (&'a str, &'a Object) {
    if EVENTS.contains(&event) {
        return (event, object);
    }
    let named = |(name, value): (&'a String, &'a Value)| {
        let is_event = EVENTS.contains(&name.as_str()) || is_exception(name);
        value.as_object().filter(|_| is_event).map(|fields| (name.as_str(), fields))
    };
    object.iter().find_map(named).unwrap_or((event, object))
}

fn is_exception(name: &str) -> bool {
    name.ends_with("Exception")
}

/// Reads the reason of the end. Nothing else says that the answer is whole.
fn read_end(object: &Object, answer: &mut AnswerState) -> Result<(), Error> {
    let word = json::text(object.get("stopReason")).ok_or_else(|| lacks("stopReason"))?;
    answer.stopped(finish_reason(&word)?);
    Ok(())
}

/// Reads the usage. Events without one, such as one with metrics only, leave it as it is.
fn read_usage(object: &Object, answer: &mut AnswerState) {
    let Some(report) = json::object(object, "usage") else { return };
    let number = |name: &str| json::number(report.get(name)).unwrap_or(0);
    let cached = number("cacheReadInputTokens");
    // `inputTokens` has neither what was read from the cache nor what was written to it.
    let written = number("cacheWriteInputTokens");
    let input = number("inputTokens").saturating_add(cached).saturating_add(written);
    answer.used(Usage {
        input_tokens: input,
        output_tokens: number("outputTokens"),
        cached_input_tokens: cached,
        cache_write_tokens: written,
        reasoning_tokens: 0,
        estimated: false,
    });
}

fn finish_reason(word: &str) -> Result<FinishReason, Error> {
    match word {
        "end_turn" | "stop_sequence" => Ok(FinishReason::Stop),
        "max_tokens" => Ok(FinishReason::Length),
        "tool_use" => Ok(FinishReason::ToolCalls),
        "guardrail_intervened" | "content_filtered" => Ok(FinishReason::ContentFilter),
        "refusal" => Ok(FinishReason::Refusal),
        "model_context_window_exceeded" => Ok(FinishReason::Context),
        "malformed_model_output" | "malformed_tool_use" => {
            Err(Error::Unavailable(format!("the server stopped with the reason `{word}`")))
        }
        _ => Ok(unknown_reason(word)),
    }
}
