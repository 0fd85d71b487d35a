//! The key of CSRF tokens.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sequent_core::{ExposeSecret as _, SecretSlice, SecretString};

/// The shortest key of CSRF tokens, in bytes.
const MIN_KEY: usize = 32;

/// The key of CSRF tokens.
#[derive(Debug, Clone)]
pub struct HttpKeys {
    csrf: SecretSlice<u8>,
}

/// The text is not base 64 of at least 32 bytes.
#[derive(Debug, thiserror::Error)]
#[error("a key of the pipeline is not base 64 of at least 32 bytes")]
pub struct InvalidKey;

impl HttpKeys {
    /// Reads a key: base 64, at least 32 bytes.
    ///
    /// # Errors
    /// [`InvalidKey`] if the key is too short or not base 64.
    pub fn new(csrf_key: &SecretString) -> Result<Self, InvalidKey> {
        let csrf = STANDARD.decode(csrf_key.expose_secret().trim()).map_err(|_| InvalidKey)?;
        if csrf.len() < MIN_KEY {
            return Err(InvalidKey);
        }
        Ok(Self { csrf: csrf.into() })
    }

    /// The key of CSRF tokens.
    #[must_use]
    pub fn csrf(&self) -> &[u8] {
        self.csrf.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weak_key_is_refused_and_debug_shows_no_secret() {
        let strong = STANDARD.encode([7u8; 32]).into();
        let keys = HttpKeys::new(&strong).unwrap();
        assert_eq!(keys.csrf(), [7u8; 32]);
        let debug = format!("{keys:?}");
        assert!(!debug.contains("7, 7"), "{debug}");
        assert!(HttpKeys::new(&STANDARD.encode([7u8; 8]).into()).is_err());
    }
}
