//! Credentials before they are verified.

use sequent_core::{SecretString, Via};

/// A credential that has not been verified.
#[derive(Debug, Clone)]
pub enum Credential {
    /// An access token.
    AccessToken {
        /// The JWT.
        token: SecretString,
        /// [`Via::Cookie`] or [`Via::Bearer`].
        via: Via,
    },
    /// An API key, `sk_...`.
    ApiKey(SecretString),
}
