//! The AI SDK UI message stream v1, for `useChat` and everything else that reads it.
//!
//! One run is one assistant message. Its chunks depend on the log alone, are never coalesced differently, and are
//! counted: `?startIndex=N` is the whole stream without its first N chunks. A plain resume is the whole stream, as
//! versions 6 and 7 expect. The stream ends with [`done()`] once the log is closed; a stream that merely stops, without
//! `finish`, is a cut, and the client asks for the rest. `finish` therefore follows `abort` and `error` as well.
//!
//! **Steps.** The SDK's steps are model calls: a new one begins with whatever follows the results of the tools
//! called in the last. Our own named steps may overlap and travel as `data-sequent-event`, like every event for which
//! the protocol has no word, those of newer writers included. Left out is what only matters inside: claims, the
//! request to cancel (`abort` shows its effect) and the prompt that the client sent itself.
//!
//! **Tools** are marked `providerExecuted`: they ran here, so the client neither calls them nor sends the
//! conversation back by itself when they are done.
//!
//! **A message cut off by a crash.** Versions 5 and 6 can neither take back nor replace a text part (checked against
//! 5.0.277 and 6.0.322: parts only grow, a second `start` does not empty the message a chat is receiving, an unknown type
//! throws). So the part is closed with `providerMetadata: {"sequent":{"abandoned":true}}`, the event
//! is shown as data, and the new message begins a new step: the parts of the last step are the answer, and a
//! renderer that skips marked parts shows nothing twice. Version 7's `reset-step` drops the parts of the current step,
//! but clients do not tell their version, and a second form of the stream would be a second way to count its chunks.

mod chunk;
mod start_index;

use sequent_core::{MessageId, ProjectId, RunId};
use sequent_event::{Body, CancelReason, Event, RunOutcome, Usage};

pub use chunk::{Chunk, FinishReason, Json, Mark, Metadata, Totals};
pub use start_index::{InvalidStartIndex, StartIndex};

use crate::sse::Frame;

/// Headers every response carries.
pub const HEADERS: [(&str, &str); 4] = [
    ("content-type", "text/event-stream"),
    ("cache-control", "no-cache"),
    ("x-vercel-ai-ui-message-stream", "v1"),
    ("x-accel-buffering", "no"),
];

/// The provider whose answers are labelled as not being a model's, and the name of its model.
const DEMO: &str = "demo";

/// The end of a stream whose log is closed. It is not a chunk and is not counted.
#[must_use]
pub fn done() -> Frame {
    Frame::message(None, None, "[DONE]")
}

/// Projects one log. Push every event from the first, even to resume.
#[derive(Debug, Clone)]
pub struct Projector {
    run: RunId,
    /// The model that the latest prompt asked for.
    model: Option<String>,
    /// Chunks made so far.
    count: u64,
    /// Between `start` and `finish`.
    started: bool,
    /// What comes next belongs to another model call, and so to another step.
    step_over: bool,
    part: Option<Part>,
    /// Calls whose arguments are being written.
    open_tools: Vec<OpenTool>,
    /// Calls without a result.
    pending_tools: Vec<String>,
    /// The prompt was seen; what people say later steers the run.
    prompted: bool,
    cancel: Option<CancelReason>,
    totals: Totals,
    finish_reason: FinishReason,
}

#[derive(Debug, Clone, Copy)]
struct Part {
    id: MessageId,
    reasoning: bool,
}

#[derive(Debug, Clone)]
struct OpenTool {
    id: String,
    name: String,
    arguments: String,
}

impl Projector {
    /// A projector at the beginning of the run's log.
    #[must_use]
    pub const fn new(run: RunId) -> Self {
        Self {
            run,
            model: None,
            count: 0,
            started: false,
            step_over: false,
            part: None,
            open_tools: Vec::new(),
            pending_tools: Vec::new(),
            prompted: false,
            cancel: None,
            totals: Totals { input_tokens: 0, output_tokens: 0, cost_micro_usd: sequent_core::MicroUsd(0) },
            finish_reason: FinishReason::Stop,
        }
    }

    /// How many chunks the events so far have made: the client's cursor when it has them all.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The next event's chunks.
    #[must_use]
    pub fn push(&mut self, event: &Event) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        self.project(event, &mut chunks);
        self.count += u64::try_from(chunks.len()).unwrap_or(u64::MAX);
        chunks
    }

    /// The next event's chunks, without those among the first `skip` of the stream.
    #[must_use]
    pub fn push_after(&mut self, skip: u64, event: &Event) -> Vec<Chunk> {
        let have = usize::try_from(skip.saturating_sub(self.count)).unwrap_or(usize::MAX);
        let mut chunks = self.push(event);
        chunks.drain(..have.min(chunks.len()));
        chunks
    }

    fn project(&mut self, event: &Event, out: &mut Vec<Chunk>) {
        let Some(body) = event.body() else { return out.push(shown_as_data(event)) };
        match body {
            Body::RunStarted { thread_id, .. } => self.start(Some(*thread_id), out),
            Body::RunFinished { outcome: RunOutcome::Success, .. } => {
                self.ensure_started(out);
                out.push(Chunk::FinishStep);
                self.finish(self.finish_reason, out);
            }
            // The message goes on, with a `start` of the same id, when the questions shown as data are answered.
            Body::RunFinished { outcome: RunOutcome::Interrupt { .. }, .. } => {
                self.ensure_started(out);
                out.push(Chunk::FinishStep);
                self.finish(FinishReason::ToolCalls, out);
            }
            Body::RunFinished { outcome: RunOutcome::Cancelled, .. } => {
                self.settle(out);
                out.push(Chunk::Abort { reason: self.cancel });
                self.finish(FinishReason::Other, out);
            }
            Body::RunError { message, code } => {
                self.settle(out);
                // `useChat` stops reading here: everything is closed before, and nothing but `finish` follows.
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
                self.open_tool(tool_call_id, tool_call_name, out);
            }
            Body::ToolCallArgs { tool_call_id, delta } => self.tool_arguments(tool_call_id, delta, out),
            Body::ToolCallEnd { tool_call_id } => self.call_tool(tool_call_id, out),
            Body::ToolCallResult { tool_call_id, content, .. } => {
                self.pending_tools.retain(|id| id != tool_call_id);
                self.step_over = true;
                out.push(Chunk::ToolOutputAvailable {
                    tool_call_id: tool_call_id.clone(),
                    output: Json::of(content),
                    provider_executed: true,
                });
            }
            Body::UsageRecorded(usage) => self.account(usage, out),
            Body::UserMessage { model, .. } => {
                self.model.clone_from(model);
                if self.prompted {
                    out.push(shown_as_data(event));
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
            // Empty blocks of reasoning are nothing to show; their messages are parts of their own.
            Body::RunClaimed { .. }
            | Body::RunConfigured(_)
            | Body::ToolCallDispatched { .. }
            | Body::ReasoningStart { .. }
            | Body::ReasoningEnd { .. } => {}
            Body::StepStarted { .. }
            | Body::StepFinished { .. }
            | Body::StateSnapshot { .. }
            | Body::StateDelta { .. }
            | Body::Custom { .. }
            | Body::PlanUpdated { .. }
            | Body::ClarificationNeeded { .. }
            | Body::ClarificationAnswered(_)
            | Body::SubagentStarted { .. }
            | Body::SubagentFinished { .. }
            | Body::ArtifactCreated(_)
            | Body::JobEnqueued(_)
            | Body::EntityExtracted(_)
            | Body::WebsiteGenerationDone { .. }
            | Body::JobFinished(_)
            | Body::SubagentError { .. } => out.push(shown_as_data(event)),
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
        self.start_step(out);
    }

    fn start_step(&mut self, out: &mut Vec<Chunk>) {
        self.step_over = false;
        out.push(Chunk::StartStep);
    }

    /// Begins a new step before a new part, once the last model call's tools all have results.
    fn next_step(&mut self, out: &mut Vec<Chunk>) {
        // Version 5 forgets open parts at the end of a step, and looks for a call first among those of the current step.
        let at_rest = self.part.is_none() && self.open_tools.is_empty() && self.pending_tools.is_empty();
        if self.step_over && at_rest {
            out.push(Chunk::FinishStep);
            self.start_step(out);
        }
    }

    fn begin(&mut self, id: MessageId, reasoning: bool, out: &mut Vec<Chunk>) {
        self.next_step(out);
        self.part = Some(Part { id, reasoning });
        out.push(if reasoning { Chunk::ReasoningStart { id } } else { Chunk::TextStart { id } });
    }

    fn end(&mut self, provider_metadata: Option<Mark>, out: &mut Vec<Chunk>) {
        let Some(Part { id, reasoning }) = self.part.take() else { return };
        out.push(if reasoning {
            Chunk::ReasoningEnd { id, provider_metadata }
        } else {
            Chunk::TextEnd { id, provider_metadata }
        });
    }

    fn abandon(&mut self, event: &Event, out: &mut Vec<Chunk>) {
        self.end(Some(Mark::ABANDONED), out);
        self.step_over = true;
        // Calls are made by the response that is lost: nothing else has calls open or waiting while it is written.
        self.give_up_tools("The response that made the call was lost; it did not run.", out);
        out.push(shown_as_data(event));
    }

    fn open_tool(&mut self, id: &str, name: &str, out: &mut Vec<Chunk>) {
        self.next_step(out);
        self.open_tools.push(OpenTool { id: id.to_owned(), name: name.to_owned(), arguments: String::new() });
        out.push(Chunk::ToolInputStart {
            tool_call_id: id.to_owned(),
            tool_name: name.to_owned(),
            provider_executed: true,
        });
    }

    fn tool_arguments(&mut self, id: &str, delta: &str, out: &mut Vec<Chunk>) {
        if let Some(tool) = self.open_tools.iter_mut().find(|tool| tool.id == id) {
            tool.arguments.push_str(delta);
            out.push(Chunk::ToolInputDelta {
                tool_call_id: id.to_owned(),
                input_text_delta: delta.to_owned(),
            });
        }
    }

    fn call_tool(&mut self, id: &str, out: &mut Vec<Chunk>) {
        let Some(at) = self.open_tools.iter().position(|tool| tool.id == id) else { return };
        let tool = self.open_tools.remove(at);
        self.pending_tools.push(tool.id.clone());
        out.push(Chunk::ToolInputAvailable {
            tool_call_id: tool.id,
            tool_name: tool.name,
            input: Json::of_arguments(&tool.arguments),
            provider_executed: true,
        });
    }

    fn account(&mut self, usage: &Usage, out: &mut Vec<Chunk>) {
        self.totals.input_tokens += usage.input_tokens;
        self.totals.output_tokens += usage.output_tokens;
        self.totals.cost_micro_usd += usage.cost_micro_usd.unwrap_or_default();
        self.finish_reason = FinishReason::of_provider(&usage.finish_reason);
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

    /// A run can end before it began: its message is empty, but whole.
    fn ensure_started(&mut self, out: &mut Vec<Chunk>) {
        if !self.started {
            self.start(None, out);
        }
    }

    /// Closes whatever a cancelled or failed run left open, so that no part of the message spins for ever.
    fn settle(&mut self, out: &mut Vec<Chunk>) {
        self.ensure_started(out);
        self.end(None, out);
        self.give_up_tools("The run ended before the tool had answered.", out);
        out.push(Chunk::FinishStep);
    }

    fn give_up_tools(&mut self, error_text: &'static str, out: &mut Vec<Chunk>) {
        for OpenTool { id, name, arguments } in std::mem::take(&mut self.open_tools) {
            out.push(Chunk::ToolInputError {
                tool_call_id: id,
                tool_name: name,
                input: Json::of_arguments(&arguments),
                error_text,
                provider_executed: true,
            });
        }
        for tool_call_id in std::mem::take(&mut self.pending_tools) {
            out.push(Chunk::ToolOutputError { tool_call_id, error_text, provider_executed: true });
        }
    }

    fn finish(&mut self, finish_reason: FinishReason, out: &mut Vec<Chunk>) {
        self.started = false;
        self.pending_tools.clear(); // a call left without a result on purpose waits for the next execution's
        self.cancel = None;
        self.finish_reason = FinishReason::Stop;
        out.push(Chunk::Finish { finish_reason });
    }
}

fn is_demo(model: &str) -> bool {
    model.split('/').next() == Some(DEMO)
}

fn shown_as_data(event: &Event) -> Chunk {
    Chunk::DataSequentEvent { data: event.clone(), transient: true }
}

#[cfg(test)]
#[path = "ui_message/tests.rs"]
mod tests;
