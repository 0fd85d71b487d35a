//! The transcript: messages, calls and results in the order in which a model has to read them.

use sequent_core::{MessageId, RunId};

use super::{ChildEnd, ResponseOrigin, State, TextMessage};
use crate::UserContent;

/// One entry of the transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub enum TranscriptEntry {
    /// A message of a person.
    User { id: MessageId, content: UserContent },
    /// A response of the model. The text may be empty if the model only called tools. The request contained
    /// the first `told` messages of people. A response that `is_cut` was not written to its end. A response with calls has
    /// an `origin` if its model gets something back with them.
    Assistant {
        id: MessageId,
        text: String,
        calls: Vec<ToolCall>,
        told: usize,
        is_cut: bool,
        origin: Option<Box<ResponseOrigin>>,
    },
    /// A response that does not match the schema of the caller. It is no part of the answer.
    Rejected { text: String, errors: String },
    /// The result of a tool call, as text for the model.
    Tool { call: String, content: String },
    /// The run starts to work on a step of its plan.
    Step { name: String },
    /// The run stops working on a step: the step is done, or the run is about to wait.
    StepOver,
    /// A child run ended. `name` is the step, or the tool, that it worked on.
    Child { run: RunId, name: String, ended: ChildEnd },
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub struct ToolCall {
    pub id: String,
    /// The name of the tool.
    pub name: String,
    /// The arguments, as JSON text that the model wrote.
    pub arguments: String,
}

impl State {
    /// Returns the call with this id.
    #[must_use]
    pub fn tool_call(&self, id: &str) -> Option<&ToolCall> {
        let drafted = self.draft.iter().flat_map(|draft| &draft.calls);
        let made = self.transcript.iter().rev().filter_map(TranscriptEntry::calls).flatten();
        drafted.chain(made).find(|call| call.id == id)
    }

    /// The messages that the last owner left incomplete: messages, reasoning blocks and calls since the last
    /// response whose usage was recorded. The message being written comes first.
    #[must_use]
    pub fn unfinished(&self) -> Vec<MessageId> {
        let mut ids: Vec<MessageId> = self.open.iter().map(|open| open.id).collect();
        ids.extend(self.draft.iter().flat_map(|draft| draft.texts.iter().map(|text| text.id)));
        // Abandoning an open message abandons its reasoning block, too.
        ids.extend(self.open_reasoning.filter(|_| self.open.is_none()));
        let calls = self.draft.iter().filter(|draft| !draft.calls.is_empty() && !ids.contains(&draft.id));
        let calls: Vec<MessageId> = calls.map(|draft| draft.id).collect();
        ids.extend(calls);
        ids
    }

    /// Returns the response being written. Starts one with this id if there is none.
    pub(super) fn draft(&mut self, id: MessageId) -> &mut Draft {
        let told = self.prompts.len();
        self.draft.get_or_insert_with(|| Draft { id, texts: Vec::new(), calls: Vec::new(), told })
    }

    pub(super) fn call(&mut self, id: &str, name: &str, message: Option<MessageId>) {
        let call = ToolCall { id: id.to_owned(), name: name.to_owned(), arguments: String::new() };
        // A call without a parent message belongs to the response being written.
        self.draft(message.unwrap_or_else(|| MessageId::from_bits(0))).calls.push(call);
    }

    pub(super) fn append_arguments(&mut self, id: &str, delta: &str) {
        let mut calls = self.draft.iter_mut().flat_map(|draft| &mut draft.calls);
        if let Some(call) = calls.find(|call| call.id == id) {
            call.arguments.push_str(delta);
        }
    }

    /// Completes the response. User messages that arrived while it was being written move after it, because
    /// the model has not read them yet.
    pub(super) fn respond(
        &mut self,
        prompts_seen: Option<u32>,
        is_cut: bool,
        origin: Option<Box<ResponseOrigin>>,
    ) {
        self.prompts_seen = prompts_seen.map_or(self.prompts.len(), |count| count as usize);
        let late: Vec<MessageId> =
            self.prompts.iter().skip(self.prompts_seen).map(|prompt| prompt.id).collect();
        let is_late =
            |entry: &TranscriptEntry| matches!(entry, TranscriptEntry::User { id, .. } if late.contains(id));
        let (late, rest): (Vec<TranscriptEntry>, _) =
            std::mem::take(&mut self.transcript).into_iter().partition(is_late);
        self.transcript = rest;
        // The response of a model may be empty.
        let draft = self.draft.take().unwrap_or_default();
        let draft = Draft { told: self.prompts_seen, ..draft };
        self.transcript.push(draft.into_entry(is_cut, origin));
        self.transcript.extend(late);
    }

    /// Returns `true` if `id` is a message or reasoning block of a response whose usage is not recorded yet.
    pub(super) fn may_abandon(&self, id: MessageId) -> bool {
        let drafted = |draft: &Draft| draft.id == id || draft.texts.iter().any(|text| text.id == id);
        self.open.as_ref().is_some_and(|open| open.id == id)
            || self.open_reasoning == Some(id)
            || self.draft.as_ref().is_some_and(drafted)
    }

    /// Drops a message. With the first message of a response, its tool calls are dropped, too.
    pub(super) fn abandon(&mut self, id: MessageId) {
        if self.open.as_ref().is_some_and(|open| open.id == id || self.open_reasoning == Some(id)) {
            let reasoning = self.open.take().is_some_and(|open| open.reasoning);
            self.open_reasoning = self.open_reasoning.filter(|_| !reasoning);
        }
        self.open_reasoning = self.open_reasoning.filter(|block| *block != id);
        self.answers.retain(|answer| answer.id != id);
        if let Some(origin) = &mut self.origin {
            origin.abandon(id);
        }
        let Some(draft) = &mut self.draft else { return };
        draft.texts.retain(|text| text.id != id);
        if draft.id == id {
            for call in draft.calls.drain(..) {
                self.open_tools.retain(|open| *open != call.id);
                self.pending_tools.retain(|pending| *pending != call.id);
                self.origin.iter_mut().for_each(|origin| drop(origin.calls.remove(&call.id)));
            }
        }
        if draft.texts.is_empty() && draft.calls.is_empty() && self.open.is_none() {
            self.draft = None;
        }
    }
}

/// A response being written: the events since the usage of the last model call was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The first message. Calls name it as their parent.
    pub id: MessageId,
    /// Messages that are complete.
    pub texts: Vec<TextMessage>,
    /// The calls, complete or not.
    pub calls: Vec<ToolCall>,
    /// The number of people's messages when the response began.
    pub told: usize,
}

impl Default for Draft {
    fn default() -> Self {
        Self { id: MessageId::from_bits(0), texts: Vec::new(), calls: Vec::new(), told: 0 }
    }
}

impl Draft {
    pub(super) fn into_entry(self, is_cut: bool, origin: Option<Box<ResponseOrigin>>) -> TranscriptEntry {
        // Nothing is put between the pieces: a model goes on in the middle of a sentence after it has thought.
        let text = self.texts.iter().map(|text| text.text.as_str()).collect();
        TranscriptEntry::Assistant { id: self.id, text, calls: self.calls, told: self.told, is_cut, origin }
    }
}

impl TranscriptEntry {
    fn calls(&self) -> Option<&[ToolCall]> {
        match self {
            Self::Assistant { calls, .. } => Some(calls),
            _ => None,
        }
    }
}
