//! The message that a client has built when it has read all chunks.
//!
//! Follows `processUIMessageStream` of the npm package `ai`, version 7.0.173. The tests of `infra/e2e/node` compare the
//! result with what the package itself builds from the same chunks, for versions 5, 6 and 7.

use std::borrow::Cow;

use sequent_core::{InterruptId, MessageId, RunId};
use sequent_event::Event;
use serde::Serialize;

use super::{
    Projector,
    chunk::{Chunk, Json, Mark, Metadata},
};

/// Builds the assistant's message of a run. Push every event of the log from the first.
#[derive(Debug, Clone)]
pub struct MessageFold {
    projector: Projector,
    message: FoldedMessage,
}

/// An assistant's message in the form of the AI SDK's `UIMessage`.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "as in the AI SDK")]
pub struct FoldedMessage {
    pub id: RunId,
    pub metadata: Metadata,
    pub parts: Vec<FoldedPart>,
}

/// A part of a message in the form of the AI SDK's `UIMessagePart`.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[expect(missing_docs, reason = "as in the AI SDK")]
pub enum FoldedPart {
    StepStart,
    Text {
        #[serde(skip)]
        id: MessageId,
        text: String,
        state: PartState,
        #[serde(skip_serializing_if = "Option::is_none")]
        provider_metadata: Option<Mark>,
    },
    Reasoning {
        id: MessageId,
        text: String,
        state: PartState,
        #[serde(skip_serializing_if = "Option::is_none")]
        provider_metadata: Option<Mark>,
    },
    SourceUrl {
        source_id: String,
        url: String,
        title: String,
    },
    DataSequentEvent {
        id: String,
        data: Box<Event>,
    },
    #[serde(untagged)]
    Tool(FoldedTool),
}

/// The progress of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "as in the AI SDK")]
pub enum PartState {
    Streaming,
    Done,
}

/// A call of a tool, with its result.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as in the AI SDK")]
pub struct FoldedTool {
    /// `tool-` and the name of the tool.
    #[serde(rename = "type")]
    pub kind: String,
    pub tool_call_id: String,
    pub state: FoldedToolState,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_text: Option<Cow<'static, str>>,
    pub provider_executed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<FoldedApproval>,
}

/// The approval of a call. A client that has read the chunks knows the decision only if it has made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "as in the AI SDK")]
pub struct FoldedApproval {
    pub id: InterruptId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The progress of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "as in the AI SDK")]
pub enum FoldedToolState {
    InputStreaming,
    InputAvailable,
    ApprovalRequested,
    OutputAvailable,
    OutputError,
    OutputDenied,
}

const TOOL: &str = "tool-";

impl FoldedTool {
    fn new(id: String, tool: &str, provider_executed: bool) -> Self {
        Self {
            kind: format!("{TOOL}{tool}"),
            tool_call_id: id,
            state: FoldedToolState::InputStreaming,
            input: None,
            output: None,
            error_text: None,
            provider_executed,
            approval: None,
        }
    }

    /// Returns the name of the tool.
    #[must_use]
    pub fn name(&self) -> &str {
        self.kind.strip_prefix(TOOL).unwrap_or(&self.kind)
    }
}

impl MessageFold {
    /// Creates an empty message.
    #[must_use]
    pub fn new(run: RunId) -> Self {
        let message = FoldedMessage { id: run, metadata: Metadata::default(), parts: Vec::new() };
        Self { projector: Projector::new(run), message }
    }

    /// Applies the next event. Parts are added at the end, and none is removed.
    pub fn push(&mut self, event: &Event) {
        for chunk in self.projector.push(event) {
            self.message.apply(chunk);
        }
    }

    /// Returns the message so far.
    #[must_use]
    pub fn message(&self) -> &FoldedMessage {
        &self.message
    }

    /// Returns the message so far.
    #[must_use]
    pub fn into_message(self) -> FoldedMessage {
        self.message
    }
}

impl FoldedMessage {
    fn apply(&mut self, chunk: Chunk) {
        match chunk {
            Chunk::Start { message_metadata, .. } | Chunk::MessageMetadata { message_metadata } => {
                self.metadata.merge(&message_metadata);
            }
            Chunk::StartStep => self.parts.push(FoldedPart::StepStart),
            Chunk::TextStart { id } => {
                let state = PartState::Streaming;
                self.parts.push(FoldedPart::Text { id, text: String::new(), state, provider_metadata: None });
            }
            Chunk::ReasoningStart { id } => {
                let state = PartState::Streaming;
                self.parts.push(FoldedPart::Reasoning {
                    id,
                    text: String::new(),
                    state,
                    provider_metadata: None,
                });
            }
            Chunk::TextDelta { id, delta } | Chunk::ReasoningDelta { id, delta } => {
                if let Some(OpenText { text, .. }) = self.open_text(id) {
                    text.push_str(&delta);
                }
            }
            Chunk::TextEnd { id, provider_metadata } | Chunk::ReasoningEnd { id, provider_metadata } => {
                if let Some(open) = self.open_text(id) {
                    *open.state = PartState::Done;
                    *open.provider_metadata = provider_metadata;
                }
            }
            Chunk::ToolInputStart { tool_call_id, tool_name, provider_executed } => {
                self.set_call(FoldedTool::new(tool_call_id, &tool_name, provider_executed));
            }
            Chunk::ToolInputAvailable { tool_call_id, tool_name, input, provider_executed } => {
                let new = FoldedTool::new(tool_call_id.clone(), &tool_name, provider_executed);
                let state = FoldedToolState::InputAvailable;
                self.set_call(FoldedTool { state, input: Some(input), ..new });
                let approval = self.call(&tool_call_id).and_then(|call| call.approval.as_mut());
                // The call goes on here.
                if let Some(approval) = approval.filter(|_| provider_executed) {
                    approval.approved = Some(true);
                }
            }
            Chunk::ToolInputError { tool_call_id, tool_name, input, error_text, provider_executed } => {
                let new = FoldedTool::new(tool_call_id, &tool_name, provider_executed);
                let state = FoldedToolState::OutputError;
                let error_text = Some(error_text.into());
                self.set_call(FoldedTool { state, input: Some(input), error_text, ..new });
            }
            Chunk::ToolApprovalRequest { approval_id, tool_call_id } => {
                if let Some(call) = self.call(&tool_call_id) {
                    call.state = FoldedToolState::ApprovalRequested;
                    call.approval = Some(FoldedApproval { id: approval_id, approved: None, reason: None });
                }
            }
            Chunk::ToolOutputDenied { tool_call_id, reason } => {
                if let Some(call) = self.call(&tool_call_id) {
                    call.state = FoldedToolState::OutputDenied;
                    if let Some(approval) = &mut call.approval {
                        approval.approved = Some(false);
                        approval.reason = reason;
                    }
                }
            }
            Chunk::ToolOutputAvailable { tool_call_id, output, provider_executed } => {
                if let Some(call) = self.call(&tool_call_id) {
                    call.state = FoldedToolState::OutputAvailable;
                    call.output = Some(output);
                    call.error_text = None;
                    call.provider_executed = provider_executed;
                }
            }
            Chunk::ToolOutputError { tool_call_id, error_text, provider_executed } => {
                if let Some(call) = self.call(&tool_call_id) {
                    call.state = FoldedToolState::OutputError;
                    call.output = None;
                    call.error_text = Some(error_text);
                    call.provider_executed = provider_executed;
                }
            }
            Chunk::SourceUrl { source_id, url, title } => {
                self.parts.push(FoldedPart::SourceUrl { source_id, url, title });
            }
            Chunk::DataSequentEvent { id: Some(id), data, transient: false } => {
                self.parts.push(FoldedPart::DataSequentEvent { id, data: Box::new(data) });
            }
            Chunk::DataSequentEvent { .. }
            // The input is complete before a call can be a part of a message that has ended.
            | Chunk::ToolInputDelta { .. }
            | Chunk::FinishStep
            | Chunk::Finish { .. }
            | Chunk::Abort { .. }
            | Chunk::Error { .. } => {}
        }
    }

    /// Finds the text or reasoning that is being written under this id.
    fn open_text(&mut self, wanted: MessageId) -> Option<OpenText<'_>> {
        self.parts.iter_mut().rev().find_map(|part| match part {
            FoldedPart::Text { id, text, state, provider_metadata }
            | FoldedPart::Reasoning { id, text, state, provider_metadata }
                if *id == wanted && *state == PartState::Streaming =>
            {
                Some(OpenText { text, state, provider_metadata })
            }
            _ => None,
        })
    }

    /// Changes the call with this id in the current step, which keeps its approval, or adds it.
    fn set_call(&mut self, new: FoldedTool) {
        match self.call_in_step(&new.tool_call_id).map(|at| &mut self.parts[at]) {
            Some(FoldedPart::Tool(call)) => *call = FoldedTool { approval: call.approval.take(), ..new },
            _ => self.parts.push(FoldedPart::Tool(new)),
        }
    }

    /// Finds the call that a result belongs to: in the current step, or the last one before it.
    fn call(&mut self, id: &str) -> Option<&mut FoldedTool> {
        let at = self.call_in_step(id).or_else(|| self.parts.iter().rposition(|part| part.is_call(id)))?;
        match &mut self.parts[at] {
            FoldedPart::Tool(call) => Some(call),
            _ => None,
        }
    }

    fn call_in_step(&self, id: &str) -> Option<usize> {
        let start = self.parts.iter().rposition(|part| matches!(part, FoldedPart::StepStart));
        let first = start.map_or(0, |start| start + 1);
        self.parts[first..].iter().position(|part| part.is_call(id)).map(|at| first + at)
    }
}

impl FoldedPart {
    fn is_call(&self, id: &str) -> bool {
        matches!(self, Self::Tool(call) if call.tool_call_id == id)
    }
}

/// A text or reasoning part that is being written.
struct OpenText<'a> {
    text: &'a mut String,
    state: &'a mut PartState,
    provider_metadata: &'a mut Option<Mark>,
}
