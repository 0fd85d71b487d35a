//! The keys access tokens are signed with: several at a time, so that one can follow another without a moment in
//! which a valid token is refused.
//!
//! A key is published (and verifies) from the moment it is in the secret until its `not_after`; it signs from its
//! `not_before`. The newest key that may sign does. [`rotation`] adds the next one early enough that every process
//! has read it before it first signs.

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

/// Purpose of the key a deployment starts with.
const FIRST_KEY: &[u8] = b"access token signing key 1";

/// The secret holds no usable keys. Carries none of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Neither `seed` nor `csrf_key` is there to derive from.
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

/// One signing key.
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

    /// The key every deployment starts with: derived, so that processes starting at once need not agree on one.
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

    /// The `kid` of tokens signed with it.
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

/// All keys of the secret, parsed.
#[derive(Debug)]
pub struct KeyRing {
    keys: Vec<SigningKey>,
    succession: hmac::Key,
}

impl KeyRing {
    /// The keys listed in the secret, or the one derived from its root.
    pub(crate) fn new(entries: Vec<Entry>, root: &SecretString) -> Result<Self, Error> {
        let keys = if entries.is_empty() {
            vec![SigningKey::derived(root)?]
        } else {
            entries.into_iter().map(SigningKey::from_entry).collect::<Result<_, _>>()?
        };
        let succession = hmac::Key::new(hmac::HMAC_SHA256, &derive(root, b"refresh token succession 1"));
        Ok(Self { keys, succession })
    }

    /// The key to sign with now.
    ///
    /// # Errors
    /// [`Error::NoActiveKey`].
    pub fn signer(&self, now: Timestamp) -> Result<&SigningKey, Error> {
        let active = self.keys.iter().filter(|key| key.not_before <= now && key.verifies_at(now));
        active.max_by_key(|key| key.not_before).ok_or(Error::NoActiveKey)
    }

    /// The unexpired key with this id. An id is only ever compared: it names no file, row or address.
    #[must_use]
    pub fn verifier(&self, kid: &str, now: Timestamp) -> Option<&SigningKey> {
        self.keys.iter().find(|key| key.kid == kid && key.verifies_at(now))
    }

    /// The key that [`crate::token::RefreshToken::successor`] is computed with.
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
    /// The public keys.
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
    /// The id that tokens name it by.
    pub kid: String,
    /// The key, base64url.
    pub x: String,
}

/// PKCS #8 version 1 of an Ed25519 seed (RFC 8410 section 7): a fixed header, then the 32 bytes.
fn pkcs8(seed: &[u8; 32]) -> Vec<u8> {
    const HEADER: [u8; 16] =
        [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    [&HEADER[..], seed].concat()
}

/// RFC 7638 thumbprint of an Ed25519 key: its id, when nobody gave it another.
fn thumbprint(x: &str) -> String {
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()))
}

#[cfg(test)]
mod tests;
