//! Every event type this build understands, with its fields.

use sequent_core::{ArtifactId, InterruptId, MessageId, ProjectId, RunId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Artifact, CancelReason, Citation, ClaimReason, Configuration, Entity, InterruptAnswer, Job, JobEnd, Plan,
    Question, Role, RunOutcome, RunStage, Totals, Usage,
};

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
        outcome: RunOutcome,
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

    // Children (AG-UI)
    /// Another run was asked to do a part of the work. The log that says so comes first, the child's own second.
    SubagentStarted {
        subagent_run_id: RunId,
        /// The plan's step, or the tool, that it works on.
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
    },
    /// The child run has ended well.
    SubagentFinished {
        subagent_run_id: RunId,
        /// What it answered.
        result: String,
        usage: Totals,
    },
    /// The child run has ended otherwise.
    SubagentError {
        subagent_run_id: RunId,
        message: String,
        code: String,
        usage: Totals,
    },

    // Ours
    /// How the run was asked to work, where that is not the default. Stands before the first execution.
    RunConfigured(Configuration),
    /// The plan as it stands now: new, revised, or with a step done.
    PlanUpdated {
        plan: Plan,
    },
    /// A claim of the answer rests on this source.
    SourceCited(Citation),
    /// A tool that must not run twice is about to run. Without its result, nobody can tell whether it did.
    ToolCallDispatched {
        tool_call_id: String,
    },
    /// An artifact exists. By the run's owner, or by the worker of a job, whose id it then has.
    ArtifactCreated(Artifact),
    /// The website that the run was to deliver can be opened.
    WebsiteGenerationDone {
        /// The archive of its files.
        artifact_id: ArtifactId,
        /// The document that it was made of.
        document_id: ArtifactId,
    },
    /// A job has found something that has a name.
    EntityExtracted(Entity),
    /// A job was enqueued. The log that says so comes first, the job's row second.
    JobEnqueued(Job),
    /// The job has ended. May stand behind the run's own end.
    JobFinished(JobEnd),
    /// The run puts a question to a person and ends its execution with the outcome `interrupt`.
    ClarificationNeeded {
        interrupt_id: InterruptId,
        #[serde(flatten)]
        question: Question,
    },
    /// The question is answered. The first answer in the log is the one that counts.
    ClarificationAnswered(InterruptAnswer),
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
    /// Whether the event ends an execution, which closes the log.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        matches!(self, Self::RunFinished { .. } | Self::RunError { .. })
    }

    /// Whether a log that ends with this event is closed: after the end of an execution, and after an answer that
    /// leaves other questions open.
    #[must_use]
    pub const fn leaves_closed(&self) -> bool {
        match self {
            Self::ClarificationAnswered(answer) => answer.remaining > 0,
            Self::JobFinished(end) => !matches!(end.run, RunStage::Live),
            other => other.is_terminal(),
        }
    }

    /// Whether a log that ends with this event is closed because its run waits for people.
    #[must_use]
    pub const fn waits_for_people(&self) -> bool {
        match self {
            Self::RunFinished { outcome, .. } => matches!(outcome, RunOutcome::Interrupt { .. }),
            Self::JobFinished(end) => matches!(end.run, RunStage::Waiting),
            other => other.leaves_closed() && !other.is_terminal(),
        }
    }

    /// Whether anyone authorised may append the event, not just the run's owner.
    #[must_use]
    pub const fn is_control(&self) -> bool {
        match self {
            Self::CancelRequested { .. }
            | Self::UserMessage { .. }
            | Self::ClarificationAnswered(_)
            | Self::EntityExtracted(_)
            | Self::JobFinished(_) => true,
            Self::ArtifactCreated(artifact) => artifact.job_id.is_some(),
            _ => false,
        }
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
