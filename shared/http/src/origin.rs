//! The check that a request came through the CDN, and what the CDN says about it. Function URLs and the HTTP API can be
//! reached directly, too. The CDN adds a secret to its requests, which proves that they came through it. It also replaces
//! the headers below. They can be trusted in a request with the secret; in any other, a client may have invented them.

use std::net::IpAddr;

use http::HeaderMap;
use sequent_aws::OriginSecret;
use sequent_core::{Code, ExposeSecret as _};
use subtle::{Choice, ConstantTimeEq as _};

use crate::Problem;

/// The header with the secret.
pub(crate) const HEADER: &str = "x-origin-verify";
/// The host that the user opened. `Host` is that of the function, because Lambda and API Gateway route by it.
const OPENED_HOST: &str = "x-forwarded-host";
/// The network address of the user.
const VIEWER: &str = "x-viewer-ip";

/// Returns `true` if the secret is right, and `false` if no CDN is in front. While the secret is replaced, the new and the
/// previous value are right.
pub(crate) fn verify(secret: Option<&OriginSecret>, headers: &HeaderMap) -> Result<bool, Problem> {
    let Some(secret) = secret else { return Ok(false) };
    let sent = headers.get(HEADER).map(http::HeaderValue::as_bytes).unwrap_or_default();
    let values = secret.values().iter().map(|value| sent.ct_eq(value.expose_secret().as_bytes()));
    if values.fold(Choice::from(0), |known, value| known | value).into() {
        return Ok(true);
    }
    Err(Problem::new(Code::WrongOrigin, "Use the public address of the deployment."))
}

/// Returns the origin that the user opened, as the CDN reports it.
pub(crate) fn opened(headers: &HeaderMap) -> Option<String> {
    let host = headers.get(OPENED_HOST)?.to_str().ok()?;
    // The text becomes part of headers and links, and CloudFront serves no other port.
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    let valid = !host.is_empty() && host.bytes().all(named);
    valid.then(|| format!("https://{}", host.to_ascii_lowercase()))
}

/// Returns the network address of the user, as the CDN reports it.
pub(crate) fn viewer(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(VIEWER)?.to_str().ok()?;
    text.parse::<IpAddr>().is_ok().then_some(text)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))])
    }

    #[test]
    fn only_a_host_is_an_origin() {
        let of = |host| opened(&headers(OPENED_HOST, host));
        assert_eq!(of("D111.CloudFront.net").as_deref(), Some("https://d111.cloudfront.net"));
        for host in ["", "a b", "a.example/path", "user@a.example", "a.example,b.example", "a.example:443"] {
            assert_eq!(of(host), None, "{host}");
        }
        assert_eq!(opened(&HeaderMap::new()), None);
    }

    #[test]
    fn only_an_address_is_a_viewer() {
        for (text, valid) in
            [("203.0.113.7", true), ("2001:db8::1", true), ("203.0.113.7:443", false), ("me", false)]
        {
            assert_eq!(viewer(&headers(VIEWER, text)).is_some(), valid, "{text}");
        }
    }

    #[test]
    fn the_current_and_the_previous_secret_open_the_origin() {
        let secret: OriginSecret = ["new", "previous"].into_iter().collect();
        let verify = |sent: Option<&'static str>| {
            let headers = sent.map(|sent| headers(HEADER, sent)).unwrap_or_default();
            super::verify(Some(&secret), &headers).is_ok_and(|through_cdn| through_cdn)
        };
        assert!(verify(Some("new")) && verify(Some("previous")));
        for wrong in [None, Some(""), Some("newer"), Some("old"), Some("newprevious")] {
            assert!(!verify(wrong), "{wrong:?}");
        }
        assert!(matches!(super::verify(None, &HeaderMap::new()), Ok(false)));
    }
}
