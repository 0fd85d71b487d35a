//! The content of a user's message.

use sequent_event::{UserContent, UserPart, size};
use serde::{Deserialize, Serialize};

/// The content of a user's message: a text of 1 byte to 64 KiB that is not blank, or parts. It is one event, one row and
/// part of a transaction, which is why it is limited, also in its encoded form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "UserContent")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, min_length = 1, max_length = 65536, pattern = r"\S"))]
pub struct Prompt(UserContent);

/// A content is not acceptable as a user's message.
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
    /// More parts than [`Prompt::MAX_PARTS`].
    #[error("must have at most {} parts", Prompt::MAX_PARTS)]
    TooManyParts,
    /// The name of a data part is empty or longer than [`Prompt::MAX_NAME`].
    #[error("the name of a data part must have 1 to {} bytes", Prompt::MAX_NAME)]
    DataName,
}

impl Prompt {
    /// Longest text, in bytes of UTF-8, and the most that parts may have in JSON.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// Longest text inside a JSON string, in bytes: it is stored as one event.
    pub const MAX_ENCODED_BYTES: usize = size::MAX_TEXT_BYTES;

    /// Most parts of a message.
    pub const MAX_PARTS: usize = 32;

    /// Longest name of a data part, in bytes.
    pub const MAX_NAME: usize = 64;

    /// Returns the content of the message.
    #[must_use]
    pub fn content(&self) -> &UserContent {
        &self.0
    }
}

impl TryFrom<String> for Prompt {
    type Error = PromptError;

    /// Checks the text. It is kept as it is, white space included.
    fn try_from(text: String) -> Result<Self, PromptError> {
        check_text(&text)?;
        Ok(Self(text.into()))
    }
}

impl TryFrom<UserContent> for Prompt {
    type Error = PromptError;

    fn try_from(content: UserContent) -> Result<Self, PromptError> {
        match &content {
            UserContent::Text(text) => check_text(text)?,
            UserContent::Parts(parts) => check_parts(parts)?,
        }
        Ok(Self(content))
    }
}

impl From<Prompt> for UserContent {
    fn from(prompt: Prompt) -> Self {
        prompt.0
    }
}

fn check_text(text: &str) -> Result<(), PromptError> {
    if text.trim().is_empty() {
        return Err(PromptError::Empty);
    }
    if text.len() > Prompt::MAX_BYTES {
        return Err(PromptError::TooLong);
    }
    if size::encoded_bytes(text) > Prompt::MAX_ENCODED_BYTES {
        return Err(PromptError::TooLongEncoded);
    }
    Ok(())
}

fn check_parts(parts: &[UserPart]) -> Result<(), PromptError> {
    if parts.iter().all(|part| part.text().is_some_and(|text| text.trim().is_empty())) {
        return Err(PromptError::Empty);
    }
    if parts.len() > Prompt::MAX_PARTS {
        return Err(PromptError::TooManyParts);
    }
    let has_name = |part: &UserPart| match part {
        UserPart::Data(part) => (1..=Prompt::MAX_NAME).contains(&part.name.len()),
        UserPart::Text { .. } | UserPart::Image(_) | UserPart::File(_) => true,
    };
    if !parts.iter().all(has_name) {
        return Err(PromptError::DataName);
    }
    // Parts that cannot be encoded cannot be stored either.
    let bytes = serde_json::to_vec(parts).map_or(usize::MAX, |json| json.len());
    if bytes > Prompt::MAX_BYTES { Err(PromptError::TooLong) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use sequent_event::DataPart;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_prompt_is_neither_blank_nor_too_long() {
        assert_eq!(Prompt::try_from(" \n".to_owned()), Err(PromptError::Empty));
        assert_eq!(Prompt::try_from("x".repeat(Prompt::MAX_BYTES + 1)), Err(PromptError::TooLong));
        assert_eq!(Prompt::try_from(" hi ".to_owned()).unwrap().content().text(), " hi ");
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

    #[test]
    fn parts_are_limited_in_number_and_size() {
        let text = |text: &str| UserPart::Text { text: text.to_owned() };
        let data = |name: &str| UserPart::Data(DataPart { name: name.to_owned(), data: json!([1]) });
        let check = |parts: Vec<UserPart>| Prompt::try_from(UserContent::Parts(parts)).map(|_| ());
        assert_eq!(check(vec![text("Sum up."), data("cells")]), Ok(()));
        assert_eq!(check(vec![data("cells")]), Ok(()));
        assert_eq!(check(Vec::new()), Err(PromptError::Empty));
        assert_eq!(check(vec![text(" "), text("\n")]), Err(PromptError::Empty));
        assert_eq!(check(vec![data("")]), Err(PromptError::DataName));
        assert_eq!(check(vec![text("x"); 33]), Err(PromptError::TooManyParts));
        assert_eq!(
            check(vec![text(&"\n".repeat(20_000)), text(&"\"x".repeat(20_000))]),
            Err(PromptError::TooLong)
        );
    }
}
