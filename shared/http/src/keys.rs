//! The pipeline's own secrets: the key of CSRF tokens and the secret the CDN sends.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use serde::{Deserialize, Deserializer, de};

use crate::Problem;

/// Keys read from the application's secret.
#[derive(Debug, Clone)]
pub struct Keys {
    csrf: SecretSlice<u8>,
    origin: Option<SecretString>,
}

/// The key's text is not base 64 of at least 32 bytes.
#[derive(Debug, thiserror::Error)]
#[error("csrf_key is not base 64 of at least 32 bytes")]
pub struct InvalidKey;

impl Keys {
    /// From the secret's fields `csrf_key` (base 64, at least 32 bytes) and `origin_secret`.
    ///
    /// # Errors
    /// When the key is too short or not base 64.
    pub fn new(csrf_key: &SecretString, origin_secret: Option<SecretString>) -> Result<Self, InvalidKey> {
        let bytes = STANDARD.decode(csrf_key.expose_secret().trim()).map_err(|_| InvalidKey)?;
        if bytes.len() < 32 {
            return Err(InvalidKey);
        }
        let origin = origin_secret.filter(|secret| !secret.expose_secret().is_empty());
        Ok(Self { csrf: bytes.into(), origin })
    }

    /// The key that CSRF tokens are made with.
    #[must_use]
    pub fn csrf(&self) -> &[u8] {
        self.csrf.expose_secret()
    }

    /// What `x-origin-verify` must carry, where a CDN stands in front.
    #[must_use]
    pub fn origin(&self) -> Option<&SecretString> {
        self.origin.as_ref()
    }
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Fields {
            csrf_key: SecretString,
            #[serde(default)]
            origin_secret: Option<SecretString>,
        }
        let fields = Fields::deserialize(deserializer)?;
        Self::new(&fields.csrf_key, fields.origin_secret).map_err(de::Error::custom)
    }
}

/// Where the keys come from. They rotate, so they are asked for at every use.
pub trait Keyring: Send + Sync + 'static {
    /// The keys as of now.
    fn keys(&self) -> BoxFuture<'_, Result<Arc<Keys>, Problem>>;
}

/// Fixed keys, for tests and tools.
impl Keyring for Arc<Keys> {
    fn keys(&self) -> BoxFuture<'_, Result<Arc<Keys>, Problem>> {
        Box::pin(std::future::ready(Ok(Arc::clone(self))))
    }
}

/// A secret whose only readers are the pipeline's.
impl Keyring for sequent_aws::Secrets<Keys> {
    fn keys(&self) -> BoxFuture<'_, Result<Arc<Keys>, Problem>> {
        Box::pin(async { Ok(self.get().await?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weak_key_is_refused_and_nothing_shows_in_debug() {
        let strong = STANDARD.encode([7u8; 32]);
        let json = format!(r#"{{"csrf_key":"{strong}","origin_secret":"from-the-cdn","jwt_keys":[]}}"#);
        let keys: Keys = serde_json::from_str(&json).unwrap();
        assert_eq!(keys.csrf(), [7u8; 32]);
        let debug = format!("{keys:?}");
        assert!(!debug.contains("from-the-cdn") && !debug.contains("7, 7"), "{debug}");
        let weak = format!(r#"{{"csrf_key":"{}"}}"#, STANDARD.encode([7u8; 8]));
        assert!(serde_json::from_str::<Keys>(&weak).is_err());
    }
}
