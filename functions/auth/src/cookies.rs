//! The cookies in which browsers hold their tokens. Scripts cannot read them.
//!
//! The access cookie is sent to every path, because `EventSource` can send no other credential. The refresh cookie is
//! sent only to `/api/auth`, so that no other function receives it. Its prefix is `__Secure-`, because `__Host-`
//! requires the path `/` (RFC 6265bis, section 4.1.3).

use http::{HeaderMap, HeaderName, header::SET_COOKIE};
use sequent_core::{ExposeSecret, Timestamp};
use sequent_http::{ACCESS_COOKIE, PLAIN_ACCESS_COOKIE, axum::response::AppendHeaders, cookie};
use sequent_identity::{SignedIn, token::RefreshToken};

const REFRESH_COOKIE: &str = "__Secure-sequent_refresh";
const PLAIN_REFRESH_COOKIE: &str = "sequent_refresh";

/// The `Set-Cookie` headers of the access and the refresh token.
pub(crate) type SetCookies = AppendHeaders<[(HeaderName, String); 2]>;

/// The names and attributes of the cookies, which depend on the scheme of the public address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cookies {
    access: &'static str,
    refresh: &'static str,
    secure: &'static str,
}

impl Cookies {
    pub(crate) fn new(plain_http: bool) -> Self {
        if plain_http {
            Self { access: PLAIN_ACCESS_COOKIE, refresh: PLAIN_REFRESH_COOKIE, secure: "" }
        } else {
            Self { access: ACCESS_COOKIE, refresh: REFRESH_COOKIE, secure: "; Secure" }
        }
    }

    /// Sets both cookies, each for the lifetime of its token.
    pub(crate) fn set(self, signed_in: &SignedIn, now: Timestamp) -> SetCookies {
        let access_token = signed_in.access_token.expose_secret();
        let session = signed_in.session.expires_at().since(now);
        AppendHeaders([
            self.access_cookie(access_token, signed_in.expires_in.as_secs()),
            self.refresh_cookie(signed_in.refresh_token.expose(), session.as_secs()),
        ])
    }

    /// Returns headers that delete both cookies.
    pub(crate) fn clear(self) -> SetCookies {
        AppendHeaders([self.access_cookie("", 0), self.refresh_cookie("", 0)])
    }

    /// Deletes the cookie of an invalid refresh token, so that the browser stops sending it.
    pub(crate) fn clear_refresh(self) -> AppendHeaders<[(HeaderName, String); 1]> {
        AppendHeaders([self.refresh_cookie("", 0)])
    }

    /// The refresh token in the cookie. Returns `Some(None)` if the cookie is malformed.
    pub(crate) fn refresh_token(self, headers: &HeaderMap) -> Option<Option<RefreshToken>> {
        cookie(headers, self.refresh).map(|text| RefreshToken::parse(text.expose_secret()))
    }

    fn access_cookie(self, token: &str, max_age: u64) -> (HeaderName, String) {
        let Self { access, secure, .. } = self;
        let attributes = format!("Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}");
        (SET_COOKIE, format!("{access}={token}; {attributes}"))
    }

    fn refresh_cookie(self, token: &str, max_age: u64) -> (HeaderName, String) {
        let Self { refresh, secure, .. } = self;
        let attributes = format!("Path=/api/auth; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure}");
        (SET_COOKIE, format!("{refresh}={token}; {attributes}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_fit_the_prefixes() {
        let AppendHeaders([(_, access), (_, refresh)]) = Cookies::new(false).clear();
        assert_eq!(access, "__Host-sequent_access=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(
            refresh,
            "__Secure-sequent_refresh=; Path=/api/auth; Max-Age=0; HttpOnly; SameSite=Strict; Secure"
        );
        let AppendHeaders([(_, access), (_, refresh)]) = Cookies::new(true).clear();
        assert_eq!(access, "sequent_access=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
        assert_eq!(refresh, "sequent_refresh=; Path=/api/auth; Max-Age=0; HttpOnly; SameSite=Strict");
    }
}
