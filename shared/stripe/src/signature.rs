//! Whether a webhook is from Stripe: the header `Stripe-Signature` over the raw body.
//!
//! The scheme is Stripe's (<https://docs.stripe.com/webhooks#verify-manually>): `t=<seconds>,v1=<hex>[,v1=<hex>]...`,
//! where each `v1` is HMAC-SHA-256 over `<t>.<body>`. More than one stands there while a secret is rolled. Other schemes
//! (`v0`) are passed over, so that nobody can talk us into a weaker one.

use std::time::Duration;

use ring::hmac;
use sequent_core::{ExposeSecret, SecretString, Timestamp};

/// The header's name.
pub const HEADER: &str = "stripe-signature";

/// How old a signature may be, which is what Stripe's own libraries allow. Younger than now it may be: whose clock is
/// wrong cannot be told.
pub const TOLERANCE: Duration = Duration::from_secs(300);

/// Why a webhook is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no header, or nothing in it.
    #[error("there is no Stripe-Signature")]
    Missing,
    /// The header is not of the form `t=...,v1=...`.
    #[error("Stripe-Signature is not of the form t=<seconds>,v1=<hex>")]
    Malformed,
    /// No signature is of a scheme that counts.
    #[error("Stripe-Signature has no v1 signature")]
    NoScheme,
    /// None of the signatures was made of this body with one of our secrets.
    #[error("no v1 signature fits the body and the endpoint's secret")]
    Wrong,
    /// It was made too long ago.
    #[error("the signature is older than five minutes")]
    Old,
}

/// Whether one of `secrets` signed `payload`, at most [`TOLERANCE`] before `now`. `payload` is the body as it came, byte
/// for byte. Takes the same time wherever a signature differs.
///
/// # Errors
/// Tells why it is not believed.
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

/// The header of `payload`, signed at `at`: what Stripe sends.
#[must_use]
pub fn sign(payload: &[u8], secret: &SecretString, at: Timestamp) -> String {
    let seconds = at.millis().div_euclid(1000);
    let signed = [seconds.to_string().as_bytes(), b".", payload].concat();
    format!("t={seconds},v1={}", hex::encode(hmac::sign(&key(secret), &signed)))
}

fn key(secret: &SecretString) -> hmac::Key {
    // The whole text with its `whsec_` is the key, as it is shown.
    hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes())
}

/// What stands in the header.
struct Parts {
    at: i64,
    /// Those of scheme `v1` that are hexadecimal; others cannot fit anyway.
    signatures: Vec<Vec<u8>>,
}

impl Parts {
    fn read(header: &str) -> Result<Self, Refused> {
        let (mut at, mut signatures) = (None, Vec::new());
        for item in header.split(',') {
            match item.trim().split_once('=').ok_or(Refused::Malformed)? {
                // Digits alone: a sign or a blank would be signed differently from what we would sign.
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
