//! What can go wrong when somebody proves who they are.

use std::time::Duration;

use sequent_aws::secret;
use sequent_core::{ApiError, Code, ErrorDetails};
use sequent_tables::Cancelled;

use crate::{password, signing, token};

/// Why an operation on an identity failed. The first group is the caller's to fix.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The access token or API key is malformed, unknown, expired or revoked.
    #[error("the credential is not valid")]
    InvalidCredential,
    /// An account with this e-mail address exists.
    #[error("the e-mail address has an account")]
    EmailTaken,
    /// Unknown address or wrong password; which of the two is nobody's business.
    #[error("address and password do not match an account")]
    WrongCredentials,
    /// Too many wrong passwords in a row: try again later.
    #[error("sign-in is slowed down")]
    SlowDown(Duration),
    /// So many wrong passwords in a row that this one is no longer asked for.
    #[error("sign-in with a password is locked")]
    Locked,
    /// The refresh token is unknown, expired or revoked.
    #[error("the refresh token is not valid")]
    InvalidRefreshToken,
    /// The refresh token was replaced longer ago than a lost answer explains. Its session was ended.
    #[error("the refresh token was used before")]
    ReusedRefreshToken,
    /// There is no such session or key, or it belongs to somebody else.
    #[error("no such session or API key")]
    NotFound,
    /// A key may not do what its maker may not.
    #[error("the scopes exceed those of the caller")]
    ScopesExceeded,

    /// The table.
    #[error(transparent)]
    Data(#[from] sequent_tables::Error),
    /// A transaction.
    #[error(transparent)]
    Transaction(#[from] Cancelled),
    /// The secret.
    #[error(transparent)]
    Secret(#[from] secret::Error),
    /// The signing keys.
    #[error(transparent)]
    Signing(#[from] signing::Error),
    /// The password hash.
    #[error(transparent)]
    Password(#[from] password::Error),
    /// The random generator.
    #[error(transparent)]
    Random(#[from] token::NoRandomness),
    /// Others changed the same rows again and again.
    #[error("the rows were contended for too long")]
    Contended,
}

impl ApiError for Error {
    fn details(&self) -> ErrorDetails {
        match self {
            Self::InvalidCredential => {
                ErrorDetails::new(Code::InvalidCredential, "The credential is not valid.")
            }
            Self::EmailTaken => {
                ErrorDetails::new(Code::EmailTaken, "An account with this email address exists. Sign in.")
            }
            Self::WrongCredentials => {
                ErrorDetails::new(Code::WrongCredentials, "The email address or the password is wrong.")
            }
            Self::SlowDown(after) => ErrorDetails::new(
                Code::TooManyAttempts,
                "Too many wrong passwords in a row. Wait before the next attempt.",
            )
            .retry_after(*after),
            Self::Locked => ErrorDetails::new(
                Code::PasswordLocked,
                "Too many wrong passwords in a row. Signing in with a password is locked for this address.",
            ),
            Self::InvalidRefreshToken | Self::ReusedRefreshToken => {
                ErrorDetails::new(Code::InvalidRefreshToken, "The refresh token is not valid. Sign in again.")
            }
            Self::NotFound => ErrorDetails::new(Code::NotFound, "There is nothing with this id."),
            Self::ScopesExceeded => {
                ErrorDetails::new(Code::ScopesExceeded, "A key cannot have scopes that the caller lacks.")
            }
            Self::Data(error) => error.details(),
            Self::Transaction(error) => error.details(),
            Self::Secret(error) => error.details(),
            Self::Contended => ErrorDetails::unavailable(),
            Self::Signing(_) | Self::Password(_) | Self::Random(_) => ErrorDetails::internal(),
        }
    }
}
