//! The schemas of the data in the streams' frames, for the API description.
#![expect(dead_code, reason = "the types describe data that other crates write")]

use std::collections::BTreeMap;

use sequent_core::RunId;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// An event of a run's log. Its type determines the further fields.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunEvent {
    /// The position in the log: 1, 2, 3, without gaps.
    #[schema(minimum = 1)]
    seq: u64,
    /// The name of the type, such as `TEXT_MESSAGE_CONTENT`. Ignore types that you do not know.
    #[serde(rename = "type")]
    #[schema(pattern = "^[A-Z][A-Z_]*$")]
    kind: String,
    /// The version of the fields of this type.
    #[schema(minimum = 1)]
    v: u16,
    /// The time in milliseconds since the Unix epoch.
    timestamp: i64,
    #[serde(flatten)]
    fields: BTreeMap<String, Value>,
}

/// A chunk of the AI SDK's UI message stream, version 1. Its type determines the further fields. The last frame of a
/// complete stream has the data `[DONE]`.
#[derive(Serialize, ToSchema)]
pub(crate) struct UiMessageChunk {
    #[serde(rename = "type")]
    #[schema(inline)]
    kind: ChunkType,
    #[serde(flatten)]
    fields: BTreeMap<String, Value>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum ChunkType {
    Start,
    StartStep,
    TextStart,
    TextDelta,
    TextEnd,
    ReasoningStart,
    ReasoningDelta,
    ReasoningEnd,
    ToolInputStart,
    ToolInputDelta,
    ToolInputAvailable,
    ToolInputError,
    ToolApprovalRequest,
    ToolOutputDenied,
    ToolOutputAvailable,
    ToolOutputError,
    SourceUrl,
    DataSequentEvent,
    MessageMetadata,
    FinishStep,
    Finish,
    Abort,
    Error,
}

/// The data of a frame of an answer for `EventSource`.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum AnswerFrame {
    /// `event: start`: the run that writes the answer.
    Start { run_id: RunId },
    /// A message without an event name: append the text.
    Delta { delta: String },
    /// `event: reset`: replace the text. `event: end`: the whole answer.
    Text {
        content: String,
        /// The answer was cut short.
        #[serde(skip_serializing_if = "Option::is_none")]
        cancelled: Option<bool>,
    },
    /// `event: error`: the run failed. `end` follows.
    Failure { code: String, message: String },
}
