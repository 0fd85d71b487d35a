//! The pieces of an answer, and the tokens that it used.

use serde::{Deserialize, Serialize};

/// Bytes of a provider's data at most. Longer data is not kept, and so it is not given back.
pub const MAX_PROVIDER_DATA: usize = 40_000;

/// One piece of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// The next piece of the answer's text; never empty.
    TextDelta(String),
    /// The next piece of the model's visible reasoning; never empty.
    ReasoningDelta(String),
    /// The model starts to call a tool.
    ToolCallStart {
        /// The id of the call, for the following chunks and the [`ToolResult`](crate::ToolResult).
        id: String,
        /// The name of the tool.
        name: String,
    },
    /// The next piece of a call's arguments. The JSON text is complete at [`Chunk::ToolCallEnd`].
    ToolCallDelta {
        /// The id of the call.
        id: String,
        /// A piece of JSON text; never empty.
        arguments: String,
    },
    /// Data that the same model gets back with its reasoning or its call in the next request, unchanged: a signature, or the
    /// provider's own id of the call. It is JSON in a form that only this crate knows.
    ProviderData {
        /// The id of the call, or `None` for data of the reasoning before this chunk, or of the whole answer.
        call_id: Option<String>,
        /// At most [`MAX_PROVIDER_DATA`] bytes.
        data: String,
    },
    /// The arguments of a call are complete.
    ToolCallEnd {
        /// The id of the call.
        id: String,
    },
    /// The last chunk of an answer.
    Finished {
        /// The reason why the model stopped.
        finish_reason: FinishReason,
        /// The tokens that the answer used.
        usage: Usage,
    },
}

/// The reason why a model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The answer is complete, or a stop sequence was reached.
    Stop,
    /// The limit of output tokens was reached.
    Length,
    /// The context window of the model is full.
    Context,
    /// The model waits for the results of its tool calls.
    ToolCalls,
    /// The provider withheld the answer or the rest of it.
    ContentFilter,
    /// The model declined to answer.
    Refusal,
    /// A reason that is not known. The answer may be incomplete.
    Other,
}

impl FinishReason {
    /// Returns the error of an answer that ended for this reason before it was complete, or `None` if it is complete.
    #[must_use]
    pub fn failure(self) -> Option<crate::Error> {
        match self {
            Self::Stop | Self::ToolCalls => None,
            Self::Other => {
                Some(crate::Error::InvalidAnswer("the server stopped for an unknown reason".into()))
            }
            Self::Length => Some(crate::Error::LengthReached),
            Self::Context => Some(crate::Error::ContextTooLong),
            Self::ContentFilter => Some(crate::Error::ContentFiltered),
            Self::Refusal => Some(crate::Error::Refused),
        }
    }

    /// Returns the stable name, as serialized.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::Context => "context",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Refusal => "refusal",
            Self::Other => "other",
        }
    }
}

/// Tokens used by one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// All input tokens, including cached ones.
    pub input_tokens: u64,
    /// All output tokens, including reasoning.
    pub output_tokens: u64,
    /// The part of the input that was in the provider's cache.
    pub cached_input_tokens: u64,
    /// The part of the input that the provider wrote to its cache, at a price of its own.
    #[serde(default)]
    pub cache_write_tokens: u64,
    /// The part of the output that was reasoning.
    pub reasoning_tokens: u64,
    /// True if the provider reported no usage and these numbers are estimates.
    pub estimated: bool,
}

/// The items of a provider's stream, before [`Chunks`](crate::Chunks) enforces the contract.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Raw {
    /// Any chunk except `Finished`.
    Chunk(Chunk),
    /// The usage that the provider has reported so far. It stays if the answer does not end.
    Usage(Usage),
    /// The model stopped with this reason.
    Finished { finish_reason: FinishReason, usage: Option<Usage> },
}

pub(crate) type RawStream = futures::stream::BoxStream<'static, Result<Raw, crate::Error>>;
