//! The cookies browsers hold their tokens in, out of reach of scripts.
//!
//! The access cookie goes to every path, because `EventSource` can send nothing else. The refresh cookie goes only to
//! `/api/auth`, so that no other function ever receives it; the `__Host-` prefix demands the path `/`, hence its
//! `__Secure-` (RFC 6265bis section 4.1.3).

use http::{HeaderMap, HeaderName, header::SET_COOKIE};
use sequent_core::{ExposeSecret, Timestamp};
use sequent_http::{ACCESS_COOKIE, PLAIN_ACCESS_COOKIE, axum::response::AppendHeaders, cookie};
use sequent_identity::{SignedIn, token::RefreshToken};

const REFRESH_COOKIE: &str = "__Secure-sequent_refresh";
const PLAIN_REFRESH_COOKIE: &str = "sequent_refresh";

/// Two `Set-Cookie` headers.
pub(crate) type SetCookies = AppendHeaders<[(HeaderName, String); 2]>;

/// Names and attributes for one way users come in.
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

    /// Hands both tokens to the browser, each for as long as it is good.
    pub(crate) fn set(self, signed_in: &SignedIn, now: Timestamp) -> SetCookies {
        let session = signed_in.session.expires_at().since(now);
        self.headers(
            (signed_in.access_token.expose_secret(), signed_in.expires_in.as_secs()),
            (signed_in.refresh_token.expose(), session.as_secs()),
        )
    }

    /// Takes both tokens back.
    pub(crate) fn clear(self) -> SetCookies {
        self.headers(("", 0), ("", 0))
    }

    /// Takes back a refresh token that is good for nothing, so that the browser stops sending it.
    pub(crate) fn clear_refresh(self) -> AppendHeaders<[(HeaderName, String); 1]> {
        let AppendHeaders([_, refresh]) = self.clear();
        AppendHeaders([refresh])
    }

    /// The refresh token a browser sends, if it has the form of one; `Some(None)` when there is a cookie without.
    pub(crate) fn refresh_token(self, headers: &HeaderMap) -> Option<Option<RefreshToken>> {
        cookie(headers, self.refresh).map(|text| RefreshToken::parse(text.expose_secret()))
    }

    fn headers(self, access: (&str, u64), refresh: (&str, u64)) -> SetCookies {
        let Self { access: access_name, refresh: refresh_name, secure } = self;
        AppendHeaders([
            (
                SET_COOKIE,
                format!(
                    "{access_name}={}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{secure}",
                    access.0, access.1
                ),
            ),
            (
                SET_COOKIE,
                format!(
                    "{refresh_name}={}; Path=/api/auth; Max-Age={}; HttpOnly; SameSite=Strict{secure}",
                    refresh.0, refresh.1
                ),
            ),
        ])
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
