//! What a run's state is made of.

use sequent_core::{MessageId, RunId};

use crate::{Interrupt, InterruptAnswer, Job, JobEnd, RunOutcome};

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Phase {
    /// No execution has begun.
    #[default]
    Pending,
    /// An execution is under way.
    Running,
    /// Ended by `RUN_FINISHED`.
    Finished(RunOutcome),
    /// Ended by `RUN_ERROR`.
    Failed {
        /// Stable code.
        code: String,
        /// For people.
        message: String,
    },
}

impl Phase {
    /// Whether the log is closed.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self, Self::Finished(_) | Self::Failed { .. })
    }
}

/// An assistant message that has begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenMessage {
    /// Its id.
    pub id: MessageId,
    /// What it said so far.
    pub text: String,
    /// It is the model's thinking, not part of the answer.
    pub reasoning: bool,
}

/// What somebody said: a person's message, or a complete one of the assistant, or a partial one kept after a cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextMessage {
    /// Its id.
    pub id: MessageId,
    /// Its text.
    pub text: String,
}

/// A question the run has put, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedInterrupt {
    /// The question.
    pub interrupt: Interrupt,
    /// Its answer.
    pub answer: Option<InterruptAnswer>,
}

/// A run that this one has started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// The child run.
    pub run: RunId,
    /// What it works on.
    pub name: String,
    /// What came of it.
    pub ended: Option<ChildEnd>,
}

/// What came of a child run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChildEnd {
    /// It answered.
    Result(String),
    /// It failed, or was cancelled.
    Failure {
        /// Stable code.
        code: String,
        /// For people.
        message: String,
    },
}

/// A job of the run's, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunJob {
    /// The job.
    pub job: Job,
    /// Its end.
    pub ended: Option<JobEnd>,
}
