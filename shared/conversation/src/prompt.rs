//! The text of a user's message.

use sequent_event::size;
use serde::{Deserialize, Serialize};

/// The text of a user's message: 1 byte to 64 KiB, not blank. It is one event, one row and part of a transaction, which
/// is why it is limited, also in its encoded form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, min_length = 1, max_length = 65536, pattern = r"\S"))]
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
    /// More than [`Prompt::MAX_ENCODED_BYTES`].
    #[error(
        "must have at most {} bytes in JSON, where quotes and line breaks count twice and control characters six times",
        Prompt::MAX_ENCODED_BYTES
    )]
    TooLongEncoded,
}

impl Prompt {
    /// Longest text, in bytes of UTF-8.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// Longest text inside a JSON string, in bytes: it is stored as one event.
    pub const MAX_ENCODED_BYTES: usize = size::MAX_TEXT_BYTES;

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
        if size::encoded_bytes(&text) > Self::MAX_ENCODED_BYTES {
            return Err(PromptError::TooLongEncoded);
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

    #[test]
    fn a_prompt_that_json_makes_too_long_is_refused_as_too_long() {
        for text in ["\"", "\n", "\u{1}"] {
            let long = format!("x{}", text.repeat(Prompt::MAX_BYTES - 1));
            assert_eq!(Prompt::try_from(long), Err(PromptError::TooLongEncoded));
        }
        let code = "let x = \"a\";\n".repeat(Prompt::MAX_BYTES / 13);
        assert!(Prompt::try_from(code).is_ok(), "source code of 64 KiB is accepted");
    }
}
