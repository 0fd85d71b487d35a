//! The reasons why a document was refused, for the model that wrote it.

use std::fmt;

use crate::limits;

/// One problem of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A JSON pointer into the document; empty for the whole.
    pub pointer: String,
    /// The problem and what to do about it.
    pub message: String,
}

/// A document that was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the document was refused. Fix these problems:\n{}", self.list())]
pub struct InvalidDocument {
    /// The first problems. Never empty.
    pub problems: Vec<Problem>,
    /// The number of further problems.
    pub more: usize,
}

impl InvalidDocument {
    pub(crate) fn one(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { problems: vec![Problem { pointer: pointer.into(), message: message.into() }], more: 0 }
    }

    /// Returns `Ok` if there are no problems.
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
