//! The AI SDK UI message stream v1, for `useChat` and other clients of the protocol.
//!
//! One run is one assistant message. Its chunks depend on the log alone, are never coalesced in another way,
//! and are counted: `?startIndex=N` is the whole stream without its first N chunks. A plain resume is the
//! whole stream, as versions 6 and 7 expect. The stream ends with [`done()`] once the log is closed. A stream
//! that ends without `finish` was interrupted, and the client requests the rest. Therefore `finish` also
//! follows `abort` and `error`.
//!
//! **Cuts.** `WorkflowChatTransport` requests the rest of a stream that ends without `finish`, by the number of
//! chunks that it has. `DefaultChatTransport` takes the end of any stream for the end of the answer. So a stream
//! for a client that may be either ends with the frame [`cut()`].
//!
//! **Steps.** The SDK's steps are model calls: a new one starts with the first part after the results of the
//! last call's tools. Our own named steps may overlap. They are sent as `data-sequent-event`, like every
//! event that the protocol has no type for, those of newer writers included. Internal events are left out:
//! claims, the request to cancel (`abort` shows its effect) and the prompt that the client sent itself.
//!
//! **Parts.** Artifacts and the messages that steer the run are events that stay in the message as parts. All other
//! events are transient. [`MessageFold`] builds the message that a client has at the end: the history of a chat shows
//! that message.
//!
//! **Copies.** A replay begins with copies of what another run has done. They are the first parts of its message, which
//! therefore starts before the run does. They cost nothing, so the metadata does not count them.
//!
//! **Tools** are marked `providerExecuted`: they run here, so the client neither calls them nor sends the
//! conversation again when they are done. Tools of the client are not marked, nor is a call that waits for an answer or a
//! decision of a person: the SDK sends the message again when all of them have results, which is when the run can go on. The
//! step of such calls goes on in the next execution, because the SDK looks at the last step only.
//!
//! **Approvals** have chunks in versions 6 and 7 only. A stream [without approvals](Projector::without_approvals) is for
//! version 5, which shows nothing of them but the events. Neither form has a chunk for a decision that another client made, so
//! a call that was approved is shown as requested until it runs.
//!
//! **A message cut off by a crash.** Versions 5 and 6 can neither remove nor replace a text part (checked
//! against 5.0.277 and 6.0.322: parts only grow, a second `start` does not empty the message that a chat is
//! receiving, and an unknown type throws). So the part is closed with `providerMetadata:
//! {"sequent":{"abandoned":true}}`, the event is sent as data, and the new message starts a new step. The
//! parts of the last step are the answer, and a renderer that skips marked parts shows nothing twice. Version
//! 7's `reset-step` drops the parts of the current step, but clients do not send their version, and a second
//! form of the stream would be a second way to count its chunks.

mod chunk;
mod fold;
mod response;
mod start_index;
mod steps;
mod tools;

use sequent_core::{MessageId, ProjectId, RunId};
use sequent_event::{Body, CancelReason, Event, RunOutcome, Seq, Usage};

pub use chunk::{Chunk, FinishReason, Json, Mark, Metadata, UsageTotals};
pub use fold::{
    FoldedApproval, FoldedMessage, FoldedPart, FoldedTool, FoldedToolState, MessageFold, PartState,
};
pub use response::{HEADERS, cut, done, refused};
pub use start_index::{InvalidStartIndex, StartIndex};

use steps::Steps;
use tools::ToolCalls;

/// The provider, and the model, whose answers are labelled as a demo.
const DEMO: &str = "demo";

/// Projects one log. Push every event from the first, even to resume.
#[derive(Debug, Clone)]
pub struct Projector {
    run: RunId,
    /// The model that the latest prompt asked for.
    model: Option<String>,
    /// The number of chunks so far.
    count: u64,
    /// Between `start` and `finish`.
    started: bool,
    /// The position of the last event that is a copy of one of another run.
    copied_through: Seq,
    steps: Steps,
    part: Option<OpenPart>,
    tools: ToolCalls,
    /// The prompt was pushed. Later user messages steer the run.
    prompted: bool,
    /// Parts that came before the message has started.
    early: Vec<Event>,
    cancel: Option<CancelReason>,
    totals: UsageTotals,
    finish_reason: FinishReason,
}

#[derive(Debug, Clone, Copy)]
struct OpenPart {
    id: MessageId,
    reasoning: bool,
}

impl Projector {
    /// Creates a projector at the beginning of the run's log.
    #[must_use]
    pub const fn new(run: RunId) -> Self {
        Self {
            run,
            model: None,
            count: 0,
            started: false,
            copied_through: Seq::START,
            steps: Steps::new(),
            part: None,
            tools: ToolCalls::new(true),
            prompted: false,
            early: Vec::new(),
            cancel: None,
            totals: UsageTotals {
                input_tokens: 0,
                output_tokens: 0,
                cost_micro_usd: sequent_core::MicroUsd(0),
            },
            finish_reason: FinishReason::Stop,
        }
    }

    /// Leaves out the chunks of approvals, which version 5 of the SDK refuses.
    #[must_use]
    pub fn without_approvals(self) -> Self {
        Self { tools: ToolCalls::new(false), ..self }
    }

    /// The number of chunks of all events so far: the cursor of a client that has received them all.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Applies the next event and returns its chunks.
    #[must_use]
    pub fn push(&mut self, event: &Event) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        self.project(event, &mut chunks);
        self.count += u64::try_from(chunks.len()).unwrap_or(u64::MAX);
        chunks
    }

    /// Applies the next event and returns its chunks, without those among the first `skip` chunks of the
    /// stream.
    #[must_use]
    pub fn push_after(&mut self, skip: u64, event: &Event) -> Vec<Chunk> {
        let have = usize::try_from(skip.saturating_sub(self.count)).unwrap_or(usize::MAX);
        let mut chunks = self.push(event);
        chunks.drain(..have.min(chunks.len()));
        chunks
    }

    fn project(&mut self, event: &Event, out: &mut Vec<Chunk>) {
        let Some(body) = event.body() else { return out.push(Chunk::transient(event)) };
        let is_copy = event.seq <= self.copied_through;
        if is_copy && self.prompted {
            self.ensure_started(out);
        }
        match body {
            Body::RunStarted { thread_id, .. } => {
                self.leave_step(out); // that of the copies
                self.start(Some(*thread_id), out);
            }
            Body::RunFinished { outcome: RunOutcome::Success, .. } => {
                self.ensure_started(out);
                self.steps.finish_last(out);
                self.tools.forget_pending();
                self.finish(self.finish_reason, out);
            }
            // The message continues, with a `start` of the same id, after the questions are answered.
            Body::RunFinished { outcome: RunOutcome::Interrupt { .. }, .. } => {
                self.ensure_started(out);
                self.leave_step(out);
                self.finish(FinishReason::ToolCalls, out);
            }
            Body::RunFinished { outcome: RunOutcome::Cancelled, .. } => {
                self.settle(out);
                out.push(Chunk::Abort { reason: self.cancel });
                self.finish(FinishReason::Other, out);
            }
            Body::RunError { message, code } => {
                self.settle(out);
                // `useChat` stops reading here, so all parts are closed before, and only `finish` follows.
                out.push(Chunk::Error { error_text: message.clone(), code: code.clone() });
                self.finish(FinishReason::Error, out);
            }
            Body::TextMessageStart { message_id, .. } => self.begin(*message_id, false, out),
            Body::ReasoningMessageStart { message_id, .. } => self.begin(*message_id, true, out),
            Body::TextMessageContent { message_id, delta } => {
                out.push(Chunk::TextDelta { id: *message_id, delta: delta.clone() });
            }
            Body::ReasoningMessageContent { message_id, delta } => {
                out.push(Chunk::ReasoningDelta { id: *message_id, delta: delta.clone() });
            }
            Body::TextMessageEnd { .. } | Body::ReasoningMessageEnd { .. } => self.end(None, out),
            Body::MessageAbandoned { .. } => self.abandon(event, out),
            Body::ToolCallStart { tool_call_id, tool_call_name, .. } => {
                self.next_step(out);
                out.push(self.tools.start(tool_call_id, tool_call_name));
            }
            Body::ToolCallArgs { tool_call_id, delta } => {
                out.extend(self.tools.append_arguments(tool_call_id, delta));
            }
            Body::ToolCallEnd { tool_call_id } => out.extend(self.tools.complete(tool_call_id)),
            Body::ToolCallResult { tool_call_id, content, error, .. } => {
                self.steps.end();
                out.extend(self.tools.result(tool_call_id, content, error.is_some()));
            }
            Body::UsageRecorded(usage) => {
                self.finish_reason = FinishReason::of_provider(&usage.finish_reason);
                self.account(usage, is_copy, out);
            }
            // Clients see its cost. The messages that they show are complete.
            Body::ContextCompacted(compaction) => {
                compaction.usage.iter().for_each(|usage| self.account(usage, is_copy, out));
            }
            Body::UserMessage { model, .. } => {
                self.model.clone_from(model);
                if self.prompted {
                    self.keep(event, out);
                }
                self.prompted = true;
            }
            Body::CancelRequested { reason, .. } => {
                self.cancel.get_or_insert(*reason);
            }
            Body::SourceCited(source) => out.push(Chunk::SourceUrl {
                source_id: event.seq.to_string(),
                url: source.url.clone(),
                title: source.title.clone(),
            }),
            Body::ArtifactCreated(_) => self.keep(event, out),
            Body::RunConfigured(configuration) => {
                self.copied_through = event.copied_through().unwrap_or_default();
                self.tools.declare(&configuration.client_tools);
            }
            Body::ClarificationNeeded { interrupt_id, question } => {
                out.push(Chunk::transient(event));
                out.extend(self.tools.ask(*interrupt_id, question));
            }
            Body::ClarificationAnswered(answer) => {
                out.push(Chunk::transient(event));
                out.extend(self.tools.answer(answer));
            }
            // Reasoning blocks are not shown themselves: each of their messages is a part. Feedback may follow the end, after
            // which a client takes no chunk.
            Body::RunClaimed { .. }
            | Body::FeedbackGiven(_)
            | Body::ToolCallDispatched { .. }
            | Body::ReasoningStart { .. }
            | Body::ReasoningEncryptedValue { .. }
            | Body::ReasoningEnd { .. } => {}
            Body::StepStarted { .. }
            | Body::StepFinished { .. }
            | Body::StateSnapshot { .. }
            | Body::StateDelta { .. }
            | Body::Custom { .. }
            | Body::PlanUpdated { .. }
            | Body::PlanStepUpdated { .. }
            | Body::SubagentStarted { .. }
            | Body::SubagentFinished { .. }
            | Body::JobEnqueued(_)
            | Body::EntityExtracted(_)
            | Body::WebsiteGenerationDone { .. }
            | Body::OutputRejected { .. }
            | Body::ItemEvaluated(_)
            | Body::JobFinished(_)
            | Body::SubagentError { .. } => out.push(Chunk::transient(event)),
        }
    }

    fn start(&mut self, project: Option<ProjectId>, out: &mut Vec<Chunk>) {
        self.started = true;
        out.push(Chunk::Start {
            message_id: self.run,
            message_metadata: Metadata {
                run_id: Some(self.run),
                project_id: project,
                demo: self.model.as_deref().map(is_demo),
                model: self.model.clone(),
                ..Metadata::default()
            },
        });
        out.extend(self.tools.go_on());
        self.steps.enter(out);
        out.extend(std::mem::take(&mut self.early).into_iter().map(Chunk::kept));
    }

    /// Makes the event a part of the message. A part before the start would begin a message of its own in the client.
    fn keep(&mut self, event: &Event, out: &mut Vec<Chunk>) {
        if self.started {
            out.push(Chunk::kept(event.clone()));
        } else {
            self.early.push(event.clone());
            out.push(Chunk::transient(event));
        }
    }

    /// Finishes the step unless calls of it wait for the next execution.
    fn leave_step(&mut self, out: &mut Vec<Chunk>) {
        if self.tools.have_results() {
            self.steps.finish(out);
        }
    }

    /// Starts a new step before a new part, once all tools of the last model call have results.
    fn next_step(&mut self, out: &mut Vec<Chunk>) {
        // Version 5 drops open parts at the end of a step, and searches for a call first in the current step.
        if self.part.is_none() && self.tools.have_results() {
            self.steps.next(out);
        }
    }

    fn begin(&mut self, id: MessageId, reasoning: bool, out: &mut Vec<Chunk>) {
        self.next_step(out);
        self.part = Some(OpenPart { id, reasoning });
        out.push(if reasoning { Chunk::ReasoningStart { id } } else { Chunk::TextStart { id } });
    }

    fn end(&mut self, provider_metadata: Option<Mark>, out: &mut Vec<Chunk>) {
        let Some(OpenPart { id, reasoning }) = self.part.take() else { return };
        out.push(if reasoning {
            Chunk::ReasoningEnd { id, provider_metadata }
        } else {
            Chunk::TextEnd { id, provider_metadata }
        });
    }

    fn abandon(&mut self, event: &Event, out: &mut Vec<Chunk>) {
        self.end(Some(Mark::ABANDONED), out);
        self.steps.end();
        // All open and pending calls belong to the lost response: while it was written, no other calls
        // existed.
        out.extend(self.tools.fail("The response that made the call was lost; it did not run."));
        out.push(Chunk::transient(event));
    }

    fn account(&mut self, usage: &Usage, is_copy: bool, out: &mut Vec<Chunk>) {
        if is_copy {
            return;
        }
        self.totals.input_tokens += usage.input_tokens;
        self.totals.output_tokens += usage.output_tokens;
        self.totals.cost_micro_usd += usage.cost_micro_usd.unwrap_or_default();
        out.push(Chunk::MessageMetadata {
            message_metadata: Metadata {
                model: Some(usage.model.clone()),
                provider: Some(usage.provider.clone()),
                demo: Some(usage.provider == DEMO),
                usage: Some(self.totals.clone()),
                ..Metadata::default()
            },
        });
    }

    /// Starts the message if it has not started. A run can end before it starts: its message is empty but
    /// complete.
    fn ensure_started(&mut self, out: &mut Vec<Chunk>) {
        if !self.started {
            self.start(None, out);
        }
    }

    /// Closes the parts that a cancelled or failed run left open, so that no part of the message appears as
    /// loading for ever.
    fn settle(&mut self, out: &mut Vec<Chunk>) {
        self.ensure_started(out);
        self.end(None, out);
        out.extend(self.tools.fail("The run ended before the tool had answered."));
        self.steps.finish_last(out);
    }

    fn finish(&mut self, finish_reason: FinishReason, out: &mut Vec<Chunk>) {
        self.started = false;
        self.cancel = None;
        self.finish_reason = FinishReason::Stop;
        out.push(Chunk::Finish { finish_reason });
    }
}

fn is_demo(model: &str) -> bool {
    model.split('/').next() == Some(DEMO)
}

#[cfg(test)]
#[path = "ui_message/tests.rs"]
mod tests;
