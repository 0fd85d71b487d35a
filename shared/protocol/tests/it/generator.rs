//! Random valid logs, with take-overs, further executions and events of newer writers.

use proptest::prelude::*;
use sequent_core::{InterruptId, MessageId, MicroUsd, ProjectId, RunId, Timestamp};
use sequent_event::{
    AnswerStatus, Body, CancelReason, ClaimReason, ClientTool, Configuration, Entry, Event, Interrupt,
    InterruptAnswer, Question, Reason, Role, RunOutcome, State, Usage,
};
use serde_json::{Value, json};

/// The run of every generated log.
pub(crate) fn run() -> RunId {
    RunId::from_bits(2)
}

/// The project of every generated log.
pub(crate) fn project() -> ProjectId {
    ProjectId::from_bits(1)
}

/// Generates a log of up to about `length` events.
pub(crate) fn logs(length: usize) -> impl Strategy<Value = Vec<Event>> {
    let action = (any::<u8>(), "[a-z {}\"\\[\\]:,\r\n\u{2028}é🦀]{0,6}");
    (prop::bool::weighted(0.95), prop::collection::vec(action, 0..length)).prop_map(|(usual, actions)| {
        let mut log = Log::default();
        if usual {
            log.configure();
            log.prompt("Hi");
            log.claim();
            log.start();
        }
        for (action, text) in actions {
            log.act(action, text);
        }
        log.events
    })
}

/// A log being written. Events that are not allowed are left out.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) events: Vec<Event>,
    pub(crate) state: State,
    ids: u32,
}

impl Log {
    pub(crate) fn push(&mut self, body: Body) -> bool {
        self.push_entry(Entry::new(Timestamp::from_millis(1_700_000_000_000), body))
    }

    pub(crate) fn push_entry(&mut self, entry: Entry) -> bool {
        let event = entry.at_seq(self.state.next());
        let fits = self.state.apply(&event).is_ok();
        if fits {
            self.events.push(event);
        }
        fits
    }

    pub(crate) fn fresh(&mut self) -> MessageId {
        self.ids += 1;
        MessageId::from_bits(self.ids.into())
    }

    pub(crate) fn prompt(&mut self, content: &str) {
        let message = self.fresh();
        let prompt = json!({"type": "USER_MESSAGE", "v": 1, "timestamp": 1_700_000_000_000_i64,
            "messageId": message, "content": content, "model": "demo"});
        self.push_entry(serde_json::from_value(prompt).expect("a prompt is an entry"));
    }

    /// Declares the tool `locate` of the client.
    pub(crate) fn configure(&mut self) {
        let tool = ClientTool {
            name: "locate".into(),
            description: "Locates.".into(),
            input_schema: json!({"type": "object"}),
            output_schema: None,
            expires_in_seconds: None,
        };
        let client_tools = vec![tool];
        self.push(Body::RunConfigured(Box::new(Configuration { client_tools, ..Configuration::default() })));
    }

    /// Asks about the call and all other calls without a result, and ends the execution.
    pub(crate) fn ask(&mut self, reason: Reason) {
        for call in self.state.pending_tools.clone() {
            if self.has_answer(&call) {
                continue;
            }
            let is_of_client = self.state.tool_call(&call).is_some_and(|call| call.name == "locate");
            let question = Question {
                reason: if is_of_client { Reason::ClientTool } else { reason },
                message: "May I?".into(),
                tool_call_id: Some(call),
                call: None,
                response_schema: None,
                expires_at: None,
            };
            let interrupt_id = InterruptId::from_bits(self.fresh().bits());
            self.push(Body::ClarificationNeeded { interrupt_id, question });
        }
        let interrupts: Vec<Interrupt> = self.state.open_interrupts().cloned().collect();
        if !interrupts.is_empty() {
            self.finish(RunOutcome::Interrupt { interrupts });
        }
    }

    /// Returns `true` if the answer to a question is the result of the call, so that the agent asks about it no more.
    fn has_answer(&self, call: &str) -> bool {
        self.state.asked.iter().any(|asked| {
            let question = &asked.interrupt.question;
            let decides_to_run = |answer: &InterruptAnswer| {
                let payload = answer.payload.as_ref().unwrap_or(&Value::Null);
                answer.status == AnswerStatus::Resolved
                    && match question.reason {
                        Reason::Approval => payload["approved"] == json!(true),
                        Reason::UnknownOutcome => payload["action"] == json!("retry"),
                        Reason::Question | Reason::ClientTool => false,
                    }
            };
            let is_about = question.tool_call_id.as_deref() == Some(call);
            is_about && asked.answer.as_ref().is_some_and(|answer| !decides_to_run(answer))
        })
    }

    /// Answers the first open question. If none is left, the run goes on.
    pub(crate) fn answer(&mut self, status: AnswerStatus, payload: Option<Value>) {
        let Some(open) = self.state.open_interrupts().next().map(|open| open.id) else { return };
        let remaining = u32::try_from(self.state.open_interrupts().count() - 1).unwrap_or_default();
        let answer = InterruptAnswer { interrupt_id: open, status, payload, by: None, remaining };
        if self.push(Body::ClarificationAnswered(answer)) && remaining == 0 {
            self.claim();
            self.start();
        }
    }

    pub(crate) fn claim(&mut self) {
        let epoch = self.state.epoch + 1;
        let reason = if epoch == 1 { ClaimReason::Start } else { ClaimReason::TakeOver };
        self.push(Body::RunClaimed { epoch, writer: format!("writer-{epoch}"), reason });
    }

    pub(crate) fn start(&mut self) {
        self.push(Body::RunStarted { thread_id: project(), run_id: run(), parent_run_id: None });
    }

    pub(crate) fn say(&mut self, pieces: &[&str]) -> MessageId {
        let message_id = self.fresh();
        self.push(Body::TextMessageStart { message_id, role: Role::Assistant });
        for piece in pieces {
            self.push(Body::TextMessageContent { message_id, delta: (*piece).to_owned() });
        }
        message_id
    }

    pub(crate) fn finish(&mut self, outcome: RunOutcome) {
        self.close_all();
        self.push(Body::RunFinished { thread_id: project(), run_id: run(), outcome });
    }

    fn close_all(&mut self) {
        if let Some(open) = self.state.open.clone() {
            self.push(if open.reasoning {
                Body::ReasoningMessageEnd { message_id: open.id }
            } else {
                Body::TextMessageEnd { message_id: open.id }
            });
        }
        if let Some(message_id) = self.state.open_reasoning {
            self.push(Body::ReasoningEnd { message_id });
        }
        for tool_call_id in self.state.open_tools.clone() {
            self.push(Body::ToolCallEnd { tool_call_id });
        }
        for step_name in self.state.open_steps.clone() {
            self.push(Body::StepFinished { step_name });
        }
    }

    fn act(&mut self, action: u8, text: String) {
        let open = self.state.open.as_ref().map(|open| (open.id, open.reasoning));
        let open_tool = self.state.open_tools.last().cloned();
        match action % 48 {
            0 => self.prompt(&text),
            1 => self.claim(),
            2 => self.start(),
            3..=5 => {
                self.say(&[&text]);
            }
            6..=16 => match open {
                Some((message_id, false)) => {
                    self.push(Body::TextMessageContent { message_id, delta: text });
                }
                Some((message_id, true)) => {
                    self.push(Body::ReasoningMessageContent { message_id, delta: text });
                }
                None => {
                    self.say(&[&text]);
                }
            },
            17 | 18 => {
                if let Some((message_id, reasoning)) = open {
                    self.push(if reasoning {
                        Body::ReasoningMessageEnd { message_id }
                    } else {
                        Body::TextMessageEnd { message_id }
                    });
                }
            }
            19 | 20 => self.think(),
            21 => {
                if let Some(message_id) = self.state.open_reasoning {
                    self.push(Body::ReasoningEnd { message_id });
                }
            }
            22 | 23 => {
                if let Some(message_id) = open.map(|(id, _)| id).or(self.state.open_reasoning) {
                    self.claim();
                    self.push(Body::MessageAbandoned { message_id });
                }
            }
            24 | 25 => {
                let tool_call_id = format!("call_{}", self.fresh().bits() % 7);
                let tool_call_name = if action < 128 { "look_up" } else { "locate" }.to_owned();
                self.push(Body::ToolCallStart { tool_call_id, tool_call_name, parent_message_id: None });
            }
            26 | 27 => {
                if let Some(tool_call_id) = open_tool {
                    self.push(Body::ToolCallArgs { tool_call_id, delta: text });
                }
            }
            28 | 29 => {
                if let Some(tool_call_id) = open_tool {
                    self.push(Body::ToolCallEnd { tool_call_id });
                }
            }
            30 | 31 => {
                if let Some(tool_call_id) = self.state.pending_tools.first().cloned() {
                    let message_id = self.fresh();
                    self.push(Body::ToolCallResult { message_id, tool_call_id, content: text, error: None });
                }
            }
            _ => self.act_rarely(action, text),
        }
    }

    fn act_rarely(&mut self, action: u8, text: String) {
        match action % 48 {
            40..=42 => {
                let reasons = [Reason::Approval, Reason::Question, Reason::UnknownOutcome];
                self.ask(reasons[usize::from(action / 48) % 3]);
            }
            43..=47 => {
                let decision =
                    json!({"approved": action.is_multiple_of(2), "reason": text, "action": "retry"});
                let expires = action >= 240;
                let status = if expires { AnswerStatus::Expired } else { AnswerStatus::Resolved };
                self.answer(status, (!expires).then_some(decision));
            }
            32 => {
                let step_name = "plan".to_owned();
                self.push(if self.state.open_steps.is_empty() {
                    Body::StepStarted { step_name }
                } else {
                    Body::StepFinished { step_name }
                });
            }
            33 => {
                self.push(Body::Custom { name: "note".into(), value: json!({"text": text}) });
            }
            34 => {
                self.push(Body::StateSnapshot { snapshot: json!([text]) });
            }
            35 => {
                self.push(usage());
            }
            36 => {
                self.push(Body::CancelRequested { by: None, reason: CancelReason::Requested });
            }
            37 => {
                let entry = json!({"type": "HOLOGRAM_SHOWN", "v": 4, "timestamp": 5, "text": text});
                self.push_entry(serde_json::from_value(entry).expect("unknown types are entries"));
            }
            38 => self.finish(if action < 128 { RunOutcome::Success } else { RunOutcome::Cancelled }),
            _ => {
                self.push(Body::RunError { message: text, code: "model_failed".into() });
            }
        }
    }

    /// Starts a reasoning block, or the next message of the open block.
    fn think(&mut self) {
        let message_id = self.fresh();
        if self.state.open_reasoning.is_none() {
            self.push(Body::ReasoningStart { message_id });
        }
        self.push(Body::ReasoningMessageStart { message_id, role: Role::Reasoning });
    }
}

/// The usage of one model call.
pub(crate) fn usage() -> Body {
    Body::UsageRecorded(Usage {
        input_tokens: 12,
        output_tokens: 7,
        cost_micro_usd: Some(MicroUsd(3)),
        estimated: true,
        latency_ms: 250,
        ..sequent_event::testing::usage()
    })
}
