//! Why a document was refused, for the model that wrote it.

use std::fmt;

use crate::limits;

/// One thing to fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: a JSON pointer into the document, empty for the whole.
    pub pointer: String,
    /// What is wrong there, and what would be right.
    pub message: String,
}

/// A document that was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the document was refused:\n{}", self.list())]
pub struct Invalid {
    /// The first problems, in the order of the document as far as it has one; never empty.
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub more: usize,
}

impl Invalid {
    pub(crate) fn one(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { problems: vec![Problem { pointer: pointer.into(), message: message.into() }], more: 0 }
    }

    /// `Ok` when there is no problem.
    pub(crate) fn unless_empty(mut problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() {
            return Ok(());
        }
        let more = problems.len().saturating_sub(limits::PROBLEMS);
        problems.truncate(limits::PROBLEMS);
        Err(Self { problems, more })
    }

    fn list(&self) -> String {
        let mut lines: Vec<_> = self.problems.iter().map(ToString::to_string).collect();
        if self.more > 0 {
            lines.push(format!("- and {} more", self.more));
        }
        lines.join("\n")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pointer.as_str() {
            "" => write!(f, "- {}", self.message),
            pointer => write!(f, "- at {pointer}: {}", self.message),
        }
    }
}
