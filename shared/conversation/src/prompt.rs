//! The text of a user's message.

use serde::{Deserialize, Serialize};

/// The text of a user's message: 1 byte to 64 KiB, not blank. It is one event, one row and part of a transaction, which
/// is why it is limited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prompt(String);

/// A text is not acceptable as a user's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PromptError {
    /// Nothing but white space.
    #[error("must not be empty")]
    Empty,
    /// More than [`Prompt::MAX_BYTES`].
    #[error("must have at most {} bytes", Prompt::MAX_BYTES)]
    TooLong,
}

impl Prompt {
    /// Longest text, in bytes of UTF-8.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Prompt {
    type Error = PromptError;

    /// Checks the text. It is kept as it is, white space included.
    fn try_from(text: String) -> Result<Self, PromptError> {
        if text.trim().is_empty() {
            return Err(PromptError::Empty);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(PromptError::TooLong);
        }
        Ok(Self(text))
    }
}

impl From<Prompt> for String {
    fn from(prompt: Prompt) -> Self {
        prompt.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_neither_blank_nor_too_long() {
        assert_eq!(Prompt::try_from(" \n".to_owned()), Err(PromptError::Empty));
        assert_eq!(Prompt::try_from("x".repeat(Prompt::MAX_BYTES + 1)), Err(PromptError::TooLong));
        assert_eq!(Prompt::try_from(" hi ".to_owned()).unwrap().as_str(), " hi ");
    }
}
