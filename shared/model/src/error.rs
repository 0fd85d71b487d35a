//! How asking a model can fail, in terms a caller can act on.

use std::time::Duration;

/// A failed request to a model.
///
/// `Display` is for logs: it may hold a detail from the provider, with keys removed. What a client may see is [`Error::public_message`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The provider wants fewer requests.
    #[error("rate limited by the model provider")]
    RateLimited {
        /// How long it asked us to wait.
        retry_after: Option<Duration>,
    },
    /// The account's quota or credit is used up; waiting does not help.
    #[error("the quota at the model provider is exhausted")]
    QuotaExhausted,
    /// The provider has no capacity at the moment.
    #[error("the model provider is overloaded")]
    Overloaded {
        /// How long it asked us to wait.
        retry_after: Option<Duration>,
    },
    /// The provider could not be reached, or failed.
    #[error("the model provider is unavailable: {0}")]
    Unavailable(String),
    /// The provider was silent for too long.
    #[error("the model provider timed out ({0})")]
    Timeout(Phase),
    /// The provider did not accept our key.
    #[error("the model provider rejected the credentials")]
    Unauthorized,
    /// No key or address is configured for this provider.
    #[error("the model provider {0} is not configured")]
    NotConfigured(&'static str),
    /// Somebody pays for what the model does, and nobody knows what that costs.
    #[error("the model has no known price")]
    NotPriced,
    /// The provider does not know the model.
    #[error("unknown model")]
    UnknownModel,
    /// The request is wrong; the text says how, and is safe to show.
    #[error("bad model request: {0}")]
    BadRequest(String),
    /// The stream ended without a finish reason: the answer is incomplete.
    #[error("the model's answer was cut off")]
    Truncated,
    /// What came is not the protocol.
    #[error("the model provider sent something unreadable: {0}")]
    Garbage(String),
    /// The provider refused the request for its content.
    #[error("the model provider refused the content")]
    ContentFiltered,
}

/// Where time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Opening the connection.
    Connect,
    /// Waiting for the first chunk.
    FirstToken,
    /// Waiting for the next chunk.
    Idle,
    /// The whole answer, or the caller's own deadline.
    Total,
}

impl Phase {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::FirstToken => "first_token",
            Self::Idle => "idle",
            Self::Total => "total",
        }
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Error {
    /// The stable code, for events, problems and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::RateLimited { .. } => "model_rate_limited",
            Self::QuotaExhausted => "model_quota_exhausted",
            Self::Overloaded { .. } => "model_overloaded",
            Self::Unavailable(_) => "model_unavailable",
            Self::Timeout(_) => "model_timeout",
            Self::Unauthorized => "model_unauthorized",
            Self::NotConfigured(_) => "model_not_configured",
            Self::NotPriced => "model_not_priced",
            Self::UnknownModel => "model_unknown",
            Self::BadRequest(_) => "model_bad_request",
            Self::Truncated => "model_truncated",
            Self::Garbage(_) => "model_garbage",
            Self::ContentFiltered => "model_content_filtered",
        }
    }

    /// Whether the same request may succeed later. The client itself retries such failures, but only before the first chunk.
    pub fn retryable(&self) -> bool {
        match self {
            Self::RateLimited { .. }
            | Self::Overloaded { .. }
            | Self::Unavailable(_)
            | Self::Timeout(_)
            | Self::Truncated => true,
            Self::QuotaExhausted
            | Self::Unauthorized
            | Self::NotConfigured(_)
            | Self::NotPriced
            | Self::UnknownModel
            | Self::BadRequest(_)
            | Self::Garbage(_)
            | Self::ContentFiltered => false,
        }
    }

    /// How long the provider asked us to wait, if it did.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } | Self::Overloaded { retry_after } => *retry_after,
            _ => None,
        }
    }

    /// What a client may be told.
    pub fn public_message(&self) -> String {
        match self {
            Self::RateLimited { .. } => {
                "The model is receiving too many requests. Please try again shortly.".into()
            }
            Self::QuotaExhausted => "The account at the model provider has no quota left.".into(),
            Self::Overloaded { .. } => "The model is overloaded. Please try again shortly.".into(),
            Self::Unavailable(_) => "The model is unavailable at the moment. Please try again.".into(),
            Self::Timeout(_) => "The model took too long to answer. Please try again.".into(),
            Self::Unauthorized => "The model provider rejected this deployment's credentials.".into(),
            Self::NotConfigured(provider) => {
                format!("This deployment has no credentials for the model provider {provider}.")
            }
            Self::NotPriced => "This deployment has no price for the model, so it cannot be paid for.".into(),
            Self::UnknownModel => "The model provider does not know this model.".into(),
            Self::BadRequest(message) => {
                format!("The model provider did not accept the request: {message}")
            }
            Self::Truncated => "The model's answer was cut off before its end.".into(),
            Self::Garbage(_) => "The model provider sent an unreadable answer.".into(),
            Self::ContentFiltered => "The model provider refused this content.".into(),
        }
    }
}
