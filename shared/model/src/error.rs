//! The error of a request to a model, classified by what the caller can do.

use std::time::Duration;

/// A failed request to a model.
///
/// `Display` is for logs: it may contain a detail from the provider, with keys removed.
/// [`Error::public_message`] is for clients.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The provider limits the rate of requests.
    #[error("rate limited by the model provider")]
    RateLimited {
        /// The waiting time that the provider asked for.
        retry_after: Option<Duration>,
    },
    /// The account's quota or credit is used up. A retry does not help.
    #[error("the quota at the model provider is exhausted")]
    QuotaExhausted,
    /// The provider has no capacity now.
    #[error("the model provider is overloaded")]
    Overloaded {
        /// The waiting time that the provider asked for.
        retry_after: Option<Duration>,
    },
    /// The provider could not be reached, or had an internal error.
    #[error("the model provider is unavailable: {0}")]
    Unavailable(String),
    /// The provider did not answer in time.
    #[error("the model provider timed out ({0})")]
    Timeout(Phase),
    /// The provider rejected the key.
    #[error("the model provider rejected the credentials")]
    Unauthorized,
    /// No key or address is configured for this provider.
    #[error("the model provider {0} is not configured")]
    NotConfigured(&'static str),
    /// No provider is configured at all.
    #[error("no model provider is configured")]
    NoProvider,
    /// The deployment does not allow the model.
    #[error("the deployment does not allow the model")]
    NotAllowed,
    /// The run is metered, and the model has no known price.
    #[error("the model has no known price")]
    NotPriced,
    /// The provider does not know the model.
    #[error("unknown model")]
    UnknownModel,
    /// The request is not valid. The text states why, and is safe to show.
    #[error("bad model request: {0}")]
    BadRequest(String),
    /// The input does not fit the model's context window.
    #[error("the input is too long for the model")]
    ContextTooLong,
    /// The answer reached the limit of its length: the rest of it is missing.
    #[error("the answer reached the limit of its length")]
    LengthReached,
    /// The model declined to answer.
    #[error("the model declined to answer")]
    Refused,
    /// The stream ended without a finish reason: the answer is incomplete.
    #[error("the model's answer is incomplete")]
    Truncated,
    /// The provider's answer violates the protocol.
    #[error("the model provider sent an invalid answer: {0}")]
    InvalidAnswer(String),
    /// The provider refused the content of the request.
    #[error("the model provider refused the content")]
    ContentFiltered,
}

/// The phase in which a timeout occurred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Opening the connection to the provider.
    Connect,
    /// Waiting for the first chunk.
    FirstToken,
    /// Waiting for the next chunk.
    Idle,
    /// The complete answer, or the caller's own deadline.
    Total,
}

impl Phase {
    /// Returns the stable name.
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
    /// Returns the stable code for events, problems and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::RateLimited { .. } => "model_rate_limited",
            Self::QuotaExhausted => "model_quota_exhausted",
            Self::Overloaded { .. } => "model_overloaded",
            Self::Unavailable(_) => "model_unavailable",
            Self::Timeout(_) => "model_timeout",
            Self::Unauthorized => "model_unauthorized",
            Self::NotConfigured(_) | Self::NoProvider => "model_not_configured",
            Self::NotAllowed => "model_not_allowed",
            Self::NotPriced => "model_not_priced",
            Self::UnknownModel => "model_unknown",
            Self::BadRequest(_) => "model_bad_request",
            Self::ContextTooLong => "model_context_too_long",
            Self::LengthReached => "model_length",
            Self::Refused => "model_refused",
            Self::Truncated => "model_truncated",
            Self::InvalidAnswer(_) => "model_garbage",
            Self::ContentFiltered => "model_content_filtered",
        }
    }

    /// Returns `true` if the same request may succeed later. The client itself retries such errors, but only
    /// before the first chunk.
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
            | Self::NoProvider
            | Self::NotAllowed
            | Self::NotPriced
            | Self::UnknownModel
            | Self::BadRequest(_)
            | Self::ContextTooLong
            | Self::LengthReached
            | Self::Refused
            | Self::InvalidAnswer(_)
            | Self::ContentFiltered => false,
        }
    }

    /// Returns `true` if another model may answer the request. An error of the request itself, and one of what the caller may
    /// name, is the same for every model.
    pub fn another_may_answer(&self) -> bool {
        match self {
            Self::RateLimited { .. }
            | Self::QuotaExhausted
            | Self::Overloaded { .. }
            | Self::Unavailable(_)
            | Self::Timeout(_)
            | Self::Unauthorized
            | Self::NotConfigured(_)
            | Self::UnknownModel
            | Self::Truncated
            | Self::InvalidAnswer(_) => true,
            Self::NoProvider
            | Self::NotAllowed
            | Self::NotPriced
            | Self::BadRequest(_)
            | Self::ContextTooLong
            | Self::LengthReached
            | Self::Refused
            | Self::ContentFiltered => false,
        }
    }

    /// Returns the waiting time that the provider asked for.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } | Self::Overloaded { retry_after } => *retry_after,
            _ => None,
        }
    }

    /// Returns the message for clients.
    pub fn public_message(&self) -> String {
        match self {
            Self::RateLimited { .. } => {
                "The model provider limits the rate of requests. Try again in a minute.".into()
            }
            Self::QuotaExhausted => "The deployment's quota at the model provider is used up. Choose another model.".into(),
            Self::Overloaded { .. } => "The model is overloaded. Try again in a minute, or choose another model.".into(),
            Self::Unavailable(_) => "The model is unavailable. Try again in a minute, or choose another model.".into(),
            Self::Timeout(_) => "The model did not answer in time. Try again.".into(),
            Self::Unauthorized => "The model provider rejected the deployment's key. Its operator has to correct the key.".into(),
            Self::NotConfigured(provider) => {
                format!("The deployment has no key for the model provider {provider}. Choose another model.")
            }
            Self::NoProvider => {
                "No model provider is configured. The operator has to store a key: \
                 `scripts/secret STACK set models openai_api_key` (or `anthropic_api_key`)."
                    .into()
            }
            Self::NotAllowed => "The deployment does not allow this model. Choose another model.".into(),
            Self::NotPriced => "The deployment has no price for the model, so its use cannot be charged. Choose another model.".into(),
            Self::UnknownModel => "The model provider has no model with this name. Choose another model.".into(),
            Self::BadRequest(message) => {
                format!("The request to the model is not valid: {message}")
            }
            Self::ContextTooLong => "The conversation is too long for this model. Start a new conversation, or choose a model with a larger context window.".into(),
            Self::LengthReached => "The answer reached the limit of its length, and its rest is missing. Ask for the rest, or for a shorter answer.".into(),
            Self::Refused => "The model declined to answer.".into(),
            Self::Truncated => "The connection to the model was lost before the answer was complete. Try again.".into(),
            Self::InvalidAnswer(_) => "The model provider sent an invalid answer. Try again, or choose another model.".into(),
            Self::ContentFiltered => "The model provider withheld the answer because of its content.".into(),
        }
    }
}
