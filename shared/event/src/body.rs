//! Every event type this build understands, with its fields.

use sequent_domain::{MessageId, MicroUsd, ProjectId, RunId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What happened. The type name on the wire is the variant in `SCREAMING_SNAKE_CASE`, fields are `camelCase`.
///
/// All types are at version 1. A change of meaning or a new field raises the version of its type in
/// [`Body::version`]; a reader without that version passes the event through as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
#[expect(missing_docs, reason = "the fields are AG-UI's, or named by the variant's own comment")]
pub enum Body {
    // Life of a run (AG-UI)
    /// An execution begins: the first, or the one after an answered interrupt.
    RunStarted {
        thread_id: ProjectId,
        run_id: RunId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent_run_id: Option<RunId>,
    },
    /// An execution ended as intended: done, waiting for a person, or cancelled.
    RunFinished {
        thread_id: ProjectId,
        run_id: RunId,
        outcome: Outcome,
    },
    /// An execution failed. `code` is stable, `message` may be shown to people.
    RunError {
        message: String,
        code: String,
    },
    StepStarted {
        step_name: String,
    },
    StepFinished {
        step_name: String,
    },

    // Text (AG-UI)
    TextMessageStart {
        message_id: MessageId,
        role: Role,
    },
    TextMessageContent {
        message_id: MessageId,
        delta: String,
    },
    TextMessageEnd {
        message_id: MessageId,
    },

    // Reasoning (AG-UI)
    ReasoningStart {
        message_id: MessageId,
    },
    ReasoningMessageStart {
        message_id: MessageId,
        role: Role,
    },
    ReasoningMessageContent {
        message_id: MessageId,
        delta: String,
    },
    ReasoningMessageEnd {
        message_id: MessageId,
    },
    ReasoningEnd {
        message_id: MessageId,
    },

    // Tools (AG-UI)
    ToolCallStart {
        tool_call_id: String,
        tool_call_name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent_message_id: Option<MessageId>,
    },
    ToolCallArgs {
        tool_call_id: String,
        delta: String,
    },
    ToolCallEnd {
        tool_call_id: String,
    },
    ToolCallResult {
        message_id: MessageId,
        tool_call_id: String,
        content: String,
    },

    // State and escape hatches (AG-UI)
    StateSnapshot {
        snapshot: Value,
    },
    StateDelta {
        delta: Value,
    },
    Custom {
        name: String,
        value: Value,
    },

    // Ours
    /// A person's turn that this run answers, or that steers it while it runs.
    UserMessage {
        message_id: MessageId,
        content: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<UserId>,
        /// The model the person chose, if they did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
    },
    /// A process became the run's owner. Everything a lower epoch still tries to append is refused by the log.
    RunClaimed {
        epoch: u32,
        writer: String,
        reason: ClaimReason,
    },
    /// Somebody asked the run to stop. The owner ends it with the outcome `cancelled`.
    CancelRequested {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<UserId>,
        reason: CancelReason,
    },
    /// The message was cut off by a crash of its writer and begins anew under another id. What it had said so far
    /// is not part of the answer.
    MessageAbandoned {
        message_id: MessageId,
    },
    /// One model call's usage and cost.
    UsageRecorded(Usage),
}

impl Body {
    /// The version this build writes for this type.
    #[must_use]
    pub const fn version(&self) -> u16 {
        1
    }

    /// Whether this build understands version `v` of the type called `name`.
    #[must_use]
    pub fn understands(name: &str, v: u16) -> bool {
        v == 1 && KNOWN.contains(&name)
    }

    /// Whether the event closes the log.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        matches!(self, Self::RunFinished { .. } | Self::RunError { .. })
    }

    /// Appends `other` to this event when both are pieces of one stream, so that pieces waiting for the same write
    /// are stored as one. Gives `other` back when they are not, or when the piece would pass `limit` bytes.
    pub fn merge(&mut self, other: Self, limit: usize) -> Option<Self> {
        let (into, delta) = match (&mut *self, &other) {
            (
                Self::TextMessageContent { message_id, delta: into },
                Self::TextMessageContent { message_id: of, delta },
            )
            | (
                Self::ReasoningMessageContent { message_id, delta: into },
                Self::ReasoningMessageContent { message_id: of, delta },
            ) if message_id == of => (into, delta),
            (
                Self::ToolCallArgs { tool_call_id, delta: into },
                Self::ToolCallArgs { tool_call_id: of, delta },
            ) if tool_call_id == of => (into, delta),
            _ => return Some(other),
        };
        if into.len() + delta.len() > limit {
            return Some(other);
        }
        into.push_str(delta);
        None
    }
}

/// Type names of [`Body`]'s variants; a test holds the list to the enum.
pub(crate) const KNOWN: &[&str] = &[
    "RUN_STARTED",
    "RUN_FINISHED",
    "RUN_ERROR",
    "STEP_STARTED",
    "STEP_FINISHED",
    "TEXT_MESSAGE_START",
    "TEXT_MESSAGE_CONTENT",
    "TEXT_MESSAGE_END",
    "REASONING_START",
    "REASONING_MESSAGE_START",
    "REASONING_MESSAGE_CONTENT",
    "REASONING_MESSAGE_END",
    "REASONING_END",
    "TOOL_CALL_START",
    "TOOL_CALL_ARGS",
    "TOOL_CALL_END",
    "TOOL_CALL_RESULT",
    "STATE_SNAPSHOT",
    "STATE_DELTA",
    "CUSTOM",
    "USER_MESSAGE",
    "RUN_CLAIMED",
    "CANCEL_REQUESTED",
    "MESSAGE_ABANDONED",
    "USAGE_RECORDED",
];

/// How an execution ended (AG-UI `RUN_FINISHED.outcome`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Outcome {
    /// The answer is complete.
    Success,
    /// Somebody cancelled it; what was said so far is kept.
    Cancelled,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The model.
    Assistant,
    /// A person.
    User,
    /// The model's thinking (AG-UI gives reasoning messages this role).
    Reasoning,
}

/// Why a process claimed a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimReason {
    /// It executes the run first.
    Start,
    /// The former owner's lease was over.
    TakeOver,
}

/// Why a run was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    /// A person asked for it.
    Requested,
    /// A newer message of the same conversation interrupts it; what it said is kept.
    Interrupted,
    /// A newer message of the same conversation replaces it; what it said is dropped from the conversation.
    RolledBack,
}

/// Tokens and cost of one model call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Who answered: `openai`, `anthropic`, `demo`.
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
    /// Tokens read, cached ones included.
    pub input_tokens: u64,
    /// Tokens written, reasoning included.
    pub output_tokens: u64,
    /// Of the input, tokens served from the provider's cache.
    #[serde(default)]
    pub cached_input_tokens: u64,
    /// Of the output, tokens of reasoning.
    #[serde(default)]
    pub reasoning_tokens: u64,
    /// What it cost us; absent when the model is not in the price table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_micro_usd: Option<MicroUsd>,
    /// The provider gave no figures, these are counted by us.
    #[serde(default)]
    pub estimated: bool,
    /// From request to end of answer.
    pub latency_ms: u64,
    /// The provider's word for why it stopped, such as `stop` or `length`.
    pub finish_reason: String,
}

impl Body {
    /// The type's name on the wire.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::RunStarted { .. } => "RUN_STARTED",
            Self::RunFinished { .. } => "RUN_FINISHED",
            Self::RunError { .. } => "RUN_ERROR",
            Self::StepStarted { .. } => "STEP_STARTED",
            Self::StepFinished { .. } => "STEP_FINISHED",
            Self::TextMessageStart { .. } => "TEXT_MESSAGE_START",
            Self::TextMessageContent { .. } => "TEXT_MESSAGE_CONTENT",
            Self::TextMessageEnd { .. } => "TEXT_MESSAGE_END",
            Self::ReasoningStart { .. } => "REASONING_START",
            Self::ReasoningMessageStart { .. } => "REASONING_MESSAGE_START",
            Self::ReasoningMessageContent { .. } => "REASONING_MESSAGE_CONTENT",
            Self::ReasoningMessageEnd { .. } => "REASONING_MESSAGE_END",
            Self::ReasoningEnd { .. } => "REASONING_END",
            Self::ToolCallStart { .. } => "TOOL_CALL_START",
            Self::ToolCallArgs { .. } => "TOOL_CALL_ARGS",
            Self::ToolCallEnd { .. } => "TOOL_CALL_END",
            Self::ToolCallResult { .. } => "TOOL_CALL_RESULT",
            Self::StateSnapshot { .. } => "STATE_SNAPSHOT",
            Self::StateDelta { .. } => "STATE_DELTA",
            Self::Custom { .. } => "CUSTOM",
            Self::UserMessage { .. } => "USER_MESSAGE",
            Self::RunClaimed { .. } => "RUN_CLAIMED",
            Self::CancelRequested { .. } => "CANCEL_REQUESTED",
            Self::MessageAbandoned { .. } => "MESSAGE_ABANDONED",
            Self::UsageRecorded(_) => "USAGE_RECORDED",
        }
    }
}
