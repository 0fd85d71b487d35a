//! The response that contains the tokens of a session.

use http::{
    HeaderMap,
    header::{CACHE_CONTROL, HeaderName},
};
use sequent_core::ExposeSecret;
use sequent_identity::{SignedIn, account::User};
use serde::Serialize;
use utoipa::ToSchema;

use crate::account::has_cookies;

/// The tokens are for one client. No cache may store them (RFC 6749, section 5.1).
pub(crate) const NO_STORE: [(HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];

/// The tokens of a session, and its user.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuthTokens {
    /// JWT for `Authorization: Bearer`.
    access_token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// Seconds until the access token expires.
    expires_in: u64,
    /// Used once, for the next tokens. Absent if it is in a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    user: User,
}

impl AuthTokens {
    pub(crate) fn new(signed_in: SignedIn) -> Self {
        Self {
            access_token: signed_in.access_token.expose_secret().to_owned(),
            token_type: "Bearer",
            expires_in: signed_in.expires_in.as_secs(),
            refresh_token: Some(signed_in.refresh_token.expose().to_owned()),
            user: signed_in.user,
        }
    }

    /// Removes the refresh token if the request came from a page, which has it in a cookie.
    pub(crate) fn for_client(self, headers: &HeaderMap) -> Self {
        if has_cookies(headers) { self.without_refresh_token() } else { self }
    }

    /// Removes the refresh token. A script that could read it would defeat the `HttpOnly` cookie.
    pub(crate) fn without_refresh_token(self) -> Self {
        Self { refresh_token: None, ..self }
    }
}
