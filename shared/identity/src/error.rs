//! What can go wrong when somebody proves who they are.

use std::time::Duration;

use sequent_aws::secret;
use sequent_http::Problem;
use sequent_tables::Cancelled;

use crate::{password, signing, token};

/// Why an operation on an identity failed. The first group is the caller's to fix.
#[derive(Debug, thiserror::Error)]
pub enum Error {
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

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::EmailTaken => Self::conflict("email_taken", "An account with this e-mail address exists."),
            Error::WrongCredentials => Self::new(
                http::StatusCode::UNAUTHORIZED,
                "wrong_credentials",
                "E-mail address or password is wrong.",
            ),
            Error::SlowDown(after) => Self::new(
                http::StatusCode::TOO_MANY_REQUESTS,
                "too_many_attempts",
                "Too many wrong passwords in a row. Wait before the next attempt.",
            )
            .retry_after(after),
            Error::Locked => Self::forbidden(
                "password_locked",
                "Too many wrong passwords in a row. Signing in with a password is locked for this address.",
            ),
            Error::InvalidRefreshToken | Error::ReusedRefreshToken => Self::new(
                http::StatusCode::UNAUTHORIZED,
                "invalid_refresh_token",
                "The refresh token is not valid. Sign in again.",
            ),
            Error::NotFound => Self::not_found("There is nothing with this id."),
            Error::ScopesExceeded => {
                Self::forbidden("scopes_exceeded", "A key cannot have scopes that the caller does not have.")
            }
            Error::Data(error) => error.into(),
            Error::Transaction(error) => error.into(),
            Error::Secret(error) => error.into(),
            Error::Contended => Self::unavailable(error),
            error @ (Error::Signing(_) | Error::Password(_) | Error::Random(_)) => Self::internal(error),
        }
    }
}
