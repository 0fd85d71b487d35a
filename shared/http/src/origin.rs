//! The check that a request came through the CDN. Function URLs and the HTTP API can be reached directly, too. The CDN
//! adds a secret to its requests, by which they are recognised.

use http::HeaderMap;
use sequent_core::{Code, ExposeSecret as _};
use sequent_identity::HttpKeys;
use subtle::ConstantTimeEq as _;

use crate::Problem;

/// The header with the secret.
pub(crate) const HEADER: &str = "x-origin-verify";

/// Returns `true` if the secret is right, and `false` if none is configured.
pub(crate) fn verify(keys: Option<&HttpKeys>, headers: &HeaderMap) -> Result<bool, Problem> {
    let Some(secret) = keys.and_then(HttpKeys::origin) else { return Ok(false) };
    let sent = headers.get(HEADER).map(http::HeaderValue::as_bytes).unwrap_or_default();
    if bool::from(sent.ct_eq(secret.expose_secret().as_bytes())) {
        return Ok(true);
    }
    Err(Problem::new(Code::WrongOrigin, "Use the public address of the deployment."))
}
