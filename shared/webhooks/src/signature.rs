//! Signatures of Standard Webhooks: `v1,<base64 of HMAC-SHA-256 over "id.timestamp.body">`.
//!
//! The scheme is that of the specification
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>). The header has several
//! signatures, separated by spaces, while a secret is rotated. Other schemes, such as `v1a`, are ignored.

use std::time::Duration;

use base64::{
    Engine,
    alphabet::STANDARD as ALPHABET,
    engine::{
        DecodePaddingMode::Indifferent,
        general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD},
    },
};
use ring::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use sequent_core::{ExposeSecret, SecretSlice, SecretString, Timestamp};

/// The header with the id of a message. Each attempt to send the message has the same id.
pub const ID: &str = "webhook-id";
/// The header with the time of the attempt, in seconds since the Unix epoch.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// The header with the signatures.
pub const SIGNATURE: &str = "webhook-signature";
/// The largest difference between the time of a message and that of the receiver, as in the libraries of the specification.
pub const TOLERANCE: Duration = Duration::from_secs(300);

const SCHEME: &str = "v1";
const PREFIX: &str = "whsec_";
/// Bytes of a secret that is made here. The specification allows 24 to 64.
const BYTES: usize = 32;
const ALLOWED_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Providers write secrets with and without the padding of base 64.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&ALPHABET, GeneralPurposeConfig::new().with_decode_padding_mode(Indifferent));

/// A secret that signs messages. Its text is `whsec_` and base 64. `Debug` shows nothing of it.
#[derive(Debug, Clone)]
pub struct SigningSecret(SecretSlice<u8>);

/// A secret cannot be made or read. The error contains nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The text is not a secret.
    #[error("a signing secret is `whsec_` and base 64 of 24 to 64 bytes")]
    Malformed,
    /// The random generator of the operating system failed.
    #[error("the random generator failed")]
    Random,
}

impl SigningSecret {
    /// A new random secret.
    ///
    /// # Errors
    /// [`SecretError::Random`].
    pub fn generate() -> Result<Self, SecretError> {
        let mut bytes = [0; BYTES];
        SystemRandom::new().fill(&mut bytes).map_err(|_| SecretError::Random)?;
        Ok(Self(bytes.to_vec().into()))
    }

    /// Reads a secret. The prefix `whsec_` may be missing, as the libraries of the specification allow.
    ///
    /// # Errors
    /// [`SecretError::Malformed`].
    pub fn parse(text: &SecretString) -> Result<Self, SecretError> {
        let text = text.expose_secret().trim();
        let bytes = LENIENT.decode(text.strip_prefix(PREFIX).unwrap_or(text));
        let bytes = bytes.map_err(|_| SecretError::Malformed)?;
        if ALLOWED_BYTES.contains(&bytes.len()) {
            Ok(Self(bytes.into()))
        } else {
            Err(SecretError::Malformed)
        }
    }

    /// Returns the text of the secret, to be shown once or sealed.
    #[must_use]
    pub fn text(&self) -> SecretString {
        format!("{PREFIX}{}", STANDARD.encode(self.0.expose_secret())).into()
    }

    fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.0.expose_secret())
    }
}

/// Returns the three headers of a message that is sent at `at`. Each of the secrets signs it.
///
/// `id` must contain no `.`, which separates the parts that are signed: an id of this crate contains none.
#[must_use]
pub fn headers<'a>(
    id: &str,
    at: Timestamp,
    body: &[u8],
    secrets: impl IntoIterator<Item = &'a SigningSecret>,
) -> [(&'static str, String); 3] {
    debug_assert!(!id.contains('.'), "{id}");
    let timestamp = at.seconds().to_string();
    let signed = signed(id, &timestamp, body);
    let signatures = secrets.into_iter().map(|secret| {
        let tag = hmac::sign(&secret.key(), &signed);
        format!("{SCHEME},{}", STANDARD.encode(tag))
    });
    let signatures: Vec<String> = signatures.collect();
    [(ID, id.to_owned()), (TIMESTAMP, timestamp), (SIGNATURE, signatures.join(" "))]
}

/// The headers of a message as it was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the headers")]
pub struct SignedHeaders<'a> {
    pub id: Option<&'a str>,
    pub timestamp: Option<&'a str>,
    pub signature: Option<&'a str>,
}

/// The reason why a message is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// A header is missing or empty.
    #[error("one of the headers webhook-id, webhook-timestamp and webhook-signature is missing")]
    Missing,
    /// The time is not a number of seconds, or the id contains a `.`.
    #[error("the header webhook-timestamp is not a number of seconds, or webhook-id contains a period")]
    Malformed,
    /// No signature of the scheme `v1` matches.
    #[error("no v1 signature matches the message and the secret")]
    Wrong,
    /// The time is further away than [`TOLERANCE`].
    #[error("the time of the message differs from the present time by more than five minutes")]
    Untimely,
}

/// Checks that one of `secrets` signed the message within [`TOLERANCE`] of `now`. `body` is the raw body, byte for byte.
/// The comparison takes constant time. Returns the id of the message.
///
/// # Errors
/// Returns the reason for the refusal.
pub fn verify<'a, 's>(
    received: SignedHeaders<'a>,
    body: &[u8],
    secrets: impl IntoIterator<Item = &'s SigningSecret>,
    now: Timestamp,
) -> Result<&'a str, Unverified> {
    let given = |header: Option<&'a str>| header.filter(|text| !text.is_empty()).ok_or(Unverified::Missing);
    let id = given(received.id)?;
    let timestamp = given(received.timestamp)?;
    let signatures = given(received.signature)?;
    // Digits only: another spelling of the number would be other signed bytes.
    if id.contains('.') || !timestamp.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Unverified::Malformed);
    }
    let at: i64 = timestamp.parse().map_err(|_| Unverified::Malformed)?;
    let tags: Vec<Vec<u8>> = signatures.split(' ').filter_map(tag).collect();
    let signed = signed(id, timestamp, body);
    let is_signed = secrets.into_iter().any(|secret| {
        let key = secret.key();
        tags.iter().any(|tag| hmac::verify(&key, &signed, tag).is_ok())
    });
    if !is_signed {
        return Err(Unverified::Wrong);
    }
    if now.seconds().abs_diff(at) > TOLERANCE.as_secs() {
        return Err(Unverified::Untimely);
    }
    Ok(id)
}

/// Decodes a signature. Returns `None` if it is of another scheme or not base 64: it matches nothing then.
fn tag(signature: &str) -> Option<Vec<u8>> {
    let (scheme, tag) = signature.split_once(',')?;
    (scheme == SCHEME).then(|| STANDARD.decode(tag).ok()).flatten()
}

fn signed(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat()
}

#[cfg(test)]
mod tests;
