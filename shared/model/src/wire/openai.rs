//! The chat completions of OpenAI, and of the many servers with the same API.

mod encode;
mod kept;
mod usage;

pub(super) use encode::encode;

use serde_json::Value;

use super::{
    answer::{AnswerState, unknown_reason},
    calls::{ArgumentPiece, Piece},
    json::{self, Object},
    surrogates,
};
use crate::{Error, FinishReason, chunk::Raw};

/// Reads the documents of an answer.
#[derive(Debug, Default)]
pub(super) struct ChunkReader {
    /// The index of the choice that is read. Requests ask for one choice, and servers number it differently.
    choice: Option<u64>,
}

impl ChunkReader {
    /// Reads a chunk, a whole completion, or metadata.
    ///
    /// # Errors
    /// If the document cannot be understood, or says that the model has failed.
    pub(super) fn read(
        &mut self,
        object: &Object,
        answer: &mut AnswerState,
        out: &mut Vec<Raw>,
    ) -> Result<(), Error> {
        let choices = json::elements(object.get("choices"));
        for choice in choices.iter().filter_map(Value::as_object) {
            let index = json::number(choice.get("index")).unwrap_or(0);
            if *self.choice.get_or_insert(index) == index {
                read_choice(choice, answer, out)?;
            }
        }
        let in_choice = choices.first().and_then(Value::as_object);
        let of_groq = json::object(object, "x_groq");
        let places = [Some(object), in_choice, of_groq];
        // The real report is the last one. Before it, some servers send the numbers so far.
        let reports = places.into_iter().flatten().filter_map(|place| json::object(place, "usage"));
        if let Some(usage) = reports.filter_map(usage::read).next() {
            answer.used(usage);
        }
        Ok(())
    }
}

fn read_choice(choice: &Object, answer: &mut AnswerState, out: &mut Vec<Raw>) -> Result<(), Error> {
    let delta = json::object(choice, "delta").filter(|delta| !delta.is_empty());
    // A whole answer has a message. Some servers repeat the whole message at the end of a stream.
    let message = json::object(choice, "message").filter(|_| !answer.has_output());
    if let Some(message) = delta.or(message) {
        read_message(message, answer, out)?;
    } else if let Some(text) = choice.get("text").and_then(Value::as_str) {
        answer.text(text, out);
    }
    // Fireworks sends `stop_reason` in place of the finish reason. vLLM sends both, with different meanings.
    let reason = choice.get("finish_reason").or_else(|| choice.get("stop_reason"));
    match reason.and_then(Value::as_str).unwrap_or_default() {
        "" | "null" => {}
        reason => answer.stopped(finish_reason(reason)?),
    }
    Ok(())
}

fn read_message(message: &Object, answer: &mut AnswerState, out: &mut Vec<Raw>) -> Result<(), Error> {
    // Servers have several names for it, and some send the same text under two of them.
    let reasoning = ["reasoning_content", "reasoning", "thinking", "reasoning_text"];
    let reasoning = reasoning.iter().filter_map(|name| message.get_key_value(*name));
    kept::of_message(message, answer.kept());
    if let Some((name, reasoning)) = reasoning.into_iter().find(|(_, value)| has_text(value)) {
        kept::named(name, answer.kept());
        read_content(reasoning, &mut |text, _| answer.reasoning(text, out));
    }
    if let Some(content) = message.get("content") {
        read_content(content, &mut |text, kind| match kind {
            ContentKind::Text => answer.text(text, out),
            ContentKind::Reasoning => answer.reasoning(text, out),
            ContentKind::Refusal => answer.refusal(text, out),
        });
    }
    if let Some(refusal) = message.get("refusal").and_then(Value::as_str) {
        answer.refusal(refusal, out);
    }
    let calls = json::elements(message.get("tool_calls"));
    let has_index = calls.iter().any(|call| json::number(call.get("index")).is_some());
    for (position, call) in calls.iter().enumerate() {
        let Some(call) = call.as_object() else { continue };
        let mut piece = piece(call);
        // In a list of several calls without an index, the position is the index.
        if calls.len() > 1 && !has_index {
            piece.index = u64::try_from(position).ok();
        }
        answer.call(piece, out)?;
    }
    // The older form of a call, which is never one of several.
    if let Some(call) = json::object(message, "function_call") {
        answer.call(Piece { index: Some(0), ..piece(call) }, out)?;
    }
    Ok(())
}

fn has_text(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    }
}

/// The kind of a piece of content.
enum ContentKind {
    Text,
    Reasoning,
    Refusal,
}

/// Gives each piece of the content to `take`. Content is a text, or a list of parts (Mistral, Databricks).
fn read_content(content: &Value, take: &mut dyn FnMut(&str, ContentKind)) {
    match content {
        Value::String(text) => take(text, ContentKind::Text),
        Value::Number(number) => take(&number.to_string(), ContentKind::Text),
        Value::Array(parts) => parts.iter().for_each(|part| read_content(part, take)),
        Value::Object(part) => read_part(part, take),
        Value::Null | Value::Bool(_) => {}
    }
}

fn read_part(part: &Object, take: &mut dyn FnMut(&str, ContentKind)) {
    let reasoning = ["thinking", "reasoning", "summary"].iter().find_map(|name| part.get(*name));
    let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
    let refusal = part.get("refusal").and_then(Value::as_str);
    match (refusal, reasoning, part.get("text")) {
        (Some(refusal), _, _) => take(refusal, ContentKind::Refusal),
        (_, Some(reasoning), _) => read_content(reasoning, &mut |text, _| take(text, ContentKind::Reasoning)),
        (_, _, Some(text)) if kind.contains("reasoning") || kind.contains("thinking") => {
            read_content(text, &mut |text, _| take(text, ContentKind::Reasoning));
        }
        (_, _, Some(text)) => read_content(text, take),
        _ => {} // a reference, or another part that is no text
    }
}

/// Reads a piece of a call. Some servers leave out the object `function` around the name and the arguments.
fn piece(call: &Object) -> Piece {
    let function = json::object(call, "function").unwrap_or(call);
    let arguments = match function.get("arguments").or_else(|| function.get("parameters")) {
        Some(Value::String(text)) => ArgumentPiece::Part(text.clone()),
        Some(Value::Object(object)) if object.is_empty() => ArgumentPiece::None,
        Some(whole @ (Value::Object(_) | Value::Array(_))) => {
            ArgumentPiece::Whole(surrogates::joined(&whole.to_string()))
        }
        _ => ArgumentPiece::None,
    };
    Piece {
        index: json::number(call.get("index")),
        id: json::text(call.get("id")),
        name: json::text(function.get("name")),
        arguments,
        kept: kept::of_call(call),
    }
}

/// Returns the meaning of a server's word for the end.
///
/// # Errors
/// If the word says that the model has failed.
fn finish_reason(word: &str) -> Result<FinishReason, Error> {
    match word.to_ascii_lowercase().as_str() {
        "stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence" | "complete" | "completed" | "end" => {
            Ok(FinishReason::Stop)
        }
        "length" | "max_tokens" | "max_output_tokens" => Ok(FinishReason::Length),
        "tool_calls" | "tool_call" | "tool_use" | "function_call" => Ok(FinishReason::ToolCalls),
        "content_filter"
        | "content_filtered"
        | "safety"
        | "recitation"
        | "prohibited_content"
        | "blocklist"
        | "spii"
        | "image_safety"
        | "image_prohibited_content"
        | "image_recitation"
        | "model_armor"
        | "sensitive"
        | "guardrail_intervened" => Ok(FinishReason::ContentFilter),
        "refusal" => Ok(FinishReason::Refusal),
        "model_length" | "context_length" | "model_context_window_exceeded" => Ok(FinishReason::Context),
        "error"
        | "network_error"
        | "server_error"
        | "insufficient_system_resource"
        | "abort"
        | "aborted"
        | "cancelled"
        | "failed"
        | "malformed_function_call"
        | "malformed_tool_use"
        | "malformed_model_output"
        | "unexpected_tool_call" => {
            Err(Error::Unavailable(format!("the server stopped with the reason `{word}`")))
        }
        _ => Ok(unknown_reason(word)),
    }
}
