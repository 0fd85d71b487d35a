//! What was said and done, in the order a model has to be told.

use sequent_core::MessageId;

use super::{ChildEnd, State, TextMessage};

/// One entry of the transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TranscriptEntry {
    /// A person said something.
    User {
        /// The message.
        id: MessageId,
        /// Its text.
        text: String,
    },
    /// The model responded.
    Assistant {
        /// The message.
        id: MessageId,
        /// Its text; may be empty if it only called tools.
        text: String,
        /// The tools it called.
        calls: Vec<ToolCall>,
    },
    /// A tool gave its result.
    Tool {
        /// The call.
        call: String,
        /// What the model gets to read.
        content: String,
    },
    /// The run turned to a step of its plan.
    Step {
        /// The step.
        name: String,
    },
    /// The run turned away from the step it was at: done with it, or about to wait.
    StepOver,
    /// A child run ended.
    Child {
        /// What it worked on.
        name: String,
        /// What came of it.
        ended: ChildEnd,
    },
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// Names the call.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments, as JSON text that the model wrote.
    pub arguments: String,
}

impl State {
    /// The call of this id.
    #[must_use]
    pub fn tool_call(&self, id: &str) -> Option<&ToolCall> {
        let drafted = self.draft.iter().flat_map(|draft| &draft.calls);
        let made = self.transcript.iter().rev().filter_map(TranscriptEntry::calls).flatten();
        drafted.chain(made).find(|call| call.id == id)
    }

    /// What the last owner left half written: messages, blocks of reasoning and calls since the last response that was
    /// accounted for. The message being written comes first.
    #[must_use]
    pub fn unfinished(&self) -> Vec<MessageId> {
        let mut ids: Vec<MessageId> = self.open.iter().map(|open| open.id).collect();
        ids.extend(self.draft.iter().flat_map(|draft| draft.texts.iter().map(|text| text.id)));
        // Abandoning an open message abandons the reasoning it is part of.
        ids.extend(self.open_reasoning.filter(|_| self.open.is_none()));
        let calls = self.draft.iter().filter(|draft| !draft.calls.is_empty() && !ids.contains(&draft.id));
        let calls: Vec<MessageId> = calls.map(|draft| draft.id).collect();
        ids.extend(calls);
        ids
    }

    /// The response being written, begun with this id if there is none.
    pub(super) fn draft(&mut self, id: MessageId) -> &mut Draft {
        self.draft.get_or_insert_with(|| Draft { id, texts: Vec::new(), calls: Vec::new() })
    }

    pub(super) fn call(&mut self, id: &str, name: &str, message: Option<MessageId>) {
        let call = ToolCall { id: id.to_owned(), name: name.to_owned(), arguments: String::new() };
        // A call that names no message belongs to the response being written.
        self.draft(message.unwrap_or_else(|| MessageId::from_bits(0))).calls.push(call);
    }

    pub(super) fn argue(&mut self, id: &str, delta: &str) {
        let mut calls = self.draft.iter_mut().flat_map(|draft| &mut draft.calls);
        if let Some(call) = calls.find(|call| call.id == id) {
            call.arguments.push_str(delta);
        }
    }

    /// The response is complete. What people said while it was being made stands behind it: the model has yet to be told.
    pub(super) fn respond(&mut self, told: Option<u32>) {
        self.prompts_seen = told.map_or(self.prompts.len(), |told| told as usize);
        let late: Vec<MessageId> =
            self.prompts.iter().skip(self.prompts_seen).map(|prompt| prompt.id).collect();
        let is_late =
            |turn: &TranscriptEntry| matches!(turn, TranscriptEntry::User { id, .. } if late.contains(id));
        let (late, turns): (Vec<TranscriptEntry>, _) =
            std::mem::take(&mut self.transcript).into_iter().partition(is_late);
        self.transcript = turns;
        // A model may respond with nothing at all.
        self.transcript.push(self.draft.take().unwrap_or_default().into());
        self.transcript.extend(late);
    }

    /// Whether `id` is a message, a block of reasoning or a response that is not accounted for.
    pub(super) fn may_abandon(&self, id: MessageId) -> bool {
        let drafted = |draft: &Draft| draft.id == id || draft.texts.iter().any(|text| text.id == id);
        self.open.as_ref().is_some_and(|open| open.id == id)
            || self.open_reasoning == Some(id)
            || self.draft.as_ref().is_some_and(drafted)
    }

    /// Drops a message, and with the first message of a response the calls it made.
    pub(super) fn abandon(&mut self, id: MessageId) {
        if self.open.as_ref().is_some_and(|open| open.id == id || self.open_reasoning == Some(id)) {
            let reasoning = self.open.take().is_some_and(|open| open.reasoning);
            self.open_reasoning = self.open_reasoning.filter(|_| !reasoning);
        }
        self.open_reasoning = self.open_reasoning.filter(|block| *block != id);
        self.answers.retain(|answer| answer.id != id);
        let Some(draft) = &mut self.draft else { return };
        draft.texts.retain(|text| text.id != id);
        if draft.id == id {
            for call in draft.calls.drain(..) {
                self.open_tools.retain(|open| *open != call.id);
                self.pending_tools.retain(|pending| *pending != call.id);
            }
        }
        if draft.texts.is_empty() && draft.calls.is_empty() && self.open.is_none() {
            self.draft = None;
        }
    }
}

/// A response being written: whatever stands in the log since the last model call was accounted for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Its first message; its calls name it as their parent.
    pub id: MessageId,
    /// The messages that are complete.
    pub texts: Vec<TextMessage>,
    /// The calls, complete or not.
    pub calls: Vec<ToolCall>,
}

impl Default for Draft {
    fn default() -> Self {
        Self { id: MessageId::from_bits(0), texts: Vec::new(), calls: Vec::new() }
    }
}

impl From<Draft> for TranscriptEntry {
    fn from(draft: Draft) -> Self {
        let texts: Vec<&str> = draft.texts.iter().map(|text| text.text.as_str()).collect();
        Self::Assistant { id: draft.id, text: texts.join("\n\n"), calls: draft.calls }
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
