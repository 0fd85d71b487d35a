//! The keys of the HTTP pipeline: the key of CSRF tokens and the secret that the CDN sends.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sequent_core::{ExposeSecret as _, SecretSlice, SecretString};

/// The shortest key of CSRF tokens, in bytes.
const MIN_KEY: usize = 32;

/// The keys of the HTTP pipeline.
#[derive(Debug, Clone)]
pub struct HttpKeys {
    csrf: SecretSlice<u8>,
    origin: Option<SecretString>,
}

/// The text is not base 64 of at least 32 bytes.
#[derive(Debug, thiserror::Error)]
#[error("csrf_key is not base 64 of at least 32 bytes")]
pub struct InvalidKey;

impl HttpKeys {
    /// Reads the fields `csrf_key` (base 64, at least 32 bytes) and `origin_secret` of the secret.
    ///
    /// # Errors
    /// [`InvalidKey`] if the key is too short or not base 64.
    pub fn new(csrf_key: &SecretString, origin_secret: Option<SecretString>) -> Result<Self, InvalidKey> {
        let csrf = STANDARD.decode(csrf_key.expose_secret().trim()).map_err(|_| InvalidKey)?;
        if csrf.len() < MIN_KEY {
            return Err(InvalidKey);
        }
        Ok(Self { csrf: csrf.into(), origin: None }.with_origin(origin_secret))
    }

    /// Replaces the CDN's secret, if there is a non-empty one.
    pub(super) fn with_origin(self, secret: Option<SecretString>) -> Self {
        let origin = secret.filter(|secret| !secret.expose_secret().is_empty()).or(self.origin);
        Self { origin, ..self }
    }

    /// The key of CSRF tokens.
    #[must_use]
    pub fn csrf(&self) -> &[u8] {
        self.csrf.expose_secret()
    }

    /// The value that `x-origin-verify` must have, if a CDN is in front.
    #[must_use]
    pub fn origin(&self) -> Option<&SecretString> {
        self.origin.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weak_key_is_refused_and_debug_shows_no_secret() {
        let strong = STANDARD.encode([7u8; 32]).into();
        let keys = HttpKeys::new(&strong, Some("from-the-cdn".into())).unwrap();
        assert_eq!(keys.csrf(), [7u8; 32]);
        let debug = format!("{keys:?}");
        assert!(!debug.contains("from-the-cdn") && !debug.contains("7, 7"), "{debug}");
        assert!(HttpKeys::new(&STANDARD.encode([7u8; 8]).into(), None).is_err());
    }
}
