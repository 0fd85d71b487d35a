//! The event types that this build understands, with their fields.

use sequent_core::{ArtifactId, InterruptId, MessageId, ProjectId, RunId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Artifact, CancelReason, Citation, ClaimReason, Compaction, Configuration, EncryptedValueOf, Entity,
    EvaluatedItem, FeedbackChange, InterruptAnswer, Job, JobEnd, Plan, Question, Role, RunOutcome, RunStage,
    StepStatus, Totals, Usage, UserContent,
};

/// The type of an event and its fields. On the wire the type is the variant in `SCREAMING_SNAKE_CASE`; fields
/// are `camelCase`.
///
/// All types have version 1, and [`UserContent`] explains version 2 of `USER_MESSAGE`. A change of meaning or a new field
/// raises the version of its type in [`Body::version`]. A reader that does not know the version passes the event through
/// unchanged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
#[expect(missing_docs, reason = "the fields are those of AG-UI, or the comment of the variant explains them")]
pub enum Body {
    // Life of a run (AG-UI)
    /// An execution starts: the first, or another one after the run's questions were answered.
    RunStarted {
        thread_id: ProjectId,
        run_id: RunId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent_run_id: Option<RunId>,
    },
    /// An execution ended without an error: the run is complete, cancelled, or waits for a person.
    RunFinished {
        thread_id: ProjectId,
        run_id: RunId,
        outcome: RunOutcome,
    },
    /// An execution failed. `code` is stable; `message` may be shown to people.
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
    /// Data of a provider that only its model understands, such as the signature of its reasoning. The model gets it back,
    /// unchanged, with the results of the calls that it made.
    ReasoningEncryptedValue {
        subtype: EncryptedValueOf,
        /// The id of the reasoning block that is open, or of a call of the response.
        entity_id: String,
        encrypted_value: String,
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
        /// The stable code of the failure, for clients and traces. Absent if the call has not failed. `content` explains it to
        /// the model. AG-UI has this member in the message that it makes of the event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
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

    // Children (AG-UI)
    /// Part of the work is delegated to a child run. This event is stored before the log of the child is
    /// created.
    SubagentStarted {
        subagent_run_id: RunId,
        /// The step of the plan, or the tool, that the child works on.
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
    },
    /// A child run succeeded.
    SubagentFinished {
        subagent_run_id: RunId,
        result: String,
        usage: Totals,
    },
    /// A child run failed or was cancelled.
    SubagentError {
        subagent_run_id: RunId,
        message: String,
        code: String,
        usage: Totals,
        /// The child had an owner when this was written, which may use a model for a moment longer.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        usage_may_grow: bool,
    },

    // Sequent's own
    /// The configuration of the run, if it is not the default. It comes before the first execution.
    RunConfigured(Box<Configuration>),
    /// The current plan, new or revised, with the status of each step.
    PlanUpdated {
        plan: Plan,
    },
    /// A step of the plan has ended. The event names the step and does not repeat the plan.
    PlanStepUpdated {
        step_id: String,
        status: StepStatus,
    },
    /// A statement of the answer is based on this source.
    SourceCited(Citation),
    /// A tool that must not run twice is about to run. Without a result, it is unknown whether it did.
    ToolCallDispatched {
        tool_call_id: String,
    },
    /// An artifact was created: by the owner of the run, or by the worker of the job that the artifact names.
    ArtifactCreated(Artifact),
    /// The website that the run was asked for is ready.
    WebsiteGenerationDone {
        /// The archive of the website's files.
        artifact_id: ArtifactId,
        /// The document that the website was built from.
        document_id: ArtifactId,
    },
    /// A job found a named entity.
    EntityExtracted(Entity),
    /// A job was enqueued. This event is stored before the row of the job.
    JobEnqueued(Job),
    /// A job ended. The event may come after the end of the run.
    JobFinished(JobEnd),
    /// The run asks a person. Its execution then ends with the outcome `interrupt`.
    ClarificationNeeded {
        interrupt_id: InterruptId,
        #[serde(flatten)]
        question: Question,
    },
    /// A question was answered. The first answer in the log counts.
    ClarificationAnswered(InterruptAnswer),
    /// A message of a person: the one that the run answers, or one that steers the run while it executes.
    UserMessage {
        message_id: MessageId,
        content: UserContent,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<UserId>,
        /// The model that the person chose, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
    },
    /// A process became the owner of the run. The log refuses every later append of a lower epoch.
    RunClaimed {
        epoch: u32,
        writer: String,
        reason: ClaimReason,
    },
    /// Cancellation was requested. The owner ends the run with the outcome `cancelled`.
    CancelRequested {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<UserId>,
        reason: CancelReason,
    },
    /// A message was cut off by a crash of its writer and is replaced by one with another id. Its text is not
    /// part of the answer.
    MessageAbandoned {
        message_id: MessageId,
    },
    /// Usage and cost of one model call.
    UsageRecorded(Usage),
    /// The requests from here on leave out a part of the conversation. This event is stored before the first of them is
    /// answered.
    ContextCompacted(Box<Compaction>),
    /// An item of the evaluation that the run carries out was answered and scored.
    ItemEvaluated(Box<EvaluatedItem>),
    /// A person has rated the run or one of its answers, or has removed the rating. The event may come after the end of the
    /// run.
    FeedbackGiven(FeedbackChange),
    /// The response does not match the schema that the caller asked for. Its messages were abandoned; the model is asked
    /// again, and told what is wrong.
    OutputRejected {
        /// The beginning of the response.
        text: String,
        errors: String,
    },
}

impl Body {
    /// The usage of the model call that the event records, if it records one.
    #[must_use]
    pub const fn usage(&self) -> Option<&Usage> {
        match self {
            Self::UsageRecorded(usage) => Some(usage),
            Self::ContextCompacted(compaction) => compaction.usage.as_ref(),
            _ => None,
        }
    }

    /// Returns `true` if the event ends an execution and so closes the log.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        matches!(self, Self::RunFinished { .. } | Self::RunError { .. })
    }

    /// Returns `true` if a log that ends with this event is closed: after the end of an execution, and after
    /// an answer that leaves other questions open.
    #[must_use]
    pub const fn leaves_closed(&self) -> bool {
        match self {
            Self::ClarificationAnswered(answer) => answer.remaining > 0,
            Self::JobFinished(end) => !matches!(end.run, RunStage::Live),
            Self::FeedbackGiven(change) => !matches!(change.run, RunStage::Live),
            other => other.is_terminal(),
        }
    }

    /// Returns `true` if a log that ends with this event is closed because its run waits for people.
    #[must_use]
    pub const fn waits_for_people(&self) -> bool {
        match self {
            Self::RunFinished { outcome, .. } => matches!(outcome, RunOutcome::Interrupt { .. }),
            Self::JobFinished(end) => matches!(end.run, RunStage::Waiting),
            Self::FeedbackGiven(change) => matches!(change.run, RunStage::Waiting),
            other => other.leaves_closed() && !other.is_terminal(),
        }
    }

    /// Returns `true` if every authorised caller may append the event, not only the owner of the run.
    #[must_use]
    pub const fn is_control(&self) -> bool {
        match self {
            Self::CancelRequested { .. }
            | Self::UserMessage { .. }
            | Self::ClarificationAnswered(_)
            | Self::EntityExtracted(_)
            | Self::FeedbackGiven(_)
            | Self::JobFinished(_) => true,
            Self::ArtifactCreated(artifact) => artifact.job_id.is_some(),
            _ => false,
        }
    }

    /// Appends `other` to this event if both are pieces of one stream, so that pieces waiting for the same
    /// write are stored as one. Returns `other` if they are not, or if the result would exceed `limit` bytes.
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
