//! How a call can fail, in terms of what the agent may do about it.

/// A failed call. Every text is written for the model: it says what to do differently, and holds no secret and nothing
/// about this deployment's network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing happened, and the same call will fail again. The model reads why.
    #[error("{0}")]
    Refused(String),
    /// Nothing happened, or it may happen again without harm: the same call is worth another try.
    #[error("{0}")]
    Unavailable(String),
    /// It may have happened, and must not happen twice: a person has to say.
    #[error("{0}")]
    Unknown(String),
}

impl Error {
    /// The stable code, for events and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused(_) => "tool_refused",
            Self::Unavailable(_) => "tool_unavailable",
            Self::Unknown(_) => "tool_outcome_unknown",
        }
    }

    /// The text.
    #[must_use]
    pub fn message(&self) -> &str {
        let (Self::Refused(message) | Self::Unavailable(message) | Self::Unknown(message)) = self;
        message
    }

    pub(crate) fn map_message(self, change: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Refused(message) => Self::Refused(change(message)),
            Self::Unavailable(message) => Self::Unavailable(change(message)),
            Self::Unknown(message) => Self::Unknown(change(message)),
        }
    }
}
