//! The reasoning of a response and the data of its provider, which the model that wrote it gets back with the results of its
//! calls.

use std::collections::BTreeMap;

use sequent_core::MessageId;

use super::State;
use crate::{EncryptedValueOf, Usage};

/// The model that wrote a response, and all that it gets back with the text and the calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseOrigin {
    /// The name of the provider, as in [`Usage::provider`].
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
    /// The blocks of reasoning, in order.
    pub reasoning: Vec<ReasoningBlock>,
    /// The data of calls, by their ids.
    pub calls: BTreeMap<String, String>,
}

/// A block of reasoning, at its place in the response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReasoningBlock {
    id: MessageId,
    /// The text. It is empty if the block is nothing but data.
    pub text: String,
    /// The provider's data.
    pub data: Option<String>,
    /// Bytes of the response's text before the block.
    pub text_before: usize,
    /// Calls of the response before the block.
    pub calls_before: usize,
}

impl ResponseOrigin {
    /// Drops a block of reasoning that was cut off.
    pub(super) fn abandon(&mut self, id: MessageId) {
        self.reasoning.retain(|block| block.id != id);
    }
}

impl State {
    /// Returns `true` if the block of reasoning is open, or the call belongs to the response being written.
    pub(super) fn has_written(&self, kind: EncryptedValueOf, id: &str) -> bool {
        match kind {
            EncryptedValueOf::Message => self.open_reasoning.is_some_and(|open| open.to_string() == id),
            EncryptedValueOf::ToolCall => {
                self.draft.iter().flat_map(|draft| &draft.calls).any(|call| call.id == id)
            }
        }
    }

    pub(super) fn begin_reasoning(&mut self, id: MessageId) {
        let draft = self.draft.as_ref();
        let text_before = draft.map_or(0, |draft| draft.texts.iter().map(|text| text.text.len()).sum());
        let calls_before = draft.map_or(0, |draft| draft.calls.len());
        let block = ReasoningBlock { id, text: String::new(), data: None, text_before, calls_before };
        self.origin.get_or_insert_default().reasoning.push(block);
        self.open_reasoning = Some(id);
    }

    /// Keeps the text of the reasoning message that ends.
    pub(super) fn keep_reasoning(&mut self) {
        let open = self.open.take().filter(|open| open.reasoning);
        let block = self.origin.as_mut().and_then(|origin| origin.reasoning.last_mut());
        if let Some((open, block)) = open.zip(block) {
            block.text.push_str(&open.text);
        }
    }

    pub(super) fn keep_data(&mut self, kind: EncryptedValueOf, id: &str, data: &str) {
        let origin = self.origin.get_or_insert_default();
        match kind {
            EncryptedValueOf::Message => {
                if let Some(block) = origin.reasoning.last_mut() {
                    block.data = Some(data.to_owned());
                }
            }
            EncryptedValueOf::ToolCall => {
                origin.calls.insert(id.to_owned(), data.to_owned());
            }
        }
    }

    /// Ends the response and returns its origin. Returns `None` if nothing of it has to go back.
    pub(super) fn take_origin(&mut self, usage: &Usage) -> Option<Box<ResponseOrigin>> {
        let mut origin = self.origin.take()?;
        let has_data = !origin.calls.is_empty() || origin.reasoning.iter().any(|block| block.data.is_some());
        let has_calls = self.draft.as_ref().is_some_and(|draft| !draft.calls.is_empty());
        origin.provider.clone_from(&usage.provider);
        origin.model.clone_from(&usage.model);
        (has_data && has_calls && !usage.is_of_cut_response()).then_some(origin)
    }
}
