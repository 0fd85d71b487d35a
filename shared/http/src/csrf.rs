//! Protection against cross-site request forgery, for writes that are authenticated with a cookie.
//!
//! There are two checks. The browser must not attribute the request to another site (`Sec-Fetch-Site`, `Origin`), and
//! the request must have `X-CSRF-Token`: an HMAC of the session id, which only a page that can read responses of this
//! API knows. The token is valid as long as the session and is not stored. Browsers never send bearer tokens and API
//! keys on their own, so these need neither check.

use axum::extract::FromRequestParts;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{Method, header, request::Parts};
use sequent_core::{Code, Principal, SessionId, Via};
use sequent_identity::HttpKeys;
use sha2::Sha256;

#[cfg(doc)]
use crate::Caller;
use crate::{Config, Problem, RequestContext, pipeline::Shared};

/// The header with the token.
pub const HEADER: &str = "x-csrf-token";

/// A stricter check of callers with a cookie. A route sets it with an `axum::Extension` layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// For a `GET` that has an effect, because `EventSource` can send nothing else: the browser must attribute the
    /// request to a trusted page. There is no token, so a browser without such headers is refused.
    TrustedPage,
}

/// Computes the token of a session.
#[must_use]
pub fn token(keys: &HttpKeys, session: SessionId) -> String {
    URL_SAFE_NO_PAD.encode(mac(keys, session).finalize().into_bytes())
}

fn mac(keys: &HttpKeys, session: SessionId) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(keys.csrf()).expect("HMAC takes keys of any length");
    mac.update(b"sequent csrf v1\0");
    mac.update(&session.bits().to_be_bytes());
    mac
}

/// Returns `true` if the token is that of the session. The comparison takes constant time.
#[must_use]
pub fn verify(keys: &HttpKeys, session: SessionId, token: &str) -> bool {
    URL_SAFE_NO_PAD.decode(token).is_ok_and(|bytes| mac(keys, session).verify_slice(&bytes).is_ok())
}

/// Refuses requests that a browser attributes to another site. It is the extractor `_: csrf::SameSite` of routes that
/// read a cookie without a [`Caller`], such as the refresh of tokens.
#[derive(Debug, Clone, Copy)]
pub struct SameSite;

impl<S: Sync> FromRequestParts<S> for SameSite {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let shared = Shared::of(parts)?;
        match page(&shared.config, parts) {
            Page::Foreign => Err(Problem::new(Code::CrossSite, "The request comes from another site.")),
            Page::Trusted | Page::Unknown => Ok(Self),
        }
    }
}

/// Checks the request of a verified caller.
pub(crate) async fn check(shared: &Shared, parts: &Parts, caller: &Principal) -> Result<(), Problem> {
    if caller.via != Via::Cookie {
        return Ok(());
    }
    let trusted_page = parts.extensions.get::<Protection>().is_some();
    let safe = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    if safe && !trusted_page {
        return Ok(());
    }
    match page(&shared.config, parts) {
        Page::Foreign => return Err(Problem::new(Code::CrossSite, "The request comes from another site.")),
        Page::Unknown if safe => {
            return Err(Problem::new(
                Code::CrossSite,
                "The browser does not name the page that sent the request. Use POST.",
            ));
        }
        Page::Trusted if safe => return Ok(()),
        Page::Trusted | Page::Unknown => {}
    }
    let sent = parts.headers.get(HEADER).and_then(|value| value.to_str().ok());
    let (Some(sent), Some(session)) = (sent, caller.session) else {
        return Err(Problem::new(
            Code::CsrfTokenMissing,
            "Writes with a cookie need the header X-CSRF-Token.",
        ));
    };
    let vault = shared.vault.as_ref().ok_or_else(|| Problem::internal("the pipeline has no CSRF key"))?;
    if verify(vault.get().await?.http(), session, sent) {
        Ok(())
    } else {
        Err(Problem::new(Code::CsrfTokenInvalid, "X-CSRF-Token is not the token of this session."))
    }
}

/// The page that a browser attributes a request to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page {
    Trusted,
    Foreign,
    /// The client is no browser, or an old one.
    Unknown,
}

/// A trusted `Origin` passes, even from another site. A foreign or opaque one (`null`) never passes. Without one,
/// `Sec-Fetch-Site` decides (Fetch Metadata): `none` means that the user typed the address.
fn page(config: &Config, parts: &Parts) -> Page {
    if let Some(origin) = parts.headers.get(header::ORIGIN) {
        let public = parts.extensions.get::<RequestContext>().and_then(RequestContext::public_origin);
        let trusted = origin.to_str().is_ok_and(|origin| config.trusts_origin(origin, public));
        return if trusted { Page::Trusted } else { Page::Foreign };
    }
    match parts.headers.get("sec-fetch-site").map(|value| value.as_bytes()) {
        None => Page::Unknown,
        Some(b"same-origin" | b"none") => Page::Trusted,
        Some(_) => Page::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn keys(byte: u8) -> HttpKeys {
        let key = base64::engine::general_purpose::STANDARD.encode([byte; 32]);
        HttpKeys::new(&key.into()).unwrap()
    }

    proptest! {
        #[test]
        fn a_token_belongs_to_one_session_and_one_key(a: u128, b: u128) {
            let first = SessionId::from_bits(a);
            let second = SessionId::from_bits(b);
            let token = token(&keys(1), first);
            prop_assert!(verify(&keys(1), first, &token));
            prop_assert!(!verify(&keys(2), first, &token));
            prop_assert!(a == b || !verify(&keys(1), second, &token));
        }

        #[test]
        fn arbitrary_text_is_no_token(text in ".{0,100}") {
            prop_assert!(!verify(&keys(1), SessionId::from_bits(1), &text));
        }
    }

    #[test]
    fn the_headers_decide_which_page_a_request_comes_from() {
        let config = Config::for_tests();
        let cases = [
            (None, None, Page::Unknown),
            (None, Some("same-origin"), Page::Trusted),
            (None, Some("none"), Page::Trusted),
            (None, Some("same-site"), Page::Foreign),
            (None, Some("cross-site"), Page::Foreign),
            (Some("http://localhost:8080"), Some("cross-site"), Page::Trusted),
            (Some("https://evil.example"), Some("same-origin"), Page::Foreign),
            (Some("null"), None, Page::Foreign),
        ];
        for (origin, site, expected) in cases {
            let mut parts = http::Request::new(()).into_parts().0;
            origin.map(|text| parts.headers.insert(header::ORIGIN, HeaderValue::from_static(text)));
            site.map(|text| parts.headers.insert("sec-fetch-site", HeaderValue::from_static(text)));
            let public_url = config.public_origin.as_deref();
            parts.extensions.insert(RequestContext::of(&parts.headers, &parts.extensions, false, public_url));
            assert_eq!(page(&config, &parts), expected, "{origin:?} {site:?}");
        }
    }
}
