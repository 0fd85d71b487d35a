//! The secret of the deployment: all keys of the functions, from one value in Secrets Manager.
//!
//! A deployment starts with only a random `seed`, from which each key is derived for its one purpose. No first key has
//! to be created, and processes that start at the same time have the same keys. A key that the secret contains
//! (`jwt_keys`, `csrf_key`, `cursor_key`) takes precedence over the derived one.

mod http_keys;
mod sealing;
mod vault;

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::hkdf;
use sequent_core::{ExposeSecret, SecretString};
use sequent_tables::CursorKey;
use serde::Deserialize;
use subtle::ConstantTimeEq;

pub use http_keys::{HttpKeys, InvalidKey};
pub use sealing::{SealError, SealingKey};
pub use vault::Vault;

use crate::signing::{self, KeyRing};

/// The JSON of the secret. Unknown fields are ignored.
#[derive(Deserialize)]
pub(crate) struct Document {
    #[serde(default)]
    pub(crate) jwt_keys: Vec<signing::Entry>,
    seed: Option<SecretString>,
    csrf_key: Option<SecretString>,
    cursor_key: Option<SecretString>,
    origin_secret: Option<SecretString>,
    admin_key: Option<SecretString>,
}

impl Document {
    /// The text that keys are derived from.
    pub(crate) fn root(&self) -> Result<&SecretString, signing::Error> {
        self.seed.as_ref().or(self.csrf_key.as_ref()).ok_or(signing::Error::NoRoot)
    }
}

/// The secret as it was parsed.
#[derive(Deserialize)]
#[serde(try_from = "Document")]
pub struct AppSecret {
    ring: KeyRing,
    http: HttpKeys,
    cursor: CursorKey,
    sealing: SealingKey,
    admin: Option<SecretString>,
}

/// The secret cannot be used. The error contains none of its text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A signing key is missing or wrong.
    #[error(transparent)]
    Signing(#[from] signing::Error),
    /// `csrf_key` is too short or not base 64.
    #[error(transparent)]
    Csrf(#[from] InvalidKey),
}

impl AppSecret {
    /// The keys of access and refresh tokens.
    #[must_use]
    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// The key that page cursors are signed with.
    #[must_use]
    pub fn cursor(&self) -> &CursorKey {
        &self.cursor
    }

    /// The key with which the secrets of tenants are encrypted.
    #[must_use]
    pub fn sealing(&self) -> &SealingKey {
        &self.sealing
    }

    /// Returns `true` if `presented` is the key of the operator, the field `admin_key`. Without the field, no key is.
    /// The comparison takes constant time and does not reveal the length of the key.
    #[must_use]
    pub fn is_admin_key(&self, presented: &[u8]) -> bool {
        let digest = |key: &[u8]| ring::digest::digest(&ring::digest::SHA256, key);
        let key = self.admin.as_ref().map(|key| digest(key.expose_secret().as_bytes()));
        key.is_some_and(|key| key.as_ref().ct_eq(digest(presented).as_ref()).into())
    }

    /// The keys of the HTTP pipeline. `origin` is the CDN's secret if it is stored apart from this one.
    #[must_use]
    pub fn http(&self, origin: Option<SecretString>) -> HttpKeys {
        self.http.clone().with_origin(origin)
    }
}

impl TryFrom<Document> for AppSecret {
    type Error = Error;

    fn try_from(document: Document) -> Result<Self, Error> {
        let root = document.root()?.clone();
        let derived = |purpose| SecretString::from(STANDARD.encode(derive(&root, purpose)));
        let csrf = document.csrf_key.clone().unwrap_or_else(|| derived(b"csrf tokens 1"));
        Ok(Self {
            http: HttpKeys::new(&csrf, document.origin_secret.clone())?,
            admin: document.admin_key.clone().filter(|key| !key.expose_secret().is_empty()),
            cursor: CursorKey::new(document.cursor_key.clone().unwrap_or_else(|| derived(b"page cursors 1"))),
            sealing: SealingKey::new(&derive(&root, b"sealed secrets 1")),
            ring: KeyRing::new(document.jwt_keys, &root)?,
        })
    }
}

impl fmt::Debug for AppSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppSecret").field("ring", &self.ring).finish_non_exhaustive()
    }
}

/// Derives 32 bytes for one purpose from the root of the deployment (HKDF-SHA-256, RFC 5869).
pub(crate) fn derive(root: &SecretString, purpose: &[u8]) -> [u8; 32] {
    let extracted =
        hkdf::Salt::new(hkdf::HKDF_SHA256, b"sequent identity").extract(root.expose_secret().as_bytes());
    let mut bytes = [0; 32];
    extracted
        .expand(&[purpose], hkdf::HKDF_SHA256)
        .and_then(|output| output.fill(&mut bytes))
        .expect("32 bytes are within HKDF-SHA-256's limit of 8160");
    bytes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(document: serde_json::Value) -> Result<AppSecret, serde_json::Error> {
        serde_json::from_value(document)
    }

    #[test]
    fn a_seed_is_enough_and_each_purpose_has_its_own_key() {
        let one = parse(json!({ "seed": "s" })).unwrap();
        let two = parse(json!({ "seed": "s" })).unwrap();
        assert_eq!(one.http(None).csrf(), two.http(None).csrf());
        let root = SecretString::from("s");
        assert_ne!(derive(&root, b"csrf tokens 1"), derive(&root, b"page cursors 1"));
        assert_ne!(derive(&root, b"csrf tokens 1"), derive(&"t".into(), b"csrf tokens 1"));
    }

    #[test]
    fn a_key_in_the_secret_takes_precedence() {
        let key = STANDARD.encode([7; 32]);
        let secret = parse(json!({ "seed": "s", "csrf_key": key, "origin_secret": "inner" })).unwrap();
        assert_eq!(secret.http(None).csrf(), [7; 32]);
        let origin = |outer: Option<&str>| {
            let keys = secret.http(outer.map(SecretString::from));
            keys.origin().unwrap().expose_secret().to_owned()
        };
        assert_eq!((origin(None), origin(Some("outer"))), ("inner".to_owned(), "outer".to_owned()));
    }

    #[test]
    fn only_the_configured_key_is_the_admin_key() {
        let secret = parse(json!({ "seed": "s", "admin_key": "let me in" })).unwrap();
        assert!(secret.is_admin_key(b"let me in"));
        assert!(!secret.is_admin_key(b"let me i") && !secret.is_admin_key(b""));
        for none in [json!({ "seed": "s" }), json!({ "seed": "s", "admin_key": "" })] {
            let secret = parse(none).unwrap();
            assert!(!secret.is_admin_key(b"") && !secret.is_admin_key(b"s"));
        }
    }

    #[test]
    fn a_secret_that_cannot_be_used_is_refused_without_being_quoted() {
        for document in [
            json!({}),
            json!({ "jwt_keys": [] }),
            json!({ "seed": "s", "csrf_key": "secret text" }),
            json!({ "seed": "s", "jwt_keys": [{ "kid": "k", "private_key": "c2VjcmV0IHRleHQ=", "not_before": 0 }] }),
            json!({ "seed": "s", "jwt_keys": [{ "kid": "k", "private_key": "?secret text?", "not_before": 0 }] }),
        ] {
            let error = parse(document).unwrap_err().to_string();
            assert!(!error.contains("secret text") && !error.contains("c2Vj"), "{error}");
        }
        let shown = format!("{:?}", parse(json!({ "seed": "hidden" })).unwrap());
        assert!(!shown.contains("hidden"), "{shown}");
    }
}
