//! Verification of webhooks by the header `Stripe-Signature` over the raw body.
//!
//! The scheme is Stripe's (<https://docs.stripe.com/webhooks#verify-manually>): `t=<seconds>,v1=<hex>[,v1=<hex>]...`,
//! where each `v1` is HMAC-SHA-256 over `<t>.<body>`. The header has more than one during a rotation. Other schemes (`v0`)
//! are ignored, so that an attacker cannot choose a weaker one.

use std::time::Duration;

use ring::hmac;
use sequent_core::{ExposeSecret, SecretString, Timestamp};

/// Name of the header.
pub const HEADER: &str = "stripe-signature";

/// Largest age of a signature, as in Stripe's own libraries. A signature from the future is accepted, because it is unknown
/// which of the two clocks is wrong.
pub const TOLERANCE: Duration = Duration::from_secs(300);

/// Reason why a webhook was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The header is missing or empty.
    #[error("the header Stripe-Signature is missing")]
    Missing,
    /// The header is not of the form `t=...,v1=...`.
    #[error("Stripe-Signature is not of the form t=<seconds>,v1=<hex>")]
    Malformed,
    /// No signature uses the scheme `v1`.
    #[error("Stripe-Signature has no v1 signature")]
    NoScheme,
    /// No signature matches the body and one of our secrets.
    #[error("no v1 signature matches the body and the endpoint's secret")]
    Wrong,
    /// The signature is older than [`TOLERANCE`].
    #[error("the signature is older than five minutes")]
    Old,
}

/// Checks that one of `secrets` signed `payload` at most [`TOLERANCE`] before `now`. `payload` is the raw body, byte for
/// byte. The comparison takes constant time.
///
/// # Errors
/// Returns the reason for the refusal.
pub fn verify(
    payload: &[u8],
    header: Option<&str>,
    secrets: &[SecretString],
    now: Timestamp,
) -> Result<(), Refused> {
    let Parts { at, signatures } =
        Parts::read(header.filter(|header| !header.is_empty()).ok_or(Refused::Missing)?)?;
    if signatures.is_empty() {
        return Err(Refused::NoScheme);
    }
    let signed = [at.to_string().as_bytes(), b".", payload].concat();
    let fits = secrets.iter().any(|secret| {
        let key = key(secret);
        signatures.iter().any(|signature| hmac::verify(&key, &signed, signature).is_ok())
    });
    if !fits {
        return Err(Refused::Wrong);
    }
    let age = now.millis().saturating_sub(at.saturating_mul(1000));
    if age > i64::try_from(TOLERANCE.as_millis()).unwrap_or(i64::MAX) {
        return Err(Refused::Old);
    }
    Ok(())
}

/// Returns the header that Stripe sends for `payload` signed at `at`.
#[must_use]
pub fn sign(payload: &[u8], secret: &SecretString, at: Timestamp) -> String {
    let seconds = at.millis().div_euclid(1000);
    let signed = [seconds.to_string().as_bytes(), b".", payload].concat();
    format!("t={seconds},v1={}", hex::encode(hmac::sign(&key(secret), &signed)))
}

fn key(secret: &SecretString) -> hmac::Key {
    // The key is the whole text, with its prefix `whsec_`.
    hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes())
}

/// Parsed value of the header.
struct Parts {
    at: i64,
    /// Signatures of scheme `v1` in valid hexadecimal; others cannot match.
    signatures: Vec<Vec<u8>>,
}

impl Parts {
    fn read(header: &str) -> Result<Self, Refused> {
        let mut at = None;
        let mut signatures = Vec::new();
        for item in header.split(',') {
            match item.trim().split_once('=').ok_or(Refused::Malformed)? {
                // Digits only: with a sign or a space, Stripe would have signed other bytes than we would.
                ("t", seconds) if seconds.bytes().all(|byte| byte.is_ascii_digit()) => {
                    at = Some(seconds.parse().map_err(|_| Refused::Malformed)?);
                }
                ("t", _) => return Err(Refused::Malformed),
                ("v1", signature) => signatures.extend(hex::decode(signature)),
                _ => {}
            }
        }
        Ok(Self { at: at.ok_or(Refused::Malformed)?, signatures })
    }
}

#[cfg(test)]
mod tests;
