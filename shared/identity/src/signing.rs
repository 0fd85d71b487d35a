//! The keys that sign access tokens. Several exist at a time, so that a rotation never makes a valid token invalid.
//!
//! A key is published, and verifies, from its addition until its `not_after`. It may sign from its `not_before`; the
//! newest key that may sign does. [`rotation`] adds the next key so early that every process has read it before it first
//! signs.
//!
//! Only the functions that issue tokens and rotate keys may read [`KeyRing`]. All others have the [`PublicKeys`], with
//! which no token can be made.

mod public;
pub mod rotation;
pub(crate) mod stored;

use std::fmt;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::EncodingKey;
use ring::{digest, hmac, signature::Ed25519KeyPair};
use sequent_core::Timestamp;
use serde::Deserialize;

pub use public::{Jwk, JwkSet, PublicKey, PublicKeys};

use crate::eddsa;
use stored::{PrivateKey, SigningDocument};

/// The keys cannot be used or made. The error contains none of their text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A key is not a base64 PKCS #8 Ed25519 key, or not the public half of one.
    #[error("a signing key is not an Ed25519 key")]
    InvalidKey,
    /// Every key has expired or none has begun.
    #[error("no signing key is valid now")]
    NoActiveKey,
    /// The random generator failed.
    #[error("the random generator failed")]
    Random,
}

/// One key that signs access tokens.
pub struct SigningKey {
    kid: String,
    private: EncodingKey,
    not_before: Timestamp,
    not_after: Option<Timestamp>,
}

impl SigningKey {
    fn new(stored: &PrivateKey) -> Result<Self, Error> {
        eddsa::install();
        let der = stored.der()?;
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| Error::InvalidKey)?;
        let at = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1000));
        Ok(Self {
            kid: stored.kid.clone(),
            private: EncodingKey::from_ed_der(&der),
            not_before: at(stored.not_before),
            not_after: stored.not_after.map(at),
        })
    }

    /// The `kid` of the tokens that the key signs.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    pub(crate) fn private(&self) -> &EncodingKey {
        &self.private
    }

    fn signs_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && self.not_after.is_none_or(|end| now < end)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// The keys of those who issue tokens: the private keys of access tokens, and the key of refresh tokens.
#[derive(Debug, Deserialize)]
#[serde(try_from = "SigningDocument")]
pub struct KeyRing {
    keys: Vec<SigningKey>,
    succession: hmac::Key,
}

impl KeyRing {
    /// The key that signs now.
    ///
    /// # Errors
    /// [`Error::NoActiveKey`].
    pub fn signer(&self, now: Timestamp) -> Result<&SigningKey, Error> {
        let active = self.keys.iter().filter(|key| key.signs_at(now));
        active.max_by_key(|key| key.not_before).ok_or(Error::NoActiveKey)
    }

    /// The key for [`crate::token::RefreshToken::successor`].
    #[must_use]
    pub fn succession(&self) -> &hmac::Key {
        &self.succession
    }
}

impl TryFrom<SigningDocument> for KeyRing {
    type Error = Error;

    fn try_from(document: SigningDocument) -> Result<Self, Error> {
        let succession = STANDARD.decode(&document.succession_key).map_err(|_| Error::InvalidKey)?;
        Ok(Self {
            keys: document.keys.iter().map(SigningKey::new).collect::<Result<_, _>>()?,
            succession: hmac::Key::new(hmac::HMAC_SHA256, &succession),
        })
    }
}

/// Encodes an Ed25519 seed as PKCS #8 version 1 (RFC 8410, section 7): a fixed header and the 32 bytes.
fn pkcs8(seed: &[u8; 32]) -> Vec<u8> {
    const HEADER: [u8; 16] =
        [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    [&HEADER[..], seed].concat()
}

/// The RFC 7638 thumbprint of an Ed25519 key. It is the id of a key.
fn thumbprint(x: &str) -> String {
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()))
}

#[cfg(test)]
mod tests;
