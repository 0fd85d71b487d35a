//! The signing keys as they are stored: the private halves in one secret, the public halves in another, which every
//! function that verifies tokens may read.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::{
    rand::{SecureRandom, SystemRandom},
    signature::{Ed25519KeyPair, KeyPair},
};
use sequent_core::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Error, pkcs8, thumbprint};

/// The secret `signing`. Times are seconds since the Unix epoch.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SigningDocument {
    pub(crate) keys: Vec<PrivateKey>,
    /// The key of [`crate::token::RefreshToken::successor`], base 64.
    pub(crate) succession_key: String,
    /// Grows with each change, so that no change overwrites another. It begins with the time in milliseconds, so that a
    /// change of keys that were discarded meanwhile does not bring them back over their successors.
    pub(crate) version: u64,
}

/// An Ed25519 key that signs.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct PrivateKey {
    pub(crate) kid: String,
    /// PKCS #8, base 64.
    pub(crate) private_key: String,
    pub(crate) not_before: i64,
    pub(crate) not_after: Option<i64>,
}

/// The public half of a key, in the secret `pipeline`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredPublicKey {
    pub(crate) kid: String,
    /// The 32 bytes of the key, base64url.
    pub(crate) x: String,
    pub(crate) not_after: Option<i64>,
}

impl SigningDocument {
    /// New keys, which sign from now on.
    pub(crate) fn generate(now: Timestamp) -> Result<Self, Error> {
        Self::of(&random()?, &random()?, now)
    }

    /// The document with one key, made of these bytes.
    pub(crate) fn of(seed: &[u8; 32], succession: &[u8; 32], now: Timestamp) -> Result<Self, Error> {
        let keys = vec![PrivateKey::of(seed, now)?];
        let version = u64::try_from(now.millis()).unwrap_or_default();
        Ok(Self { keys, succession_key: STANDARD.encode(succession), version })
    }

    /// The public halves of the keys.
    pub(crate) fn public_keys(&self) -> Result<Vec<StoredPublicKey>, Error> {
        self.keys.iter().map(PrivateKey::public).collect()
    }
}

impl PrivateKey {
    /// A key that signs from `not_before` on. Its id is its thumbprint.
    pub(crate) fn of(seed: &[u8; 32], not_before: Timestamp) -> Result<Self, Error> {
        let der = pkcs8(seed);
        Ok(Self {
            kid: thumbprint(&public_half(&der)?),
            private_key: STANDARD.encode(der),
            not_before: not_before.seconds(),
            not_after: None,
        })
    }

    pub(crate) fn generate(not_before: Timestamp) -> Result<Self, Error> {
        Self::of(&random()?, not_before)
    }

    pub(crate) fn der(&self) -> Result<Vec<u8>, Error> {
        STANDARD.decode(&self.private_key).map_err(|_| Error::InvalidKey)
    }

    fn public(&self) -> Result<StoredPublicKey, Error> {
        Ok(StoredPublicKey {
            kid: self.kid.clone(),
            x: public_half(&self.der()?)?,
            not_after: self.not_after,
        })
    }
}

fn public_half(pkcs8: &[u8]) -> Result<String, Error> {
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map_err(|_| Error::InvalidKey)?;
    Ok(URL_SAFE_NO_PAD.encode(pair.public_key().as_ref()))
}

/// 32 bytes of the random generator of the operating system.
pub(crate) fn random() -> Result<[u8; 32], Error> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(bytes)
}
