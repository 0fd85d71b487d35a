//! The chunks of the AI SDK UI message stream v1 that we send.

use sequent_core::{MessageId, MicroUsd, ProjectId, RunId};
use sequent_event::{CancelReason, Event};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::sse::Frame;

/// A chunk. Types and fields are those of `uiMessageChunkSchema` in the npm package `ai`, versions 5 to 7, which
/// ignores fields it does not know and throws on types it does not know.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[expect(missing_docs, reason = "names and meanings are the AI SDK's; what is ours is commented")]
pub enum Chunk {
    /// The message's id is the run's: one run is one assistant message, whose id is known before its first word.
    Start {
        message_id: RunId,
        message_metadata: Metadata,
    },
    StartStep,
    TextStart {
        id: MessageId,
    },
    TextDelta {
        id: MessageId,
        delta: String,
    },
    TextEnd {
        id: MessageId,
        #[serde(skip_serializing_if = "Option::is_none")]
        provider_metadata: Option<Mark>,
    },
    ReasoningStart {
        id: MessageId,
    },
    ReasoningDelta {
        id: MessageId,
        delta: String,
    },
    ReasoningEnd {
        id: MessageId,
        #[serde(skip_serializing_if = "Option::is_none")]
        provider_metadata: Option<Mark>,
    },
    ToolInputStart {
        tool_call_id: String,
        tool_name: String,
        provider_executed: bool,
    },
    ToolInputDelta {
        tool_call_id: String,
        input_text_delta: String,
    },
    ToolInputAvailable {
        tool_call_id: String,
        tool_name: String,
        input: Json,
        provider_executed: bool,
    },
    ToolInputError {
        tool_call_id: String,
        tool_name: String,
        input: Json,
        error_text: &'static str,
        provider_executed: bool,
    },
    ToolOutputAvailable {
        tool_call_id: String,
        output: Json,
        provider_executed: bool,
    },
    ToolOutputError {
        tool_call_id: String,
        error_text: &'static str,
        provider_executed: bool,
    },
    /// A source that the answer rests on; the id is the place of its citation in the run's log.
    SourceUrl {
        source_id: String,
        url: String,
        title: String,
    },
    /// An event for which the protocol has no word, as the native stream shows it. Transient: handed to `onData`,
    /// never a part of the message.
    DataSequentEvent {
        data: Event,
        transient: bool,
    },
    MessageMetadata {
        message_metadata: Metadata,
    },
    FinishStep,
    Finish {
        finish_reason: FinishReason,
    },
    Abort {
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<CancelReason>,
    },
    /// `code` is ours: the stable code of the failure.
    Error {
        error_text: String,
        code: String,
    },
}

impl Chunk {
    /// The chunk on the wire. It has no `id`: these clients count chunks.
    #[must_use]
    pub fn frame(&self) -> Frame {
        Frame::json(None, None, self)
    }
}

/// Says on a part that a crash cut it off and that it is no part of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Mark {
    sequent: Abandoned,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Abandoned {
    abandoned: bool,
}

impl Mark {
    /// `{"sequent":{"abandoned":true}}`.
    pub const ABANDONED: Self = Self { sequent: Abandoned { abandoned: true } };
}

/// What we tell about the message. The client merges what comes later into what it has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The run that writes the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// The conversation it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// The model: at the start as it was asked for, later as the provider names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Who answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The answer comes from the built-in stand-in, not from a model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub demo: Option<bool>,
    /// Totals so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Totals>,
}

/// Usage of all model calls so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// What they cost, of the calls whose model is in the price table.
    pub cost_micro_usd: MicroUsd,
}

/// Why the message ended, of the words that versions 5 to 7 share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum FinishReason {
    Stop,
    Length,
    ContentFilter,
    ToolCalls,
    Error,
    Other,
}

impl FinishReason {
    /// From the provider's own word for it.
    #[must_use]
    pub fn of_provider(word: &str) -> Self {
        match word {
            "stop" | "end_turn" | "stop_sequence" | "" => Self::Stop,
            "length" | "max_tokens" => Self::Length,
            "content_filter" | "refusal" => Self::ContentFilter,
            "tool_calls" | "tool_use" => Self::ToolCalls,
            _ => Self::Other,
        }
    }
}

/// JSON kept as it was written, so that no build of ours reorders its fields or rounds its numbers.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

impl Json {
    /// The object or array that `text` spells; any other text as a string.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let structured = text.trim_start().starts_with(['{', '[']);
        let parsed = structured.then(|| serde_json::from_str::<Box<RawValue>>(text).ok()).flatten();
        Self(parsed.unwrap_or_else(|| to_raw_value(text).expect("a string is JSON")))
    }

    /// The arguments of a tool call: none at all are an empty object.
    #[must_use]
    pub fn of_arguments(text: &str) -> Self {
        Self::of(if text.trim().is_empty() { "{}" } else { text })
    }
}
