//! The cookies in which browsers hold their tokens. Scripts cannot read them.
//!
//! The access cookie is sent to every path, because `EventSource` can send no other credential. The refresh cookie is
//! sent only to `/api/auth`, so that no other function receives it. Its prefix is `__Secure-`, because `__Host-`
//! requires the path `/` (RFC 6265bis, section 4.1.3). The device cookie outlives the session: it shows the next sign-in
//! that the account was signed in on this device before.

use http::{HeaderMap, HeaderName, header::SET_COOKIE};
use sequent_core::{ExposeSecret, SecretString, Timestamp};
use sequent_http::{ACCESS_COOKIE, PLAIN_ACCESS_COOKIE, axum::response::AppendHeaders, cookie};
use sequent_identity::{DeviceToken, SignedIn, token::RefreshToken};

const REFRESH_COOKIE: &str = "__Secure-sequent_refresh";
const PLAIN_REFRESH_COOKIE: &str = "sequent_refresh";
const DEVICE_COOKIE: &str = "__Secure-sequent_device";
const PLAIN_DEVICE_COOKIE: &str = "sequent_device";
/// The lifetime of the device cookie: 400 days, the longest that browsers allow (RFC 6265bis, section 5.5).
const DEVICE_MAX_AGE: u64 = 400 * 24 * 3600;

/// `Set-Cookie` headers.
pub(crate) type SetCookies = AppendHeaders<Vec<(HeaderName, String)>>;

/// The names and attributes of the cookies, which depend on the scheme of the public address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cookies {
    access: &'static str,
    refresh: &'static str,
    device: &'static str,
    secure: &'static str,
}

impl Cookies {
    pub(crate) fn new(plain_http: bool) -> Self {
        if plain_http {
            Self {
                access: PLAIN_ACCESS_COOKIE,
                refresh: PLAIN_REFRESH_COOKIE,
                device: PLAIN_DEVICE_COOKIE,
                secure: "",
            }
        } else {
            Self { access: ACCESS_COOKIE, refresh: REFRESH_COOKIE, device: DEVICE_COOKIE, secure: "; Secure" }
        }
    }

    /// Sets the cookies of a session, each for the lifetime of its token, and that of the device if it has a token.
    pub(crate) fn set(self, signed_in: &SignedIn, now: Timestamp) -> SetCookies {
        let access_token = signed_in.access_token.expose_secret();
        let session = signed_in.session.expires_at().since(now);
        let mut cookies = vec![
            self.access_cookie(access_token, signed_in.expires_in.as_secs()),
            self.refresh_cookie(signed_in.refresh_token.expose(), session.as_secs()),
        ];
        cookies.extend(
            signed_in.device.as_ref().map(|token| self.device_cookie(token.expose(), DEVICE_MAX_AGE)),
        );
        AppendHeaders(cookies)
    }

    /// Sets the cookie of a device whose owner has proved to have the account.
    pub(crate) fn set_device(self, token: &DeviceToken) -> SetCookies {
        AppendHeaders(vec![self.device_cookie(token.expose(), DEVICE_MAX_AGE)])
    }

    /// Returns headers that delete the cookies of a session.
    pub(crate) fn clear(self) -> SetCookies {
        AppendHeaders(vec![self.access_cookie("", 0), self.refresh_cookie("", 0)])
    }

    /// Deletes the cookie of an invalid refresh token, so that the browser stops sending it.
    pub(crate) fn clear_refresh(self) -> SetCookies {
        AppendHeaders(vec![self.refresh_cookie("", 0)])
    }

    /// The text of the device cookie, which is not verified.
    pub(crate) fn device_token(self, headers: &HeaderMap) -> Option<SecretString> {
        cookie(headers, self.device)
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
        self.auth_cookie(self.refresh, token, max_age)
    }

    fn device_cookie(self, token: &str, max_age: u64) -> (HeaderName, String) {
        self.auth_cookie(self.device, token, max_age)
    }

    /// A cookie that is sent only to the routes of this function.
    fn auth_cookie(self, name: &str, token: &str, max_age: u64) -> (HeaderName, String) {
        let Self { secure, .. } = self;
        let attributes = format!("Path=/api/auth; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure}");
        (SET_COOKIE, format!("{name}={token}; {attributes}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_fit_the_prefixes() {
        let values = |plain| Cookies::new(plain).clear().0.into_iter().map(|(_, value)| value);
        let [access, refresh] = values(false).collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(access, "__Host-sequent_access=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(
            refresh,
            "__Secure-sequent_refresh=; Path=/api/auth; Max-Age=0; HttpOnly; SameSite=Strict; Secure"
        );
        let [access, refresh] = values(true).collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(access, "sequent_access=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
        assert_eq!(refresh, "sequent_refresh=; Path=/api/auth; Max-Age=0; HttpOnly; SameSite=Strict");
    }
}
