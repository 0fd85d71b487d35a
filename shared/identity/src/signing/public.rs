//! The public halves of the signing keys, which verify access tokens.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use sequent_core::Timestamp;
use serde::Serialize;

use super::{Error, stored::StoredPublicKey};
use crate::eddsa;

/// All keys that verify.
#[derive(Debug)]
pub struct PublicKeys(Vec<PublicKey>);

/// One key that verifies access tokens.
pub struct PublicKey {
    stored: StoredPublicKey,
    key: DecodingKey,
}

impl PublicKeys {
    pub(crate) fn new(keys: Vec<StoredPublicKey>) -> Result<Self, Error> {
        keys.into_iter().map(PublicKey::new).collect::<Result<_, _>>().map(Self)
    }

    /// The unexpired key with this id. The id is only compared. It names no file, row or address.
    #[must_use]
    pub fn verifier(&self, kid: &str, now: Timestamp) -> Option<&PublicKey> {
        self.unexpired(now).find(|key| key.stored.kid == kid)
    }

    /// All unexpired keys (RFC 7517, RFC 8037).
    #[must_use]
    pub fn jwks(&self, now: Timestamp) -> JwkSet {
        JwkSet { keys: self.unexpired(now).map(PublicKey::jwk).collect() }
    }

    fn unexpired(&self, now: Timestamp) -> impl Iterator<Item = &PublicKey> {
        self.0.iter().filter(move |key| key.stored.not_after.is_none_or(|end| now.seconds() < end))
    }
}

impl PublicKey {
    fn new(stored: StoredPublicKey) -> Result<Self, Error> {
        eddsa::install();
        let bytes = URL_SAFE_NO_PAD.decode(&stored.x).map_err(|_| Error::InvalidKey)?;
        if bytes.len() != 32 {
            return Err(Error::InvalidKey);
        }
        Ok(Self { key: DecodingKey::from_ed_der(&bytes), stored })
    }

    pub(crate) fn decoding(&self) -> &DecodingKey {
        &self.key
    }

    fn jwk(&self) -> Jwk {
        Jwk {
            kty: "OKP",
            crv: "Ed25519",
            alg: "EdDSA",
            key_use: "sig",
            kid: self.stored.kid.clone(),
            x: self.stored.x.clone(),
        }
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.stored.fmt(f)
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
