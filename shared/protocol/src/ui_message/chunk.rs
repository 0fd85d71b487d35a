//! The chunks of the AI SDK UI message stream v1.

use std::borrow::Cow;

use sequent_core::{InterruptId, MessageId, MicroUsd, ProjectId, RunId};
use sequent_event::{CancelReason, Event};
use serde::Serialize;
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};

use crate::sse::Frame;

/// A chunk. Types and fields are those of `uiMessageChunkSchema` in the npm package `ai`, versions 5 to 7, and those of approvals
/// in versions 6 and 7. It ignores unknown fields and throws on unknown types.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[expect(missing_docs, reason = "as in the AI SDK; our own parts have comments")]
pub enum Chunk {
    /// The id of the message is that of the run: one run is one assistant message, and its id is known before
    /// the first word.
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
    /// A person has to decide about the call. The id of the approval is that of the question.
    ToolApprovalRequest {
        approval_id: InterruptId,
        tool_call_id: String,
    },
    /// The call was not approved. The field `reason` is ours: the person's reason.
    ToolOutputDenied {
        tool_call_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    ToolOutputAvailable {
        tool_call_id: String,
        output: Json,
        provider_executed: bool,
    },
    ToolOutputError {
        tool_call_id: String,
        error_text: Cow<'static, str>,
        provider_executed: bool,
    },
    /// A source of the answer. The id is the position of the citation in the log of the run.
    SourceUrl {
        source_id: String,
        url: String,
        title: String,
    },
    /// An event that the protocol has no type for, in the form of the native stream. The SDK passes it to `onData`. A
    /// transient one does not become a part of the message; any other has the position of the event as its id.
    DataSequentEvent {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        data: Event,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
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
    /// The field `code` is ours: the stable code of the failure.
    Error {
        error_text: String,
        code: String,
    },
}

impl Chunk {
    /// An event that clients see and do not keep.
    pub(super) fn transient(event: &Event) -> Self {
        Self::DataSequentEvent { id: None, data: event.clone(), transient: true }
    }

    /// An event that is a part of the message.
    pub(super) fn kept(event: Event) -> Self {
        Self::DataSequentEvent { id: Some(event.seq.to_string()), data: event, transient: false }
    }

    /// Returns the frame of the chunk. It has no `id`: these clients count chunks.
    #[must_use]
    pub fn frame(&self) -> Frame {
        Frame::json(None, None, self)
    }
}

/// Marks a part that was cut off by a crash and does not belong to the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Mark {
    sequent: Abandoned,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Abandoned {
    abandoned: bool,
}

impl Mark {
    /// The mark `{"sequent":{"abandoned":true}}`.
    pub const ABANDONED: Self = Self { sequent: Abandoned { abandoned: true } };
}

impl Metadata {
    /// Merges later metadata, as the client does.
    pub(super) fn merge(&mut self, later: &Self) {
        let Self { run_id, project_id, model, provider, demo, usage } = later.clone();
        self.run_id = run_id.or(self.run_id);
        self.project_id = project_id.or(self.project_id);
        self.model = model.or(self.model.take());
        self.provider = provider.or(self.provider.take());
        self.demo = demo.or(self.demo);
        self.usage = usage.or(self.usage.take());
    }
}

/// Metadata of the message. The client merges later metadata into what it has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "plain data")]
pub struct Metadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// The model: at the start the requested one, later the provider's name of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The answer comes from the built-in demo provider and not from a model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub demo: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<UsageTotals>,
}

/// Usage of all model calls so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "plain data")]
pub struct UsageTotals {
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// The cost of the calls whose model is in the price table.
    pub cost_micro_usd: MicroUsd,
}

/// The reason why the message ended. Contains the values that versions 5 to 7 have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "plain data")]
pub enum FinishReason {
    Stop,
    Length,
    ContentFilter,
    ToolCalls,
    Error,
    Other,
}

impl FinishReason {
    /// Converts the provider's reason.
    #[must_use]
    pub fn of_provider(reason: &str) -> Self {
        match reason {
            "stop" | "end_turn" | "stop_sequence" | "" => Self::Stop,
            "length" | "max_tokens" => Self::Length,
            "content_filter" | "refusal" => Self::ContentFilter,
            "tool_calls" | "tool_use" => Self::ToolCalls,
            _ => Self::Other,
        }
    }
}

/// JSON in its original form, so that no build of ours reorders fields or rounds numbers.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

impl Json {
    /// Parses an object or array. Any other text becomes a JSON string.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let structured = text.trim_start().starts_with(['{', '[']);
        let parsed = structured.then(|| serde_json::from_str::<Box<RawValue>>(text).ok()).flatten();
        parsed.map_or_else(|| Self::of_text(text), Self)
    }

    /// Makes a JSON string of a text.
    ///
    /// # Panics
    /// Never: a string is JSON.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        Self(to_raw_value(text).expect("a string is JSON"))
    }

    /// Makes JSON of a value.
    ///
    /// # Panics
    /// Never: every value is JSON.
    #[must_use]
    pub fn of_value(value: &Value) -> Self {
        Self(to_raw_value(value).expect("a value is JSON"))
    }

    /// Returns the text of the JSON.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Parses the arguments of a tool call. An empty text becomes an empty object.
    #[must_use]
    pub fn of_arguments(text: &str) -> Self {
        Self::of(if text.trim().is_empty() { "{}" } else { text })
    }
}
