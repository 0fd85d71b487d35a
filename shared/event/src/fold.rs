//! What a log means: the state of a run after folding its events from the first.

mod check;
mod parts;
mod transcript;

use sequent_core::{ArtifactId, MessageId, ProjectId, RunId, Timestamp};

pub use parts::{AskedInterrupt, Child, ChildEnd, OpenMessage, Phase, RunJob, TextMessage};
pub use transcript::{Draft, ToolCall, TranscriptEntry};

use crate::{
    Artifact, Body, CancelReason, Citation, Configuration, Event, Interrupt, Job, Plan, RunOutcome, RunStage,
    Seq, Totals,
};

/// The event cannot stand where it does. Writers check before they append, so a stored log never has one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Sequence numbers must rise by one.
    #[error("expected event {expected}, found {found}")]
    Gap {
        /// The next free position.
        expected: Seq,
        /// The event's position.
        found: Seq,
    },
    /// Nothing but a new execution may follow a terminal event.
    #[error("{0} after the log was closed")]
    Closed(&'static str),
    /// A claim must raise the epoch by exactly one.
    #[error("claim of epoch {found} after epoch {current}")]
    Epoch {
        /// The epoch in force.
        current: u32,
        /// The epoch claimed.
        found: u32,
    },
    /// The event's counterpart is missing, such as content without a start.
    #[error("{0} out of place")]
    OutOfPlace(&'static str),
}

/// The state of a run. `State::default()` is that of an empty log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Position of the last event.
    pub last: Seq,
    /// When the last event happened, by its writer's clock.
    pub last_at: Option<Timestamp>,
    /// The epoch in force; 0 before the first claim.
    pub epoch: u32,
    /// Where the run stands.
    pub phase: Phase,
    /// How it was asked to work.
    pub configuration: Configuration,
    /// The conversation the run belongs to, known once an execution has begun.
    pub project: Option<ProjectId>,
    /// The run's own id, known once an execution has begun.
    pub run: Option<RunId>,
    /// The run that started it.
    pub parent: Option<RunId>,
    /// When the first execution began.
    pub started_at: Option<Timestamp>,
    /// When the last execution ended.
    pub ended_at: Option<Timestamp>,
    /// Milliseconds spent waiting for people.
    pub waited_ms: u64,
    /// A cancel that is not yet carried out.
    pub cancel: Option<CancelReason>,
    /// The model the latest message asked for.
    pub model: Option<String>,
    /// What people said to this run.
    pub prompts: Vec<TextMessage>,
    /// How many of these the model had been told when it last responded.
    pub prompts_seen: usize,
    /// What the assistant said.
    pub answers: Vec<TextMessage>,
    /// Everything said and done, in order, as a model has to be told.
    pub transcript: Vec<TranscriptEntry>,
    /// The response being written.
    pub draft: Option<Draft>,
    /// The message being written.
    pub open: Option<OpenMessage>,
    /// Reasoning blocks begun and not ended.
    pub open_reasoning: Option<MessageId>,
    /// Tool calls whose arguments are being written.
    pub open_tools: Vec<String>,
    /// Tool calls written, without a result.
    pub pending_tools: Vec<String>,
    /// Of those, the ones that may have run: they must not run twice.
    pub dispatched: Vec<String>,
    /// Steps begun and not ended.
    pub open_steps: Vec<String>,
    /// The plan as it stands.
    pub plan: Option<Plan>,
    /// What it has left, by its own doing and by its jobs.
    pub artifacts: Vec<Artifact>,
    /// The archive of the website that it has delivered.
    pub website: Option<ArtifactId>,
    /// Its jobs.
    pub jobs: Vec<RunJob>,
    /// Questions put to people.
    pub asked: Vec<AskedInterrupt>,
    /// Runs started by this one.
    pub children: Vec<Child>,
    /// Sources cited.
    pub citations: Vec<Citation>,
    /// Model calls accounted for.
    pub model_calls: u32,
    /// What they used, those of children included.
    pub totals: Totals,
}

impl State {
    /// The state of a whole log.
    ///
    /// # Errors
    /// The first event that cannot stand where it does.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Result<Self, Invalid> {
        let mut state = Self::default();
        for event in events {
            state.apply(event)?;
        }
        Ok(state)
    }

    /// The position the next event takes.
    #[must_use]
    pub const fn next(&self) -> Seq {
        self.last.next()
    }

    /// Everything the assistant said, messages joined by a blank line.
    #[must_use]
    pub fn answer_text(&self) -> String {
        self.answers.iter().map(|answer| answer.text.as_str()).collect::<Vec<_>>().join("\n\n")
    }

    /// The questions nobody has answered.
    pub fn open_interrupts(&self) -> impl Iterator<Item = &Interrupt> {
        self.asked.iter().filter(|asked| asked.answer.is_none()).map(|asked| &asked.interrupt)
    }

    /// Whether the run waits for people.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        matches!(self.phase, Phase::Finished(RunOutcome::Interrupt { .. }))
    }

    /// Whether the log is closed and another execution may begin: nothing is left to wait for.
    #[must_use]
    pub fn is_resumable(&self) -> bool {
        self.is_interrupted() && (self.cancel.is_some() || self.open_interrupts().next().is_none())
    }

    /// The child runs that have not ended.
    pub fn live_children(&self) -> impl Iterator<Item = &Child> {
        self.children.iter().filter(|child| child.ended.is_none())
    }

    /// Its jobs that have not ended.
    pub fn open_jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.iter().filter(|task| task.ended.is_none()).map(|task| &task.job)
    }

    /// Where the run stands, for others than its owner.
    #[must_use]
    pub fn standing(&self) -> RunStage {
        match () {
            () if self.is_interrupted() => RunStage::Waiting,
            () if self.phase.is_closed() => RunStage::Ended,
            () => RunStage::Live,
        }
    }

    /// Moves past `event`.
    ///
    /// # Errors
    /// When the event cannot stand here; the state is then unchanged.
    pub fn apply(&mut self, event: &Event) -> Result<(), Invalid> {
        if event.seq != self.next() {
            return Err(Invalid::Gap { expected: self.next(), found: event.seq });
        }
        if let Some(body) = event.body() {
            self.check(body)?;
            self.step(body, event.entry.at);
        }
        self.last = event.seq;
        self.last_at = Some(event.entry.at);
        Ok(())
    }

    fn step(&mut self, body: &Body, at: Timestamp) {
        match body {
            Body::RunClaimed { epoch, .. } => self.epoch = *epoch,
            Body::RunConfigured(configuration) => self.configuration = configuration.clone(),
            Body::RunStarted { thread_id, run_id, parent_run_id } => {
                self.phase = Phase::Running;
                self.project = Some(*thread_id);
                self.run = Some(*run_id);
                self.parent = *parent_run_id;
                self.started_at.get_or_insert(at);
                if let Some(ended) = self.ended_at.take() {
                    self.waited_ms += u64::try_from(at.since(ended).as_millis()).unwrap_or_default();
                }
            }
            Body::RunFinished { outcome, .. } => self.close(Phase::Finished(outcome.clone()), at),
            Body::RunError { message, code } => {
                self.keep_open_message();
                self.close(Phase::Failed { code: code.clone(), message: message.clone() }, at);
            }
            Body::UserMessage { message_id, content, model, .. } => {
                self.model.clone_from(model);
                self.prompts.push(TextMessage { id: *message_id, text: content.clone() });
                self.transcript.push(TranscriptEntry::User { id: *message_id, text: content.clone() });
            }
            Body::CancelRequested { reason, .. } => {
                self.cancel.get_or_insert(*reason);
            }
            Body::TextMessageStart { message_id, .. } => {
                self.begin(*message_id, false);
                let _ = self.draft(*message_id); // begins with its first message
            }
            Body::ReasoningMessageStart { message_id, .. } => self.begin(*message_id, true),
            Body::TextMessageContent { delta, .. } | Body::ReasoningMessageContent { delta, .. } => {
                if let Some(open) = &mut self.open {
                    open.text.push_str(delta);
                }
            }
            Body::TextMessageEnd { .. } => self.keep_open_message(),
            Body::ReasoningMessageEnd { .. } => self.open = None,
            Body::MessageAbandoned { message_id } => self.abandon(*message_id),
            Body::ReasoningStart { message_id } => self.open_reasoning = Some(*message_id),
            Body::ReasoningEnd { .. } => self.open_reasoning = None,
            Body::ToolCallStart { tool_call_id, tool_call_name, parent_message_id } => {
                self.open_tools.push(tool_call_id.clone());
                self.call(tool_call_id, tool_call_name, *parent_message_id);
            }
            Body::ToolCallArgs { tool_call_id, delta } => self.argue(tool_call_id, delta),
            Body::ToolCallEnd { tool_call_id } => {
                self.open_tools.retain(|id| id != tool_call_id);
                self.pending_tools.push(tool_call_id.clone());
            }
            Body::ToolCallDispatched { tool_call_id } => self.dispatched.push(tool_call_id.clone()),
            Body::ToolCallResult { tool_call_id, content, .. } => {
                self.pending_tools.retain(|id| id != tool_call_id);
                self.dispatched.retain(|id| id != tool_call_id);
                self.transcript
                    .push(TranscriptEntry::Tool { call: tool_call_id.clone(), content: content.clone() });
            }
            Body::StepStarted { step_name } => {
                self.open_steps.push(step_name.clone());
                self.transcript.push(TranscriptEntry::Step { name: step_name.clone() });
            }
            Body::StepFinished { step_name } => {
                self.open_steps.retain(|name| name != step_name);
                self.transcript.push(TranscriptEntry::StepOver);
            }
            Body::PlanUpdated { plan } => self.plan = Some(plan.clone()),
            Body::SourceCited(citation) => self.citations.push(citation.clone()),
            Body::ArtifactCreated(artifact) => self.artifacts.push(artifact.clone()),
            Body::WebsiteGenerationDone { artifact_id, .. } => self.website = Some(*artifact_id),
            Body::JobEnqueued(job) => self.jobs.push(RunJob { job: job.clone(), ended: None }),
            Body::JobFinished(end) => {
                // The row of a run that has ended stays as it is.
                if end.run != RunStage::Ended {
                    self.totals.add(&end.usage);
                }
                let ended = self.jobs.iter_mut().find(|task| task.job.job_id == end.job_id);
                ended.into_iter().for_each(|task| task.ended = Some(end.clone()));
            }
            Body::ClarificationNeeded { interrupt_id, question } => {
                let interrupt = Interrupt { id: *interrupt_id, question: question.clone() };
                self.asked.push(AskedInterrupt { interrupt, answer: None });
            }
            Body::ClarificationAnswered(answer) => {
                let asked = self.asked.iter_mut().find(|asked| asked.interrupt.id == answer.interrupt_id);
                if let Some(asked) = asked {
                    asked.answer = Some(answer.clone());
                    // Somebody has taken responsibility for what became of the call.
                    let call = &asked.interrupt.question.tool_call_id;
                    self.dispatched.retain(|dispatched| Some(dispatched) != call.as_ref());
                }
            }
            Body::SubagentStarted { subagent_run_id, name, .. } => {
                self.children.push(Child { run: *subagent_run_id, name: name.clone(), ended: None });
            }
            Body::SubagentFinished { subagent_run_id, result, usage } => {
                self.child_ended(*subagent_run_id, ChildEnd::Result(result.clone()), usage);
            }
            Body::SubagentError { subagent_run_id, message, code, usage } => {
                let ended = ChildEnd::Failure { code: code.clone(), message: message.clone() };
                self.child_ended(*subagent_run_id, ended, usage);
            }
            Body::UsageRecorded(usage) => {
                self.totals.count(usage);
                if usage.is_of_response() {
                    self.model_calls += 1;
                    self.respond(usage.messages_told);
                }
            }
            Body::EntityExtracted(_)
            | Body::StateSnapshot { .. }
            | Body::StateDelta { .. }
            | Body::Custom { .. } => {}
        }
    }

    fn begin(&mut self, id: MessageId, reasoning: bool) {
        self.open = Some(OpenMessage { id, text: String::new(), reasoning });
    }

    fn keep_open_message(&mut self) {
        if let Some(open) = self.open.take()
            && !open.reasoning
        {
            let said = TextMessage { id: open.id, text: open.text };
            self.draft(open.id).texts.push(said.clone());
            self.answers.push(said);
        }
    }

    fn child_ended(&mut self, run: RunId, ended: ChildEnd, usage: &Totals) {
        self.totals.add(usage);
        if let Some(child) = self.children.iter_mut().find(|child| child.run == run) {
            self.transcript.push(TranscriptEntry::Child { name: child.name.clone(), ended: ended.clone() });
            child.ended = Some(ended);
        }
    }

    fn close(&mut self, phase: Phase, at: Timestamp) {
        let waits = matches!(phase, Phase::Finished(RunOutcome::Interrupt { .. }));
        self.phase = phase;
        self.ended_at = Some(at);
        self.cancel = None;
        self.open_reasoning = None;
        self.open_tools.clear();
        self.open_steps.clear();
        self.transcript.extend(self.draft.take().map(TranscriptEntry::from));
        // What waits for an answer is carried out by the next execution.
        if !waits {
            self.pending_tools.clear();
            self.dispatched.clear();
        }
    }
}

#[cfg(test)]
mod tests;
