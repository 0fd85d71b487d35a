//! The blocks of an answer, which Anthropic's messages and Bedrock's conversations have in common: each block begins, grows and
//! ends, and reasoning may come with data that goes back with it.

use serde_json::Value;

use super::{answer::AnswerState, calls::ArgumentPiece};
use crate::{Error, chunk::Raw};

/// The field with the signature of a block of reasoning, in the data that goes back with it.
pub(super) const SIGNATURE: &str = "signature";
/// The field with all of a block of reasoning that has no text.
pub(super) const REDACTED: &str = "redacted";

/// The block that is being read.
#[derive(Debug, Default)]
pub(super) struct OpenBlock {
    has_begun: bool,
    /// The index of the block that began last. Some gateways leave it out of the events that follow.
    index: u64,
    /// The signature of the block of reasoning that is being read, as far as it has arrived.
    signature: Option<String>,
}

impl OpenBlock {
    /// Begins the answer. A gateway that retries in the middle of an answer begins it again: the rest belongs to another
    /// answer.
    ///
    /// # Errors
    /// If there is output already.
    pub(super) fn begin_answer(&mut self, answer: &AnswerState) -> Result<(), Error> {
        if std::mem::replace(&mut self.has_begun, true) && answer.has_output() {
            return Err(Error::InvalidAnswer("a second answer begins".into()));
        }
        Ok(())
    }

    /// Begins a block, and ends the one before it. Returns its index.
    pub(super) fn begin(&mut self, index: Option<u64>, answer: &mut AnswerState, out: &mut Vec<Raw>) -> u64 {
        self.end(answer, out);
        self.index = index.unwrap_or(self.index + 1);
        self.index
    }

    /// Returns the index of the block that an event with this one belongs to.
    pub(super) fn of(&self, index: Option<u64>) -> u64 {
        index.unwrap_or(self.index)
    }

    /// Takes a piece of reasoning.
    pub(super) fn reasoning(&mut self, text: &str, answer: &mut AnswerState, out: &mut Vec<Raw>) {
        self.signature.get_or_insert_default();
        answer.reasoning(text, out);
    }

    /// Takes a piece of the signature of the reasoning.
    pub(super) fn signature(&mut self, piece: &str) {
        self.signature.get_or_insert_default().push_str(piece);
    }

    /// Ends the block. Servers without signatures want the block of reasoning back, too.
    pub(super) fn end(&mut self, answer: &mut AnswerState, out: &mut Vec<Raw>) {
        if let Some(signature) = self.signature.take() {
            answer.reasoning_data([(SIGNATURE.to_owned(), signature.into())].into_iter().collect(), out);
        }
    }
}

/// Takes a block of reasoning that has no text.
pub(super) fn redacted(data: &str, answer: &mut AnswerState, out: &mut Vec<Raw>) {
    answer.reasoning_data([(REDACTED.to_owned(), data.into())].into_iter().collect(), out);
}

/// Returns the arguments in the input of a call: all of them as an object, or a part of their text.
pub(super) fn arguments(input: Option<&Value>) -> ArgumentPiece {
    match input {
        Some(Value::Object(input)) if !input.is_empty() => {
            ArgumentPiece::Whole(Value::Object(input.clone()).to_string())
        }
        Some(Value::String(input)) => ArgumentPiece::Part(input.clone()),
        _ => ArgumentPiece::None,
    }
}

/// Returns the error of an event without a field that it must have.
pub(super) fn lacks(field: &str) -> Error {
    Error::InvalidAnswer(format!("it lacks the field `{field}`"))
}
