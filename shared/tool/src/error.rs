//! The error of a call, classified by what the agent may do next.

/// A failed call. Every text is written for the model: it explains what to do differently, and contains no
/// secret and nothing about this deployment's network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing happened, and the same call would fail again. The model reads the text.
    #[error("{0}")]
    Refused(String),
    /// Nothing happened, or it may safely happen again: the same call can be retried.
    #[error("{0}")]
    Unavailable(String),
    /// The call may have had its effect, and must not have it twice: a person has to decide.
    #[error("{0}")]
    Unknown(String),
}

impl Error {
    /// The stable code for events and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused(_) => "tool_refused",
            Self::Unavailable(_) => "tool_unavailable",
            Self::Unknown(_) => "tool_outcome_unknown",
        }
    }

    /// The text for the model.
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
