//! The errors of operations on accounts and credentials.

use std::time::Duration;

use sequent_aws::secret;
use sequent_core::{ApiError, Code, ErrorDetails};
use sequent_tables::Cancelled;

use crate::{password, signing, token};

/// An operation on an account or a credential failed. The caller can fix the errors of the first group.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The access token or API key is malformed, unknown, expired or revoked.
    #[error("the credential is not valid")]
    InvalidCredential,
    /// An account with this email address exists.
    #[error("an account with the email address exists")]
    EmailTaken,
    /// The deployment accepts no registrations.
    #[error("registration is closed")]
    RegistrationClosed,
    /// The deployment accepts registrations by invitation only, and the request has none.
    #[error("registration requires an invitation")]
    InvitationRequired,
    /// The invitation cannot be used. The response does not reveal the reason.
    #[error("the invitation is not valid")]
    InvitationInvalid,
    /// The address is unknown or the password is wrong. The response does not reveal which.
    #[error("the address or the password is wrong")]
    WrongCredentials,
    /// Too many wrong passwords. Try again after this time.
    #[error("the client must wait before the next password is checked")]
    SlowDown(Duration),
    /// An administrator has suspended the account. Only the right password is answered with this.
    #[error("the account is suspended")]
    Suspended,
    /// The password was presented too long ago for this operation.
    #[error("the session must present its password again")]
    ReauthenticationRequired,
    /// The operation needs a session, and the credential is an API key.
    #[error("the credential has no session")]
    NoSession,
    /// The refresh token is unknown, expired or revoked.
    #[error("the refresh token is not valid")]
    InvalidRefreshToken,
    /// The refresh token was replaced earlier. Its use ended the session.
    #[error("the refresh token was used before")]
    ReusedRefreshToken,
    /// The token of a mail is unknown, was used, or has expired.
    #[error("the token of the mail is not valid")]
    InvalidMailToken,
    /// The caller has no such session or key.
    #[error("the session or API key does not exist")]
    NotFound,
    /// A new key was to have scopes that the caller lacks.
    #[error("the caller lacks a scope of the new key")]
    ScopesExceeded,

    /// A table operation failed.
    #[error(transparent)]
    Table(#[from] sequent_tables::Error),
    /// A transaction did not succeed.
    #[error(transparent)]
    Transaction(#[from] Cancelled),
    /// The secret could not be read.
    #[error(transparent)]
    Secret(#[from] secret::Error),
    /// No key could sign.
    #[error(transparent)]
    Signing(#[from] signing::Error),
    /// A password could not be hashed.
    #[error(transparent)]
    Password(#[from] password::Error),
    /// The random generator failed.
    #[error(transparent)]
    Random(#[from] token::NoRandomness),
    /// Other requests changed the session each time that it was read.
    #[error("the session was contended for too long")]
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
            Self::RegistrationClosed => {
                ErrorDetails::new(Code::RegistrationClosed, "This deployment accepts no registrations.")
            }
            Self::InvitationRequired => ErrorDetails::new(
                Code::InvitationRequired,
                "Registration requires an invitation. Send its code as `invitation`.",
            ),
            Self::InvitationInvalid => ErrorDetails::new(
                Code::InvitationInvalid,
                "The invitation is unknown, used, revoked or expired, or belongs to another email address.",
            ),
            Self::WrongCredentials => {
                ErrorDetails::new(Code::WrongCredentials, "The email address or the password is wrong.")
            }
            Self::SlowDown(after) => ErrorDetails::new(
                Code::TooManyAttempts,
                "Too many wrong passwords were sent for this address. Wait before the next attempt.",
            )
            .retry_after(*after),
            Self::Suspended => {
                ErrorDetails::new(Code::AccountSuspended, "The operator has suspended this account.")
            }
            Self::ReauthenticationRequired => ErrorDetails::new(
                Code::ReauthenticationRequired,
                "Present the password again with `POST /api/auth/reauthenticate`, then repeat the request.",
            ),
            Self::NoSession => ErrorDetails::new(
                Code::NoSession,
                "An API key cannot do this. Sign in with the password of the account.",
            ),
            Self::InvalidRefreshToken | Self::ReusedRefreshToken => {
                ErrorDetails::new(Code::InvalidRefreshToken, "The refresh token is not valid. Sign in again.")
            }
            Self::InvalidMailToken => ErrorDetails::new(
                Code::InvalidMailToken,
                "The link was used before or has expired. Request another mail.",
            ),
            Self::NotFound => ErrorDetails::new(Code::NotFound, "There is nothing with this id."),
            Self::ScopesExceeded => {
                ErrorDetails::new(Code::ScopesExceeded, "A key cannot have scopes that the caller lacks.")
            }
            Self::Table(error) => error.details(),
            Self::Transaction(error) => error.details(),
            Self::Secret(error) => error.details(),
            Self::Contended => ErrorDetails::unavailable(),
            Self::Signing(_) | Self::Password(_) | Self::Random(_) => ErrorDetails::internal(),
        }
    }
}
