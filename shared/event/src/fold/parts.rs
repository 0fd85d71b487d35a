//! The parts of a run's state.

use sequent_core::{MessageId, RunId};

use crate::{
    AnswerStatus, ApprovedTool, Interrupt, InterruptAnswer, Job, JobEnd, Question, QuestionedCall, Reason,
    RunOutcome, UserContent,
};

/// The phase of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Phase {
    /// No execution has started.
    #[default]
    Pending,
    /// An execution is in progress.
    Running,
    /// The last execution ended with `RUN_FINISHED`.
    Finished(RunOutcome),
    /// The last execution ended with `RUN_ERROR`.
    #[expect(missing_docs, reason = "as in the event")]
    Failed { code: String, message: String },
}

impl Phase {
    /// Returns `true` if the log is closed.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self, Self::Finished(_) | Self::Failed { .. })
    }
}

/// A message of the model that has started and not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub struct OpenMessage {
    pub id: MessageId,
    /// The text so far.
    pub text: String,
    /// The message is reasoning and not part of the answer.
    pub reasoning: bool,
}

/// A message that a person sent to the run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub struct SentMessage {
    pub id: MessageId,
    pub content: UserContent,
}

/// A complete message of the assistant, or a partial one that was kept after a cancellation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub struct TextMessage {
    pub id: MessageId,
    pub text: String,
}

/// A question that the run asked, and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub struct AskedInterrupt {
    pub interrupt: Interrupt,
    pub answer: Option<InterruptAnswer>,
}

impl AskedInterrupt {
    /// Returns the tool whose calls were approved for the rest of the conversation, if the question offered that.
    #[must_use]
    pub fn always_approved(&self) -> Option<ApprovedTool> {
        let Question { reason: Reason::Approval, call, response_schema, .. } = &self.interrupt.question
        else {
            return None;
        };
        let is_offered =
            response_schema.as_ref().is_some_and(|schema| schema["properties"]["always"].is_object());
        let answer = self.answer.as_ref().filter(|answer| answer.status == AnswerStatus::Resolved)?;
        let payload = answer.payload.as_ref()?;
        let is_given = payload["approved"] == true && payload["always"] == true;
        let QuestionedCall { tool_name, definition, .. } = &**call.as_ref()?;
        let approved = ApprovedTool { name: tool_name.clone(), definition: definition.clone()? };
        (is_offered && is_given).then_some(approved)
    }
}

/// A child run of this run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub struct Child {
    pub run: RunId,
    /// The step of the plan, or the tool, that the child works on.
    pub name: String,
    pub ended: Option<ChildEnd>,
}

/// The end of a child run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub enum ChildEnd {
    /// The answer of the child.
    Result(String),
    /// The child failed or was cancelled.
    Failure { code: String, message: String },
}

/// A request whose tokens a provider has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub struct MeasuredRequest {
    /// The tokens as they were estimated before.
    pub estimated: u64,
    pub counted: u64,
}

/// A job of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub struct RunJob {
    pub job: Job,
    pub ended: Option<JobEnd>,
}
