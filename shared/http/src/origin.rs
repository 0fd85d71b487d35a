//! Whether a request came through the CDN. Function URLs and the HTTP API are reachable directly too; the secret that
//! the CDN adds to its origin requests is what tells the two ways apart.

use http::HeaderMap;
use sequent_core::{Code, ExposeSecret as _};
use sequent_identity::HttpKeys;
use subtle::ConstantTimeEq as _;

use crate::Problem;

/// The header that carries the secret.
pub(crate) const HEADER: &str = "x-origin-verify";

/// `true` when the secret was asked for and is right, `false` when none is configured.
pub(crate) fn verify(keys: Option<&HttpKeys>, headers: &HeaderMap) -> Result<bool, Problem> {
    let Some(secret) = keys.and_then(HttpKeys::origin) else { return Ok(false) };
    let sent = headers.get(HEADER).map(http::HeaderValue::as_bytes).unwrap_or_default();
    if bool::from(sent.ct_eq(secret.expose_secret().as_bytes())) {
        return Ok(true);
    }
    Err(Problem::new(Code::WrongOrigin, "Use the public address of the deployment."))
}
