//! The answer that hands out tokens.

use http::header::{CACHE_CONTROL, HeaderName};
use sequent_core::ExposeSecret;
use sequent_identity::{SignedIn, account::User};
use serde::Serialize;
use utoipa::ToSchema;

/// Tokens are for one client: no cache may keep them (RFC 6749 section 5.1).
pub(crate) const NO_STORE: [(HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];

/// Tokens and whom they stand for.
#[derive(Serialize, ToSchema)]
pub(crate) struct Tokens {
    /// JWT for `Authorization: Bearer`.
    access_token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// Seconds until the access token ends.
    expires_in: u64,
    /// Buys the next access token, once. Absent where the refresh token came, and goes, in a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    user: User,
}

impl Tokens {
    pub(crate) fn new(signed_in: SignedIn) -> Self {
        Self {
            access_token: signed_in.access_token.expose_secret().to_owned(),
            token_type: "Bearer",
            expires_in: signed_in.expires_in.as_secs(),
            refresh_token: Some(signed_in.refresh_token.expose().to_owned()),
            user: signed_in.user,
        }
    }

    /// Without the refresh token: a script that could read it would undo what the `HttpOnly` cookie is for.
    pub(crate) fn without_refresh_token(self) -> Self {
        Self { refresh_token: None, ..self }
    }
}
