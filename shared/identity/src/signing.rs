//! The keys that sign access tokens. Several exist at a time, so that a rotation never makes a valid token invalid.
//!
//! A key is published, and verifies, from its addition to the secret until its `not_after`. It may sign from its
//! `not_before`; the newest key that may sign does. [`rotation`] adds the next key so early that every process has read
//! it before it first signs.

pub mod rotation;

use std::fmt;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{DecodingKey, EncodingKey};
use ring::{
    digest, hmac,
    signature::{Ed25519KeyPair, KeyPair},
};
use sequent_core::{ExposeSecret, SecretString, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{eddsa, secret::derive};

/// The purpose of the first key of a deployment.
const FIRST_KEY: &[u8] = b"access token signing key 1";

/// The secret contains no usable keys. The error contains none of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The secret has neither `seed` nor `csrf_key`.
    #[error("the secret has no root to derive keys from")]
    NoRoot,
    /// An entry of `jwt_keys` is not a base64 PKCS #8 Ed25519 key.
    #[error("the secret holds a signing key that is not Ed25519 in PKCS #8")]
    InvalidKey,
    /// Every key has expired or none has begun.
    #[error("no signing key is valid now")]
    NoActiveKey,
}

/// One element of `jwt_keys`.
#[derive(Deserialize)]
pub(crate) struct Entry {
    kid: String,
    private_key: SecretString,
    not_before: i64,
    not_after: Option<i64>,
}

/// One key that signs access tokens.
pub struct SigningKey {
    kid: String,
    private: EncodingKey,
    public: DecodingKey,
    x: String,
    not_before: Timestamp,
    not_after: Option<Timestamp>,
}

impl SigningKey {
    fn from_pkcs8(kid: Option<String>, pkcs8: &[u8]) -> Result<Self, Error> {
        eddsa::install();
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map_err(|_| Error::InvalidKey)?;
        let public = pair.public_key().as_ref();
        let x = URL_SAFE_NO_PAD.encode(public);
        Ok(Self {
            kid: kid.unwrap_or_else(|| thumbprint(&x)),
            private: EncodingKey::from_ed_der(pkcs8),
            public: DecodingKey::from_ed_der(public),
            x,
            not_before: Timestamp::from_millis(0),
            not_after: None,
        })
    }

    /// The first key of a deployment. It is derived, so that all processes have the same.
    fn derived(root: &SecretString) -> Result<Self, Error> {
        Self::from_pkcs8(None, &pkcs8(&derive(root, FIRST_KEY)))
    }

    fn from_entry(entry: Entry) -> Result<Self, Error> {
        let der = STANDARD.decode(entry.private_key.expose_secret()).map_err(|_| Error::InvalidKey)?;
        let mut key = Self::from_pkcs8(Some(entry.kid), &der)?;
        key.not_before = Timestamp::from_millis(entry.not_before.saturating_mul(1000));
        key.not_after = entry.not_after.map(|at| Timestamp::from_millis(at.saturating_mul(1000)));
        Ok(key)
    }

    /// The `kid` of the tokens that the key signs.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    pub(crate) fn private(&self) -> &EncodingKey {
        &self.private
    }

    pub(crate) fn public(&self) -> &DecodingKey {
        &self.public
    }

    fn verifies_at(&self, now: Timestamp) -> bool {
        self.not_after.is_none_or(|end| now < end)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// The parsed keys of the secret.
#[derive(Debug)]
pub struct KeyRing {
    keys: Vec<SigningKey>,
    succession: hmac::Key,
}

impl KeyRing {
    /// The keys in the secret, or the key that is derived from its root.
    pub(crate) fn new(entries: Vec<Entry>, root: &SecretString) -> Result<Self, Error> {
        let keys = if entries.is_empty() {
            vec![SigningKey::derived(root)?]
        } else {
            entries.into_iter().map(SigningKey::from_entry).collect::<Result<_, _>>()?
        };
        let succession = hmac::Key::new(hmac::HMAC_SHA256, &derive(root, b"refresh token succession 1"));
        Ok(Self { keys, succession })
    }

    /// The key that signs now.
    ///
    /// # Errors
    /// [`Error::NoActiveKey`].
    pub fn signer(&self, now: Timestamp) -> Result<&SigningKey, Error> {
        let active = self.keys.iter().filter(|key| key.not_before <= now && key.verifies_at(now));
        active.max_by_key(|key| key.not_before).ok_or(Error::NoActiveKey)
    }

    /// The unexpired key with this id. The id is only compared. It names no file, row or address.
    #[must_use]
    pub fn verifier(&self, kid: &str, now: Timestamp) -> Option<&SigningKey> {
        self.keys.iter().find(|key| key.kid == kid && key.verifies_at(now))
    }

    /// The key for [`crate::token::RefreshToken::successor`].
    #[must_use]
    pub fn succession(&self) -> &hmac::Key {
        &self.succession
    }

    /// The public halves of all unexpired keys (RFC 7517, RFC 8037).
    #[must_use]
    pub fn jwks(&self, now: Timestamp) -> JwkSet {
        let valid = self.keys.iter().filter(|key| key.verifies_at(now));
        JwkSet {
            keys: valid
                .map(|key| Jwk {
                    kty: "OKP",
                    crv: "Ed25519",
                    alg: "EdDSA",
                    key_use: "sig",
                    kid: key.kid.clone(),
                    x: key.x.clone(),
                })
                .collect(),
        }
    }
}

/// A JSON Web Key Set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JwkSet {
    /// All keys that have not expired.
    pub keys: Vec<Jwk>,
}

/// A public Ed25519 key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Jwk {
    /// Always `OKP`.
    pub kty: &'static str,
    /// Always `Ed25519`.
    pub crv: &'static str,
    /// Always `EdDSA`.
    pub alg: &'static str,
    /// Always `sig`.
    #[serde(rename = "use")]
    pub key_use: &'static str,
    /// The id, which tokens contain.
    pub kid: String,
    /// The public key, base64url.
    pub x: String,
}

/// Encodes an Ed25519 seed as PKCS #8 version 1 (RFC 8410, section 7): a fixed header and the 32 bytes.
fn pkcs8(seed: &[u8; 32]) -> Vec<u8> {
    const HEADER: [u8; 16] =
        [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    [&HEADER[..], seed].concat()
}

/// The RFC 7638 thumbprint of an Ed25519 key. It is the id of a key without an explicit one.
fn thumbprint(x: &str) -> String {
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()))
}

#[cfg(test)]
mod tests;
