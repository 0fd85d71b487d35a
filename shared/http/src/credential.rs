//! The credential of a request.

use http::{HeaderMap, HeaderValue, header};
use sequent_core::{ExposeSecret as _, SecretString, Via};
use sequent_identity::{Credential, token::ApiKeyToken};

use crate::Problem;

/// The access cookie over HTTPS. The prefix binds it to this host, so a sibling domain cannot set one.
pub const ACCESS_COOKIE: &str = "__Host-sequent_access";

/// The access cookie of development over plain HTTP, where browsers refuse the prefix.
pub const PLAIN_ACCESS_COOKIE: &str = "sequent_access";

/// The longest credential that is accepted, in bytes.
const MAX_LENGTH: usize = 4096;

/// Finds the first credential in the order `Authorization`, `x-api-key`, cookie. One that is present but unusable is an
/// error and never falls through to the next.
///
/// # Errors
/// 401 if the header is malformed.
pub(crate) fn find(headers: &HeaderMap, plain_http: bool) -> Result<Option<Credential>, Problem> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        return from_authorization(value).map(Some);
    }
    if let Some(value) = headers.get("x-api-key") {
        let text = value.to_str().map_err(|_| invalid())?;
        return match from_text(text.trim(), Via::ApiKey)? {
            key @ Credential::ApiKey(_) => Ok(Some(key)),
            Credential::AccessToken { .. } => Err(invalid()),
        };
    }
    let name = if plain_http { PLAIN_ACCESS_COOKIE } else { ACCESS_COOKIE };
    match cookie(headers, name).filter(|token| !token.expose_secret().is_empty()) {
        Some(token) if token.expose_secret().len() <= MAX_LENGTH => {
            Ok(Some(Credential::AccessToken { token, via: Via::Cookie }))
        }
        Some(_) => Err(invalid()),
        None => Ok(None),
    }
}

fn from_authorization(value: &HeaderValue) -> Result<Credential, Problem> {
    let text = value.to_str().map_err(|_| invalid())?;
    let (scheme, token) = text.split_once(' ').ok_or_else(invalid)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(invalid());
    }
    from_text(token.trim(), Via::Bearer)
}

fn from_text(text: &str, via: Via) -> Result<Credential, Problem> {
    if text.is_empty() || text.len() > MAX_LENGTH {
        return Err(invalid());
    }
    let secret = SecretString::from(text);
    if text.starts_with(ApiKeyToken::PREFIX) {
        Ok(Credential::ApiKey(secret))
    } else {
        Ok(Credential::AccessToken { token: secret, via })
    }
}

fn invalid() -> Problem {
    Problem::unauthenticated(true)
}

/// The value of a cookie.
#[must_use]
pub fn cookie(headers: &HeaderMap, name: &str) -> Option<SecretString> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| SecretString::from(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn find(headers: &[(&'static str, &str)], plain: bool) -> Result<Option<String>, u16> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let show = |credential: Credential| match credential {
            Credential::AccessToken { token, via } => format!("{via:?} {}", token.expose_secret()),
            Credential::ApiKey(key) => format!("key {}", key.expose_secret()),
        };
        super::find(&map, plain).map(|found| found.map(show)).map_err(|problem| problem.status().as_u16())
    }

    #[test]
    fn the_order_is_header_key_cookie() {
        let cookie = ("cookie", "a=b; __Host-sequent_access=jwt-c; sequent_access=plain-c");
        let bearer = ("authorization", "bearer jwt-b");
        let key = ("x-api-key", "sk_1");
        assert_eq!(find(&[cookie, key, bearer], false), Ok(Some("Bearer jwt-b".into())));
        assert_eq!(find(&[cookie, key], false), Ok(Some("key sk_1".into())));
        assert_eq!(find(&[cookie], false), Ok(Some("Cookie jwt-c".into())));
        assert_eq!(find(&[cookie], true), Ok(Some("Cookie plain-c".into())));
        assert_eq!(find(&[("authorization", "Bearer sk_2")], false), Ok(Some("key sk_2".into())));
        assert_eq!(find(&[], false), Ok(None));
    }

    #[test]
    fn an_unusable_credential_does_not_fall_through() {
        let cookie = ("cookie", "__Host-sequent_access=jwt-c");
        for header in ["Basic dTpw", "Bearer ", "Bearer", ""] {
            assert_eq!(find(&[("authorization", header), cookie], false), Err(401), "{header}");
        }
        assert_eq!(find(&[("x-api-key", "not-a-key"), cookie], false), Err(401));
        assert_eq!(find(&[("authorization", &format!("Bearer {}", "x".repeat(5000)))], false), Err(401));
    }

    #[test]
    fn a_plain_cookie_is_ignored_over_https() {
        assert_eq!(find(&[("cookie", "sequent_access=planted")], false), Ok(None));
    }

    proptest! {
        #[test]
        fn no_header_panics(name in prop::sample::select(vec!["authorization", "x-api-key", "cookie"]), value: Vec<u8>) {
            let mut map = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                map.insert(name, value);
            }
            let _ = super::find(&map, true);
        }
    }
}
