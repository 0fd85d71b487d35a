//! A replay is in the state of the run that it repeats, whatever that run has done.

mod values;

use proptest::prelude::*;
use sequent_core::{ArtifactId, InterruptId, JobId, MicroUsd, ProjectId, Timestamp};

use super::*;
use values::{artifact, citation, compaction, step, task, totals, usage};

use crate::{
    AnswerStatus, Artifact, Citation, ClaimReason, Compaction, CompactionReason, Coverage, Entry, Interrupt,
    InterruptAnswer, Job, JobStatus, Phase, Plan, Question, Reason, Role, RunOutcome, State, Step,
    StepStatus, Totals, TranscriptEntry, Usage,
};

const MOVES: u8 = 13;

/// The log of a run at work.
struct Log {
    events: Vec<Event>,
    state: State,
    ids: u128,
}

impl Log {
    /// A log whose owner has begun, after these events.
    fn new(opening: Vec<Body>) -> Self {
        let mut log = Self { events: Vec::new(), state: State::default(), ids: 0 };
        opening.into_iter().for_each(|body| log.push(body));
        log.claim(ClaimReason::Start);
        log.start();
        log
    }

    fn push(&mut self, body: Body) {
        let event = Entry::new(Timestamp::from_millis(1), body).at_seq(self.state.next());
        self.state.apply(&event).unwrap_or_else(|error| panic!("{error}: {event:?}"));
        self.events.push(event);
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
        self.push(Body::ToolCallResult { message_id, tool_call_id, content: "Blue.".into() });
    }

    fn used(&mut self, told: usize, finish_reason: &str) {
        self.push(Body::UsageRecorded(usage(u32::try_from(told).unwrap(), finish_reason)));
    }

    fn respond(&mut self) {
        self.used(self.state.prompts.len(), "stop");
    }

    /// Does something that a run can do.
    fn advance(&mut self, kind: u8) {
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
    fn is_at_rest(&self) -> bool {
        let state = &self.state;
        state.phase == Phase::Running
            && !state.call_in_flight
            && state.draft.is_none()
            && state.pending_tools.is_empty()
            && state.live_children().next().is_none()
            && state.open_jobs().next().is_none()
    }

    /// The log of the replay of this one up to its end.
    fn replayed(&self) -> Self {
        let copies = copies(&self.events, Some("another"));
        let replay = Replay {
            run_id: RunId::from_bits(1),
            seq: Some(self.state.last),
            copied: u64::try_from(copies.len()).unwrap(),
        };
        let configuration = Configuration { replay: Some(Box::new(replay)), ..Configuration::default() };
        let mut opening = vec![Body::RunConfigured(configuration.into()), task()];
        opening.extend(copies);
        Self::new(opening)
    }
}

/// The parts of a state that decide what a run does and what its model is sent, without the ids of messages.
fn outline(state: &State) -> Vec<String> {
    let entry = |entry: &TranscriptEntry| match entry {
        TranscriptEntry::User { content, .. } => format!("user {content:?}"),
        TranscriptEntry::Assistant { text, calls, told, is_cut, origin, .. } => {
            let blocks = origin.iter().flat_map(|origin| &origin.reasoning);
            let blocks: Vec<_> = blocks
                .map(|block| (&block.text, &block.data, block.text_before, block.calls_before))
                .collect();
            format!("assistant {text} {calls:?} {told} {is_cut} {blocks:?}")
        }
        other => format!("{other:?}"),
    };
    let mut outline: Vec<String> = state.transcript.iter().map(entry).collect();
    outline.push(format!("{:?} {:?} {:?}", state.plan, state.artifacts, state.citations));
    outline.push(format!("{:?} {:?} {:?}", state.asked, state.children, state.open_steps));
    // A replay may ask another model, so nothing is known of the size of its window.
    let mut compactions = state.compactions.clone();
    compactions.iter_mut().for_each(|made| made.reason = CompactionReason::Window);
    outline.push(format!("{compactions:?} {}", state.new_compactions));
    outline.push(format!("{} {}", state.prompts_seen, state.answer_text()));
    let jobs = state.jobs.iter().map(|job| (&job.job, job.ended.is_some()));
    outline.push(format!("{:?}", jobs.collect::<Vec<_>>()));
    outline
}

/// Checks that the log is that of a run which does not pay for the copies.
fn check_free(log: &Log) {
    let state = &log.state;
    assert_eq!((state.totals, state.model_calls, state.usage_may_grow), (Totals::default(), 0, false));
    assert!(state.own_children().next().is_none() && state.own_jobs().next().is_none());
    let copies = log.events.iter().take_while(|event| event.seq <= state.copied_through);
    assert!(copies.last().is_none_or(|last| !last.leaves_closed()), "the pending run can be claimed");
}

proptest! {
    #[test]
    fn a_replay_has_the_state_of_the_run_and_does_not_pay_for_it(moves in prop::collection::vec(0..MOVES, 1..12)) {
        let mut log = Log::new(vec![task()]);
        for kind in moves {
            log.advance(kind);
            if log.is_at_rest() {
                let replay = log.replayed();
                prop_assert_eq!(outline(&replay.state), outline(&log.state));
                check_free(&replay);
                let again = replay.replayed();
                prop_assert_eq!(outline(&again.state), outline(&log.state), "the replay of a replay");
                check_free(&again);
            }
        }
    }
}

#[test]
fn a_replay_pays_for_what_it_does_itself() {
    let mut log = Log::new(vec![task()]);
    log.advance(1);
    let mut replay = log.replayed();
    replay.ids = 1_000;
    let before = replay.state.transcript.len();
    replay.advance(1);
    replay.advance(7);
    replay.advance(8);
    assert_eq!((replay.state.model_calls, replay.state.totals.input_tokens), (1, 7 + 3 * 5));
    assert_eq!((replay.state.own_children().count(), replay.state.own_jobs().count()), (2, 1));
    assert!(replay.state.usage_may_grow && replay.state.transcript.len() > before);
}

#[test]
fn messages_get_new_ids_and_pieces_are_joined() {
    let mut log = Log::new(vec![task()]);
    log.advance(1);
    let copies = copies(&log.events, None);
    let deltas: Vec<&str> = copies
        .iter()
        .filter_map(|body| match body {
            Body::TextMessageContent { delta, .. } | Body::ToolCallArgs { delta, .. } => Some(&**delta),
            _ => None,
        })
        .collect();
    assert_eq!(deltas, ["Let me look.", "{\"a\":1}"]);
    let old: Vec<MessageId> = (1..=log.ids).map(MessageId::from_bits).collect();
    for mut copy in copies {
        assert!(message_id(&mut copy).is_none_or(|id| !old.contains(id)), "{copy:?}");
    }
}

#[test]
fn no_owner_begins_before_the_copies_are_complete() {
    let replay = Replay { run_id: RunId::from_bits(1), seq: Some(Seq(9)), copied: 2 };
    let configuration = Configuration { replay: Some(Box::new(replay)), ..Configuration::default() };
    let mut state = State::default();
    for body in [Body::RunConfigured(configuration.into()), task()] {
        state.apply(&Entry::new(Timestamp::from_millis(1), body).at_seq(state.next())).unwrap();
    }
    let claimed = Body::RunClaimed { epoch: 1, writer: "w".into(), reason: ClaimReason::Start };
    assert!(state.apply(&Entry::new(Timestamp::from_millis(1), claimed).at_seq(state.next())).is_err());
}
