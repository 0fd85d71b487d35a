//! Names and versions of the event types on the wire.

use crate::{Body, UserContent};

/// Maps each variant of [`Body`] to its name, for writers and for [`Body::understands`].
macro_rules! names {
    ($($variant:ident => $name:literal,)+) => {
        /// Type names of all variants of [`Body`]. A test compares the list with the enum.
        pub(crate) const KNOWN: &[&str] = &[$($name),+];

        impl Body {
            /// The name of the type on the wire.
            #[must_use]
            pub const fn type_name(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $name,)+
                }
            }
        }
    };
}

names! {
    RunStarted => "RUN_STARTED",
    RunFinished => "RUN_FINISHED",
    RunError => "RUN_ERROR",
    StepStarted => "STEP_STARTED",
    StepFinished => "STEP_FINISHED",
    TextMessageStart => "TEXT_MESSAGE_START",
    TextMessageContent => "TEXT_MESSAGE_CONTENT",
    TextMessageEnd => "TEXT_MESSAGE_END",
    ReasoningStart => "REASONING_START",
    ReasoningMessageStart => "REASONING_MESSAGE_START",
    ReasoningMessageContent => "REASONING_MESSAGE_CONTENT",
    ReasoningMessageEnd => "REASONING_MESSAGE_END",
    ReasoningEnd => "REASONING_END",
    ReasoningEncryptedValue => "REASONING_ENCRYPTED_VALUE",
    ToolCallStart => "TOOL_CALL_START",
    ToolCallArgs => "TOOL_CALL_ARGS",
    ToolCallEnd => "TOOL_CALL_END",
    ToolCallResult => "TOOL_CALL_RESULT",
    StateSnapshot => "STATE_SNAPSHOT",
    StateDelta => "STATE_DELTA",
    Custom => "CUSTOM",
    SubagentStarted => "SUBAGENT_STARTED",
    SubagentFinished => "SUBAGENT_FINISHED",
    SubagentError => "SUBAGENT_ERROR",
    RunConfigured => "RUN_CONFIGURED",
    PlanUpdated => "PLAN_UPDATED",
    PlanStepUpdated => "PLAN_STEP_UPDATED",
    SourceCited => "SOURCE_CITED",
    ToolCallDispatched => "TOOL_CALL_DISPATCHED",
    ArtifactCreated => "ARTIFACT_CREATED",
    WebsiteGenerationDone => "WEBSITE_GENERATION_DONE",
    EntityExtracted => "ENTITY_EXTRACTED",
    JobEnqueued => "JOB_ENQUEUED",
    JobFinished => "JOB_FINISHED",
    ClarificationNeeded => "CLARIFICATION_NEEDED",
    ClarificationAnswered => "CLARIFICATION_ANSWERED",
    UserMessage => "USER_MESSAGE",
    RunClaimed => "RUN_CLAIMED",
    CancelRequested => "CANCEL_REQUESTED",
    MessageAbandoned => "MESSAGE_ABANDONED",
    UsageRecorded => "USAGE_RECORDED",
    ContextCompacted => "CONTEXT_COMPACTED",
    ItemEvaluated => "ITEM_EVALUATED",
    FeedbackGiven => "FEEDBACK_GIVEN",
    OutputRejected => "OUTPUT_REJECTED",
}

impl Body {
    /// The version of this type that this build writes.
    #[must_use]
    pub const fn version(&self) -> u16 {
        match self {
            Self::UserMessage { content: UserContent::Parts(_), .. } => 2,
            _ => 1,
        }
    }

    /// Returns `true` if this build understands version `v` of the type called `name`.
    #[must_use]
    pub fn understands(name: &str, v: u16) -> bool {
        KNOWN.contains(&name) && (v == 1 || (v == 2 && name == "USER_MESSAGE"))
    }
}
