//! The texts of a hook.

use sequent_conversation::Prompt;
use serde::{Deserialize, Serialize};

/// A text of a hook is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHookText {
    /// The name is blank or too long, or has control characters.
    #[error("must have 1 to {} characters, without control characters", HookName::MAX)]
    Name,
    /// The input is blank or too long.
    #[error("must not be blank, and have at most {} bytes", HookInput::MAX)]
    Input,
}

/// The name of a hook, for people. Several hooks may have the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, min_length = 1, max_length = 100, pattern = r"\S"))]
pub struct HookName(String);

/// The task of each run of a hook. It is short, because the body of the request is in the same message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, min_length = 1, max_length = 16000, pattern = r"\S"))]
pub struct HookInput(String);

impl HookName {
    /// Most characters of a name.
    pub const MAX: usize = 100;
}

impl HookInput {
    /// Most bytes of a task.
    pub const MAX: usize = 16_000;

    /// Returns the text of the task.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for HookName {
    type Error = InvalidHookText;

    fn try_from(text: String) -> Result<Self, InvalidHookText> {
        let is_short = text.chars().count() <= Self::MAX && !text.chars().any(char::is_control);
        if is_short && !text.trim().is_empty() { Ok(Self(text)) } else { Err(InvalidHookText::Name) }
    }
}

impl TryFrom<String> for HookInput {
    type Error = InvalidHookText;

    fn try_from(text: String) -> Result<Self, InvalidHookText> {
        let fits = text.len() <= Self::MAX && Prompt::try_from(text.clone()).is_ok();
        if fits { Ok(Self(text)) } else { Err(InvalidHookText::Input) }
    }
}

impl From<HookName> for String {
    fn from(name: HookName) -> Self {
        name.0
    }
}

impl From<HookInput> for String {
    fn from(input: HookInput) -> Self {
        input.0
    }
}
