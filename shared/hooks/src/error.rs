//! The errors of hooks.

use sequent_aws::secret;
use sequent_conversation::Prompt;
use sequent_core::{ApiError, Code, ErrorDetails, MissingScope};
use sequent_identity::{secret::SealError, token::NoRandomness};
use sequent_tables::{Cancelled, Error as DataError};
use sequent_webhooks::signature::{SecretError, Unverified};

use crate::MAX_HOOKS;

/// An operation on hooks failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tenant has no such hook.
    #[error("no such hook")]
    NotFound,
    /// No hook that starts runs has the token.
    #[error("no hook has the token")]
    UnknownToken,
    /// The tenant has as many hooks as it may have.
    #[error("the tenant has {MAX_HOOKS} hooks")]
    TooMany,
    /// Signatures are demanded without a secret.
    #[error("there is no secret to sign requests with")]
    SecretMissing,
    /// There is a secret, but requests need no signature.
    #[error("a secret without signatures")]
    SecretUnused,
    /// The text is not a signing secret.
    #[error("not a signing secret")]
    Secret,
    /// The signature of a request is missing, wrong or too old.
    #[error(transparent)]
    Unverified(#[from] Unverified),
    /// The body is neither JSON nor a form nor a text.
    #[error("the type of the body is not supported")]
    MediaType,
    /// The body is not the JSON that its type promises.
    #[error("the body is not JSON")]
    Json,
    /// The body is a text in another encoding than UTF-8.
    #[error("the body is not UTF-8")]
    Utf8,
    /// The task and the body are too long for one message.
    #[error("the task and the body are too long for a message")]
    TooLong,
    /// Other requests changed the hook again and again.
    #[error("another request changed the hook")]
    Contended,
    /// The caller may not have the hook's runs end others.
    #[error(transparent)]
    Scope(#[from] MissingScope),
    /// The run could not be started.
    #[error(transparent)]
    Run(#[from] sequent_conversation::Error),
    /// The user could not be read.
    #[error(transparent)]
    User(#[from] sequent_identity::Error),
    /// The sealing key of the deployment could not be read.
    #[error(transparent)]
    Sealing(#[from] secret::Error),
    /// The secret could not be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A stored secret is malformed, or a new one could not be made.
    #[error(transparent)]
    SigningSecret(#[from] SecretError),
    /// A token could not be made.
    #[error(transparent)]
    Token(#[from] NoRandomness),
    /// A read or write of the table failed.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A transaction was refused for a reason that no caller can change.
    #[error(transparent)]
    Commit(#[from] Cancelled),
}

impl ApiError for Error {
    fn details(&self) -> ErrorDetails {
        match self {
            Self::NotFound => ErrorDetails::new(Code::NotFound, "There is no hook with this id."),
            Self::UnknownToken => ErrorDetails::new(Code::NotFound, "There is no hook at this address."),
            Self::TooMany => {
                let detail = format!("A tenant can have at most {MAX_HOOKS} hooks. Delete one first.");
                ErrorDetails::new(Code::WebhooksLimit, detail).with("max_hooks", MAX_HOOKS)
            }
            Self::SecretMissing => invalid("must be given when a hook begins to demand signatures"),
            Self::SecretUnused => invalid("must be absent if `signed` is false"),
            Self::Secret => invalid("must be `whsec_` and base 64 of 24 to 64 bytes"),
            Self::Unverified(why) => {
                let detail = format!("The request is not signed as this hook demands: {why}.");
                ErrorDetails::new(Code::InvalidHookSignature, detail)
            }
            Self::MediaType => {
                let detail = "The body must be JSON, a form (application/x-www-form-urlencoded) or text.";
                ErrorDetails::new(Code::UnsupportedMediaType, detail)
            }
            Self::Json => {
                ErrorDetails::new(Code::InvalidJson, "The body is not JSON, which its content type promises.")
            }
            Self::Utf8 => ErrorDetails::new(Code::BadRequest, "The body is a text, but not UTF-8."),
            Self::TooLong => {
                let max = Prompt::MAX_BYTES;
                let detail = format!(
                    "The task of the hook and the body as JSON must have at most {max} bytes together."
                );
                ErrorDetails::new(Code::BodyTooLarge, detail).with("max_bytes", max)
            }
            Self::Contended => {
                ErrorDetails::new(Code::Conflict, "Another request changed the hook. Try again.")
            }
            Self::Scope(error) => error.details(),
            Self::Run(error) => error.details(),
            Self::User(error) => error.details(),
            Self::Sealing(error) => error.details(),
            Self::Seal(_) | Self::SigningSecret(_) | Self::Token(_) => ErrorDetails::internal(),
            Self::Data(error) => error.details(),
            Self::Commit(error) => error.details(),
        }
    }
}

fn invalid(rule: &'static str) -> ErrorDetails {
    ErrorDetails::new(Code::ValidationFailed, "The hook is not allowed.").at("/secret", rule)
}
