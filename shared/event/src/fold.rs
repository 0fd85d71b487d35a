//! What a log means: the state of a run after folding its events from the first.

use sequent_domain::{MessageId, MicroUsd, ProjectId, RunId, Timestamp};

use crate::{Body, CancelReason, Event, Outcome, Seq};

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

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Phase {
    /// No execution has begun.
    #[default]
    Pending,
    /// An execution is under way.
    Running,
    /// Ended by `RUN_FINISHED`.
    Finished(Outcome),
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

/// What the assistant said: a completed message, or a partial one kept after a cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its id.
    pub id: MessageId,
    /// Its text.
    pub text: String,
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
    /// The conversation the run belongs to, known once an execution has begun.
    pub project: Option<ProjectId>,
    /// The run's own id, known once an execution has begun.
    pub run: Option<RunId>,
    /// When the first execution began.
    pub started_at: Option<Timestamp>,
    /// When the last execution ended.
    pub ended_at: Option<Timestamp>,
    /// A cancel that is not yet carried out.
    pub cancel: Option<CancelReason>,
    /// The model the latest message asked for.
    pub model: Option<String>,
    /// What people said to this run.
    pub prompts: Vec<Answer>,
    /// What the assistant said.
    pub answers: Vec<Answer>,
    /// The message being written.
    pub open: Option<OpenMessage>,
    /// Reasoning blocks begun and not ended.
    pub open_reasoning: Option<MessageId>,
    /// Tool calls whose arguments are being written.
    pub open_tools: Vec<String>,
    /// Tool calls written, without a result.
    pub pending_tools: Vec<String>,
    /// Steps begun and not ended.
    pub open_steps: Vec<String>,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// What the model calls cost.
    pub cost: MicroUsd,
    /// A model call was not in the price table, so `cost` is a lower bound.
    pub cost_incomplete: bool,
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

    /// The whole answer, messages joined by a blank line.
    #[must_use]
    pub fn answer_text(&self) -> String {
        self.answers.iter().map(|answer| answer.text.as_str()).collect::<Vec<_>>().join("\n\n")
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

    fn check(&self, body: &Body) -> Result<(), Invalid> {
        let name = body.type_name();
        let reopens =
            matches!(body, Body::RunStarted { .. } | Body::RunClaimed { .. } | Body::UserMessage { .. });
        if self.phase.is_closed() && !reopens {
            return Err(Invalid::Closed(name));
        }
        let fits = match body {
            Body::RunClaimed { epoch, .. } if *epoch != self.epoch + 1 => {
                return Err(Invalid::Epoch { current: self.epoch, found: *epoch });
            }
            Body::RunClaimed { .. } | Body::UserMessage { .. } | Body::CancelRequested { .. } => true,
            Body::RunStarted { .. } => self.epoch > 0 && self.phase != Phase::Running,
            // A cancelled run that never began an execution ends without one.
            Body::RunFinished { .. } => {
                (self.phase == Phase::Running || self.cancel.is_some()) && self.is_at_rest()
            }
            Body::RunError { .. } => self.epoch > 0,
            _ if self.phase != Phase::Running => false,
            Body::TextMessageStart { .. } => self.open.is_none(),
            Body::TextMessageContent { message_id, .. } | Body::TextMessageEnd { message_id } => {
                self.open.as_ref().is_some_and(|open| open.id == *message_id && !open.reasoning)
            }
            Body::ReasoningStart { .. } => self.open_reasoning.is_none() && self.open.is_none(),
            Body::ReasoningMessageStart { .. } => self.open_reasoning.is_some() && self.open.is_none(),
            Body::ReasoningMessageContent { message_id, .. } | Body::ReasoningMessageEnd { message_id } => {
                self.open.as_ref().is_some_and(|open| open.id == *message_id && open.reasoning)
            }
            Body::ReasoningEnd { message_id } => {
                self.open_reasoning == Some(*message_id) && self.open.is_none()
            }
            Body::MessageAbandoned { message_id } => {
                self.open.as_ref().is_some_and(|open| open.id == *message_id)
                    || self.open_reasoning == Some(*message_id)
            }
            Body::ToolCallStart { tool_call_id, .. } => {
                !self.open_tools.contains(tool_call_id) && !self.pending_tools.contains(tool_call_id)
            }
            Body::ToolCallArgs { tool_call_id, .. } | Body::ToolCallEnd { tool_call_id } => {
                self.open_tools.contains(tool_call_id)
            }
            Body::ToolCallResult { tool_call_id, .. } => self.pending_tools.contains(tool_call_id),
            Body::StepStarted { step_name } => !self.open_steps.contains(step_name),
            Body::StepFinished { step_name } => self.open_steps.contains(step_name),
            Body::StateSnapshot { .. }
            | Body::StateDelta { .. }
            | Body::Custom { .. }
            | Body::UsageRecorded(_) => true,
        };
        if fits { Ok(()) } else { Err(Invalid::OutOfPlace(name)) }
    }

    /// AG-UI: messages, tools and steps are closed before `RUN_FINISHED`.
    fn is_at_rest(&self) -> bool {
        self.open.is_none()
            && self.open_reasoning.is_none()
            && self.open_tools.is_empty()
            && self.open_steps.is_empty()
    }

    fn step(&mut self, body: &Body, at: Timestamp) {
        match body {
            Body::RunClaimed { epoch, .. } => self.epoch = *epoch,
            Body::RunStarted { thread_id, run_id, .. } => {
                self.phase = Phase::Running;
                self.project = Some(*thread_id);
                self.run = Some(*run_id);
                self.started_at.get_or_insert(at);
                self.ended_at = None;
            }
            Body::RunFinished { outcome, .. } => self.close(Phase::Finished(outcome.clone()), at),
            Body::RunError { message, code } => {
                self.keep_open_message();
                self.close(Phase::Failed { code: code.clone(), message: message.clone() }, at);
            }
            Body::UserMessage { message_id, content, model, .. } => {
                self.model.clone_from(model);
                self.prompts.push(Answer { id: *message_id, text: content.clone() });
            }
            Body::CancelRequested { reason, .. } => {
                self.cancel.get_or_insert(*reason);
            }
            Body::TextMessageStart { message_id, .. } => self.begin(*message_id, false),
            Body::ReasoningMessageStart { message_id, .. } => self.begin(*message_id, true),
            Body::TextMessageContent { delta, .. } | Body::ReasoningMessageContent { delta, .. } => {
                if let Some(open) = &mut self.open {
                    open.text.push_str(delta);
                }
            }
            Body::TextMessageEnd { .. } => self.keep_open_message(),
            Body::ReasoningMessageEnd { .. } => self.open = None,
            Body::MessageAbandoned { message_id } => {
                self.open = None;
                if self.open_reasoning == Some(*message_id) {
                    self.open_reasoning = None;
                }
            }
            Body::ReasoningStart { message_id } => self.open_reasoning = Some(*message_id),
            Body::ReasoningEnd { .. } => self.open_reasoning = None,
            Body::ToolCallStart { tool_call_id, .. } => self.open_tools.push(tool_call_id.clone()),
            Body::ToolCallEnd { tool_call_id } => {
                self.open_tools.retain(|id| id != tool_call_id);
                self.pending_tools.push(tool_call_id.clone());
            }
            Body::ToolCallResult { tool_call_id, .. } => self.pending_tools.retain(|id| id != tool_call_id),
            Body::StepStarted { step_name } => self.open_steps.push(step_name.clone()),
            Body::StepFinished { step_name } => self.open_steps.retain(|name| name != step_name),
            Body::UsageRecorded(usage) => {
                self.input_tokens += usage.input_tokens;
                self.output_tokens += usage.output_tokens;
                self.cost += usage.cost_micro_usd.unwrap_or_default();
                self.cost_incomplete |= usage.cost_micro_usd.is_none();
            }
            Body::ToolCallArgs { .. }
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
            self.answers.push(Answer { id: open.id, text: open.text });
        }
    }

    fn close(&mut self, phase: Phase, at: Timestamp) {
        self.phase = phase;
        self.ended_at = Some(at);
        self.cancel = None;
        self.open_reasoning = None;
        self.open_tools.clear();
        self.pending_tools.clear();
        self.open_steps.clear();
    }
}

#[cfg(test)]
#[path = "fold/tests.rs"]
mod tests;
