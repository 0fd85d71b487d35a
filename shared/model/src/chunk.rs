//! What a model says, piece by piece, and what it cost in tokens.

use serde::{Deserialize, Serialize};

/// One piece of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// More of the answer's text; never empty.
    TextDelta(String),
    /// More of the model's visible reasoning; never empty.
    ReasoningDelta(String),
    /// The model begins to call a tool.
    ToolCallStart {
        /// Names the call in the chunks that follow and in the [`ToolResult`](crate::ToolResult).
        id: String,
        /// Name of the tool.
        name: String,
    },
    /// More of a call's arguments, JSON text that is whole only at [`Chunk::ToolCallEnd`].
    ToolCallDelta {
        /// The call.
        id: String,
        /// A piece of JSON text; never empty.
        arguments: String,
    },
    /// The arguments of a call are complete.
    ToolCallEnd {
        /// The call.
        id: String,
    },
    /// The last chunk of an answer.
    Finished {
        /// Why the model stopped.
        finish_reason: FinishReason,
        /// What the answer used.
        usage: Usage,
    },
}

/// Why a model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// It had said everything, or met a stop sequence.
    Stop,
    /// The limit on output tokens, or the context window, was reached.
    Length,
    /// It waits for the results of its tool calls.
    ToolCalls,
    /// The provider withheld (the rest of) the answer.
    ContentFilter,
    /// A reason that only this provider knows.
    Other,
}

impl FinishReason {
    /// The stable name, as serialised.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Other => "other",
        }
    }
}

/// Tokens used by one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// All input tokens, cached ones included.
    pub input_tokens: u64,
    /// All output tokens, reasoning included.
    pub output_tokens: u64,
    /// The part of the input that the provider had cached.
    pub cached_input_tokens: u64,
    /// The part of the output that was reasoning.
    pub reasoning_tokens: u64,
    /// True if the provider reported nothing and these are our own estimates.
    pub estimated: bool,
}

/// What a backend yields before [`Chunks`](crate::Chunks) puts the contract around it.
#[derive(Debug)]
pub(crate) enum Raw {
    /// Any chunk but `Finished`.
    Chunk(Chunk),
    /// The provider said that it still works.
    Alive,
    /// The model stopped.
    Finished { finish_reason: FinishReason, usage: Option<Usage> },
}

pub(crate) type RawStream = futures::stream::BoxStream<'static, Result<Raw, crate::Error>>;
