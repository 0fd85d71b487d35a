//! The texts of a schedule.

use sequent_conversation::Prompt;
use serde::{Deserialize, Serialize};

/// A text of a schedule is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// The name is blank or too long, or has control characters.
    #[error("must have 1 to {} characters, without control characters", ScheduleName::MAX)]
    Name,
    /// The input is blank or too long.
    #[error("must not be blank, and have at most {} bytes", ScheduleInput::MAX)]
    Input,
}

/// The name of a schedule, for people. Several schedules may have the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, min_length = 1, max_length = 100, pattern = r"\S"))]
pub struct ScheduleName(String);

/// The message with which each run of a schedule begins. It is short, because the row of a schedule is written with each run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, min_length = 1, max_length = 16000, pattern = r"\S"))]
pub struct ScheduleInput(Prompt);

impl ScheduleName {
    /// Most characters of a name.
    pub const MAX: usize = 100;
}

impl ScheduleInput {
    /// Most bytes of a message.
    pub const MAX: usize = 16_000;

    /// Returns the message of a run.
    #[must_use]
    pub const fn prompt(&self) -> &Prompt {
        &self.0
    }
}

impl TryFrom<String> for ScheduleName {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        let is_short = text.chars().count() <= Self::MAX && !text.chars().any(char::is_control);
        if is_short && !text.trim().is_empty() { Ok(Self(text)) } else { Err(InvalidText::Name) }
    }
}

impl TryFrom<String> for ScheduleInput {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        let is_short = text.len() <= Self::MAX;
        let prompt = Prompt::try_from(text).ok().filter(|_| is_short);
        prompt.map(Self).ok_or(InvalidText::Input)
    }
}

impl From<ScheduleName> for String {
    fn from(name: ScheduleName) -> Self {
        name.0
    }
}

impl From<ScheduleInput> for String {
    fn from(input: ScheduleInput) -> Self {
        input.0.content().text().into_owned()
    }
}
