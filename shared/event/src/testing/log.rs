//! Logs of runs that do all that runs can do, for tests of whatever is computed from a log.

use sequent_core::{InterruptId, JobId, MessageId, ProjectId, RunId, Timestamp};

use super::values::{artifact, citation, compaction, step, task, totals, usage};
use crate::{
    AnswerStatus, Body, CancelReason, ClaimReason, Configuration, EncryptedValueOf, Entry, Event, Interrupt,
    InterruptAnswer, Job, JobEnd, JobStatus, Phase, Plan, Question, Reason, Replay, Role, RunOutcome, State,
    StepStatus, Usage, copies,
};

/// The number of kinds of [`GeneratedLog::advance`].
pub const MOVES: u8 = 13;

/// The log of a run at work, which grows by whole moves.
#[derive(Debug)]
#[expect(missing_docs, reason = "plain data")]
pub struct GeneratedLog {
    pub events: Vec<Event>,
    pub state: State,
    /// The ids of messages, calls and others that were given.
    pub ids: u128,
    /// The clock of the writers in milliseconds.
    pub clock: i64,
    /// The milliseconds that pass after each event.
    pub tick: i64,
}

impl GeneratedLog {
    /// A log whose owner has begun, after these events.
    #[must_use]
    pub fn new(opening: Vec<Body>) -> Self {
        let mut log = Self { events: Vec::new(), state: State::default(), ids: 0, clock: 1, tick: 0 };
        opening.into_iter().for_each(|body| log.push(body));
        log.claim(ClaimReason::Start);
        log.start();
        log
    }

    /// Appends an event.
    ///
    /// # Panics
    /// If the event is not allowed there.
    pub fn push(&mut self, body: Body) {
        let event = Entry::new(Timestamp::from_millis(self.clock), body).at_seq(self.state.next());
        self.state.apply(&event).unwrap_or_else(|error| panic!("{error}: {event:?}"));
        self.events.push(event);
        self.clock += self.tick;
    }

    fn id(&mut self) -> u128 {
        self.ids += 1;
        self.ids
    }

    fn claim(&mut self, reason: ClaimReason) {
        self.push(Body::RunClaimed { epoch: self.state.epoch + 1, writer: "w".into(), reason });
    }

    fn start(&mut self) {
        let thread_id = ProjectId::from_bits(1);
        self.push(Body::RunStarted { thread_id, run_id: RunId::from_bits(1), parent_run_id: None });
    }

    fn ask(&mut self) {
        let message_id = MessageId::from_bits(self.id());
        self.push(Body::UserMessage {
            message_id,
            content: format!("{message_id}?").into(),
            by: None,
            model: None,
        });
    }

    fn begin_text(&mut self) -> MessageId {
        let message_id = MessageId::from_bits(self.id());
        self.push(Body::TextMessageStart { message_id, role: Role::Assistant });
        for delta in ["Let me ", "look."] {
            self.push(Body::TextMessageContent { message_id, delta: delta.into() });
        }
        message_id
    }

    fn end_text(&mut self, message_id: MessageId) {
        self.push(Body::TextMessageEnd { message_id });
    }

    fn think(&mut self) {
        let message_id = MessageId::from_bits(self.id());
        self.push(Body::ReasoningStart { message_id });
        self.push(Body::ReasoningMessageStart { message_id, role: Role::Reasoning });
        self.push(Body::ReasoningMessageContent { message_id, delta: "Hm.".into() });
        self.push(Body::ReasoningMessageEnd { message_id });
        self.push(Body::ReasoningEncryptedValue {
            subtype: EncryptedValueOf::Message,
            entity_id: message_id.to_string(),
            encrypted_value: "sealed".into(),
        });
        self.push(Body::ReasoningEnd { message_id });
    }

    fn call(&mut self, parent: Option<MessageId>) -> String {
        let tool_call_id = format!("call_{}", self.id());
        self.push(Body::ToolCallStart {
            tool_call_id: tool_call_id.clone(),
            tool_call_name: "look".into(),
            parent_message_id: parent,
        });
        for delta in ["{\"a\":", "1}"] {
            self.push(Body::ToolCallArgs { tool_call_id: tool_call_id.clone(), delta: delta.into() });
        }
        self.push(Body::ToolCallEnd { tool_call_id: tool_call_id.clone() });
        tool_call_id
    }

    fn result(&mut self, tool_call_id: String) {
        let message_id = MessageId::from_bits(self.id());
        self.push(Body::ToolCallResult { message_id, tool_call_id, content: "Blue.".into(), error: None });
    }

    fn used(&mut self, told: usize, finish_reason: &str) {
        self.push(Body::UsageRecorded(usage(told.try_into().unwrap_or(u32::MAX), finish_reason)));
    }

    fn respond(&mut self) {
        self.used(self.state.prompts.len(), "stop");
    }

    /// Does something that a run can do.
    pub fn advance(&mut self, kind: u8) {
        match kind % MOVES {
            0 => {
                let text = self.begin_text();
                self.end_text(text);
                self.respond();
            }
            1 => {
                self.think();
                let text = self.begin_text();
                self.end_text(text);
                let call = self.call(Some(text));
                self.respond();
                self.result(call);
            }
            2 => {
                let first = self.call(None);
                let second = self.call(None);
                self.respond();
                self.push(Body::ToolCallDispatched { tool_call_id: first.clone() });
                self.result(second);
                self.push(Body::SourceCited(citation(&first)));
                self.result(first);
            }
            3 => self.ask(),
            4 => {
                let told = self.state.prompts.len();
                let text = self.begin_text();
                self.ask();
                self.end_text(text);
                self.used(told, "stop");
            }
            5 => {
                self.think();
                let text = self.begin_text();
                self.claim(ClaimReason::TakeOver);
                self.push(Body::MessageAbandoned { message_id: text });
                self.used(self.state.prompts.len(), Usage::ABANDONED);
            }
            6 => self.ask_person(),
            7 => self.delegate(),
            8 => self.work(),
            9 => self.push(Body::ContextCompacted(Box::new(compaction()))),
            10 => {
                self.push(Body::PlanUpdated { plan: Plan { steps: vec![step()] } });
                self.push(Body::PlanStepUpdated { step_id: "s".into(), status: StepStatus::Done });
            }
            11 => {
                let text = self.begin_text();
                self.end_text(text);
                self.push(Body::MessageAbandoned { message_id: text });
                self.respond();
                self.push(Body::OutputRejected { text: "{".into(), errors: "It is not JSON.".into() });
            }
            _ => {
                let id = self.id();
                self.push(Body::ArtifactCreated(artifact(id, None)));
            }
        }
    }

    fn ask_person(&mut self) {
        let call = self.call(None);
        self.respond();
        let question = Question {
            reason: Reason::Approval,
            message: "May I?".into(),
            tool_call_id: Some(call.clone()),
            call: None,
            response_schema: None,
            expires_at: None,
        };
        let interrupt_id = InterruptId::from_bits(self.id());
        self.push(Body::ClarificationNeeded { interrupt_id, question: question.clone() });
        let interrupts = vec![Interrupt { id: interrupt_id, question }];
        self.push(Body::RunFinished {
            thread_id: ProjectId::from_bits(1),
            run_id: RunId::from_bits(1),
            outcome: RunOutcome::Interrupt { interrupts },
        });
        self.push(Body::ClarificationAnswered(InterruptAnswer {
            interrupt_id,
            status: AnswerStatus::Resolved,
            payload: None,
            by: None,
            remaining: 0,
        }));
        self.claim(ClaimReason::Resume);
        self.start();
        self.result(call);
    }

    fn delegate(&mut self) {
        let name = format!("step {}", self.id());
        self.push(Body::StepStarted { step_name: name.clone() });
        let [done, failed] = [self.id(), self.id()].map(RunId::from_bits);
        for subagent_run_id in [done, failed] {
            self.push(Body::SubagentStarted { subagent_run_id, name: name.clone(), description: None });
        }
        self.push(Body::SubagentFinished { subagent_run_id: done, result: "Done.".into(), usage: totals() });
        self.push(Body::SubagentError {
            subagent_run_id: failed,
            message: "It failed.".into(),
            code: "x".into(),
            usage: totals(),
            usage_may_grow: true,
        });
        self.push(Body::StepFinished { step_name: name });
    }

    fn work(&mut self) {
        let job_id = JobId::from_bits(self.id());
        let budget = Default::default();
        self.push(Body::JobEnqueued(Job { job_id, job_type: "x".into(), tool_call_id: None, budget }));
        let id = self.id();
        self.push(Body::ArtifactCreated(artifact(id, Some(job_id))));
        self.push(Body::JobFinished(JobEnd {
            job_id,
            status: JobStatus::Success,
            result: "Packed.".into(),
            usage: totals(),
            usage_may_grow: true,
            run: self.state.stage(),
        }));
    }

    /// Returns `true` if nothing is under way, so that the model can be asked.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        let state = &self.state;
        state.phase == Phase::Running
            && !state.call_in_flight
            && state.draft.is_none()
            && state.pending_tools.is_empty()
            && state.live_children().next().is_none()
            && state.open_jobs().next().is_none()
    }

    /// Ends the run: it succeeds, is cancelled or fails.
    pub fn end(&mut self, kind: u8) {
        let outcome = match kind % 3 {
            0 => RunOutcome::Success,
            1 => {
                self.push(Body::CancelRequested { by: None, reason: CancelReason::Requested });
                RunOutcome::Cancelled
            }
            _ => {
                let code = "model_unavailable".to_owned();
                return self.push(Body::RunError { message: "The model is unavailable.".into(), code });
            }
        };
        let thread_id = ProjectId::from_bits(1);
        self.push(Body::RunFinished { thread_id, run_id: RunId::from_bits(1), outcome });
    }

    /// The log of the replay of this one up to its end.
    #[must_use]
    pub fn replayed(&self) -> Self {
        let copies = copies(&self.events, Some("another"));
        let replay = Replay {
            run_id: RunId::from_bits(1),
            seq: Some(self.state.last),
            copied: copies.len().try_into().unwrap_or(u64::MAX),
        };
        let configuration = Configuration { replay: Some(Box::new(replay)), ..Configuration::default() };
        let mut opening = vec![Body::RunConfigured(configuration.into()), task()];
        opening.extend(copies);
        Self::new(opening)
    }
}
