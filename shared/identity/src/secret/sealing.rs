//! The encryption of secrets that must be read again, such as the token of a tenant for its own server. The key is in
//! no table.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use sequent_core::{ExposeSecret, SecretString};

/// Encrypts secrets with ChaCha20-Poly1305 (RFC 8439) and random nonces. One key may encrypt about 2^32 secrets before
/// two equal nonces become likely.
pub struct SealingKey(LessSafeKey);

/// The text cannot be sealed or opened. The error contains nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The random generator failed.
    #[error("the random generator failed")]
    Random,
    /// The text was sealed with another key or for another purpose, or it was changed.
    #[error("the sealed text cannot be opened")]
    Unopenable,
}

impl SealingKey {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&CHACHA20_POLY1305, key).expect("the algorithm takes keys of 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Seals `secret`. It can be opened only with the same `purpose`, which names its use and its owner, so a sealed text
    /// is worthless in another place.
    ///
    /// # Errors
    /// [`SealError::Random`].
    pub fn seal(&self, secret: &SecretString, purpose: &str) -> Result<String, SealError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| SealError::Random)?;
        let mut bytes = secret.expose_secret().as_bytes().to_vec();
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(purpose), &mut bytes)
            .map_err(|_| SealError::Unopenable)?;
        Ok(STANDARD_NO_PAD.encode([&nonce[..], &bytes].concat()))
    }

    /// Opens a sealed secret.
    ///
    /// # Errors
    /// [`SealError::Unopenable`].
    pub fn open(&self, sealed: &str, purpose: &str) -> Result<SecretString, SealError> {
        let bytes = STANDARD_NO_PAD.decode(sealed).map_err(|_| SealError::Unopenable)?;
        let (nonce, rest) = bytes.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Unopenable)?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let mut rest = rest.to_vec();
        let opened =
            self.0.open_in_place(nonce, Aad::from(purpose), &mut rest).map_err(|_| SealError::Unopenable)?;
        let text = std::str::from_utf8(opened).map_err(|_| SealError::Unopenable)?;
        Ok(SecretString::from(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_for_its_purpose_alone() {
        let (key, secret) = (SealingKey::new(&[7; 32]), SecretString::from("a token"));
        let sealed = key.seal(&secret, "tenant 1, server a").unwrap();
        assert!(!sealed.contains("token"));
        assert_ne!(sealed, key.seal(&secret, "tenant 1, server a").unwrap(), "each has its own nonce");
        assert_eq!(key.open(&sealed, "tenant 1, server a").unwrap().expose_secret(), "a token");
        for (key, sealed, purpose) in [
            (&key, sealed.as_str(), "tenant 2, server a"),
            (&SealingKey::new(&[8; 32]), sealed.as_str(), "tenant 1, server a"),
            (&key, &sealed[1..], "tenant 1, server a"),
            (&key, "", "tenant 1, server a"),
            (&key, "not base 64!", "tenant 1, server a"),
        ] {
            assert_eq!(key.open(sealed, purpose).unwrap_err(), SealError::Unopenable);
        }
    }
}
