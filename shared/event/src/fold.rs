//! The state of a run: the result of folding the events of its log from the first.

mod check;
mod origin;
mod parts;
mod step;
mod transcript;

use sequent_core::{ArtifactId, MessageId, ProjectId, RunId, Timestamp};

pub use origin::{ReasoningBlock, ResponseOrigin};
pub use parts::{
    AskedInterrupt, Child, ChildEnd, MeasuredRequest, OpenMessage, Phase, RunJob, SentMessage, TextMessage,
};
pub use transcript::{Draft, ToolCall, TranscriptEntry};

use crate::{
    AnswerText, ApprovedTool, Artifact, CancelReason, Citation, Compaction, Configuration, EvaluatedItem,
    Event, GivenFeedback, Interrupt, Job, Plan, RunOutcome, RunStage, Seq, Totals,
};

/// An event is not allowed at its position. Writers check before they append, so a stored log never contains
/// one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEvent {
    /// Sequence numbers must increase by one.
    #[error("expected event {expected}, found {found}")]
    #[expect(missing_docs, reason = "plain data")]
    Gap { expected: Seq, found: Seq },
    /// After a terminal event, only a new execution and a few other events are allowed.
    #[error("{0} after the log was closed")]
    Closed(&'static str),
    /// A claim must raise the epoch by exactly one.
    #[error("claim of epoch {found} after epoch {current}")]
    #[expect(missing_docs, reason = "plain data")]
    Epoch { current: u32, found: u32 },
    /// The counterpart of the event is missing: for example, content without a start.
    #[error("{0} out of place")]
    OutOfPlace(&'static str),
}

/// The state of a run. `State::default()` is that of an empty log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub struct State {
    /// The position of the last event.
    pub last: Seq,
    /// The time of the last event, by its writer's clock.
    pub last_at: Option<Timestamp>,
    /// The current epoch; 0 before the first claim.
    pub epoch: u32,
    /// Owners in a row that were lost, or handed the run over, without progress.
    pub stalled_owners: u32,
    pub phase: Phase,
    pub configuration: Configuration,
    /// The position of the last event that is a copy of one of another run. 0 if there is none.
    pub copied_through: Seq,
    /// The number of `children` that the other run has started. They are the first.
    pub copied_children: usize,
    /// The number of `jobs` that the other run has enqueued. They are the first.
    pub copied_jobs: usize,
    /// The project of the run, known once an execution has started.
    pub project: Option<ProjectId>,
    /// The id of the run, known once an execution has started.
    pub run: Option<RunId>,
    pub parent: Option<RunId>,
    /// The start of the first execution.
    pub started_at: Option<Timestamp>,
    /// The end of the last execution.
    pub ended_at: Option<Timestamp>,
    /// The executions that ended to wait for people.
    pub interruptions: u32,
    /// Milliseconds spent waiting for people.
    pub waited_ms: u64,
    /// A cancellation that has not taken effect yet.
    pub cancel: Option<CancelReason>,
    /// The model that the latest user message chose.
    pub model: Option<String>,
    /// The user messages sent to this run.
    pub prompts: Vec<SentMessage>,
    /// The number of `prompts` that the request of the last response contained.
    pub prompts_seen: usize,
    /// Messages of the assistant, oldest first.
    pub answers: Vec<TextMessage>,
    /// The text of all of them.
    pub answer: AnswerText,
    /// Messages, calls and results in the order in which a model has to read them.
    pub transcript: Vec<TranscriptEntry>,
    /// The response being written.
    pub draft: Option<Draft>,
    /// The message being written.
    pub open: Option<OpenMessage>,
    /// The reasoning block being written.
    pub open_reasoning: Option<MessageId>,
    /// The reasoning of the response being written, and the data of its provider, if there is any.
    pub origin: Option<Box<ResponseOrigin>>,
    /// Tool calls whose arguments are being written.
    pub open_tools: Vec<String>,
    /// Complete tool calls without a result.
    pub pending_tools: Vec<String>,
    /// The pending calls that may have run. They must not run twice.
    pub dispatched: Vec<String>,
    /// Steps that have started and not finished.
    pub open_steps: Vec<String>,
    pub plan: Option<Plan>,
    /// Artifacts of the run and of its jobs.
    pub artifacts: Vec<Artifact>,
    /// The archive of the website that the run has delivered.
    pub website: Option<ArtifactId>,
    pub jobs: Vec<RunJob>,
    /// Questions asked, with their answers.
    pub asked: Vec<AskedInterrupt>,
    pub children: Vec<Child>,
    pub citations: Vec<Citation>,
    /// The items of the evaluation that are scored.
    pub evaluated: Vec<EvaluatedItem>,
    /// The latest feedback of each person on the run and on each of its answers, also if it was removed.
    pub feedback: Vec<GivenFeedback>,
    /// The number of changes that led to `feedback`.
    pub feedback_changes: usize,
    /// A response has begun whose usage is not recorded. If its owner was lost, the next process records an estimate.
    pub call_in_flight: bool,
    /// The parts of the conversation that requests leave out.
    pub compactions: Vec<Compaction>,
    /// The number of `compactions` since the last response.
    pub new_compactions: usize,
    /// The last request whose tokens a provider has counted.
    pub measured: Option<MeasuredRequest>,
    /// The number of model calls whose usage is recorded.
    pub model_calls: u32,
    /// The usage of all model calls, those of children included.
    pub totals: Totals,
    /// A child or a job was ended while it may have been using a model. The totals lack what it used after that.
    pub usage_may_grow: bool,
}

impl State {
    /// Folds a whole log.
    ///
    /// # Errors
    /// Returns [`InvalidEvent`] for the first event that is not allowed at its position.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Result<Self, InvalidEvent> {
        let mut state = Self::default();
        for event in events {
            state.apply(event)?;
        }
        Ok(state)
    }

    /// The position of the next event.
    #[must_use]
    pub const fn next(&self) -> Seq {
        self.last.next()
    }

    /// The text of the whole answer: see [`AnswerText`].
    #[must_use]
    pub fn answer_text(&self) -> String {
        self.answer.text()
    }

    /// The questions without an answer.
    pub fn open_interrupts(&self) -> impl Iterator<Item = &Interrupt> {
        self.asked.iter().filter(|asked| asked.answer.is_none()).map(|asked| &asked.interrupt)
    }

    /// Returns `true` if a person has approved all calls of the tool, before the run or in it.
    #[must_use]
    pub fn is_always_approved(&self, tool: &ApprovedTool) -> bool {
        self.configuration.approved_tools.contains(tool)
            || self.asked.iter().any(|asked| asked.always_approved().as_ref() == Some(tool))
    }

    /// Returns `true` if the message is an answer, or a part of one.
    #[must_use]
    pub fn has_answer(&self, id: MessageId) -> bool {
        let is_response =
            |entry: &TranscriptEntry| matches!(entry, TranscriptEntry::Assistant { id: of, .. } if *of == id);
        self.answers.iter().any(|answer| answer.id == id) || self.transcript.iter().any(is_response)
    }

    /// Returns `true` if the run waits for people.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        matches!(self.phase, Phase::Finished(RunOutcome::Interrupt { .. }))
    }

    /// Returns `true` if the run waited for people and another execution may start, because nothing is left
    /// to wait for.
    #[must_use]
    pub fn is_resumable(&self) -> bool {
        self.is_interrupted() && (self.cancel.is_some() || self.open_interrupts().next().is_none())
    }

    /// The child runs that this run has started.
    pub fn own_children(&self) -> impl Iterator<Item = &Child> {
        self.children.iter().skip(self.copied_children)
    }

    /// The jobs that this run has enqueued.
    pub fn own_jobs(&self) -> impl Iterator<Item = &RunJob> {
        self.jobs.iter().skip(self.copied_jobs)
    }

    /// Returns `true` if the next event is a copy of one of another run.
    fn is_copying(&self) -> bool {
        self.next() <= self.copied_through
    }

    /// The child runs that have not ended.
    pub fn live_children(&self) -> impl Iterator<Item = &Child> {
        self.children.iter().filter(|child| child.ended.is_none())
    }

    /// The jobs that have not ended.
    pub fn open_jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.iter().filter(|task| task.ended.is_none()).map(|task| &task.job)
    }

    /// The stage of the run, as seen by processes other than its owner.
    #[must_use]
    pub fn stage(&self) -> RunStage {
        match &self.phase {
            Phase::Finished(RunOutcome::Interrupt { .. }) if self.is_resumable() => RunStage::Live,
            Phase::Finished(RunOutcome::Interrupt { .. }) => RunStage::Waiting,
            Phase::Finished(_) | Phase::Failed { .. } => RunStage::Ended,
            Phase::Pending | Phase::Running => RunStage::Live,
        }
    }

    /// Applies the next event.
    ///
    /// # Errors
    /// If the event is not allowed here. The state is then unchanged.
    pub fn apply(&mut self, event: &Event) -> Result<(), InvalidEvent> {
        if event.seq != self.next() {
            return Err(InvalidEvent::Gap { expected: self.next(), found: event.seq });
        }
        if let Some(body) = event.body() {
            self.check(body)?;
            self.step(body, event.entry.at);
        }
        self.last = event.seq;
        self.last_at = Some(event.entry.at);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
