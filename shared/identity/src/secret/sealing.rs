//! The encryption of secrets that must be read again, such as the token of a tenant for its own server. The keys are in
//! no table that a tenant's rows are in.
//!
//! There may be several keys. The newest one seals, and all of them open what they have sealed. A sealed text begins with
//! the id of its key, which is made of the key itself, so the keys of two documents can be put together: after the
//! secret was lost, what was sealed before and since opens again.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest,
    rand::{SecureRandom, SystemRandom},
};
use sequent_aws::secret;
use sequent_core::{ExposeSecret, SecretString};
use sequent_tables::SecretName;
use serde::{Deserialize, Serialize};

use super::Error;

/// Encrypts secrets with ChaCha20-Poly1305 (RFC 8439) and random nonces. One key may encrypt about 2^32 secrets before
/// two equal nonces become likely.
#[derive(Deserialize)]
#[serde(try_from = "SealingDocument")]
pub struct SealingKeys {
    keys: Vec<SealingKey>,
}

struct SealingKey {
    id: String,
    key: LessSafeKey,
}

/// The secret `sealing` as it is stored: keys in base 64, the newest at the end.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SealingDocument {
    pub(crate) keys: Vec<String>,
}

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

impl SealingDocument {
    /// A document with one new random key.
    pub(crate) fn generate() -> Result<Self, secret::Error> {
        Ok(Self { keys: vec![secret::random_key(SecretName::Sealing)?] })
    }
}

impl SealingKeys {
    /// Seals `secret` with the newest key. It can be opened only with the same `purpose`, which names its use and its owner,
    /// so a sealed text is worthless in another place.
    ///
    /// # Errors
    /// [`SealError::Random`].
    pub fn seal(&self, secret: &SecretString, purpose: &str) -> Result<String, SealError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| SealError::Random)?;
        let mut bytes = secret.expose_secret().as_bytes().to_vec();
        let SealingKey { id, key } = self.keys.last().ok_or(SealError::Unopenable)?;
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(purpose), &mut bytes)
            .map_err(|_| SealError::Unopenable)?;
        Ok(format!("{id}.{}", STANDARD_NO_PAD.encode([&nonce[..], &bytes].concat())))
    }

    /// Opens a sealed secret.
    ///
    /// # Errors
    /// [`SealError::Unopenable`].
    pub fn open(&self, sealed: &str, purpose: &str) -> Result<SecretString, SealError> {
        let (id, text) = sealed.split_once('.').ok_or(SealError::Unopenable)?;
        let key = self.key(id).ok_or(SealError::Unopenable)?;
        let bytes = STANDARD_NO_PAD.decode(text).map_err(|_| SealError::Unopenable)?;
        let (nonce, rest) = bytes.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Unopenable)?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let mut rest = rest.to_vec();
        let opened =
            key.open_in_place(nonce, Aad::from(purpose), &mut rest).map_err(|_| SealError::Unopenable)?;
        let text = std::str::from_utf8(opened).map_err(|_| SealError::Unopenable)?;
        Ok(SecretString::from(text))
    }

    /// Returns `true` if the text was sealed with one of these keys, as far as its beginning tells.
    pub(super) fn has_key_of(&self, sealed: &str) -> bool {
        sealed.split_once('.').is_some_and(|(id, _)| self.key(id).is_some())
    }

    fn key(&self, id: &str) -> Option<&LessSafeKey> {
        self.keys.iter().find(|key| key.id == id).map(|key| &key.key)
    }
}

impl SealingKey {
    /// Reads a key: base 64 of 32 bytes.
    fn new(text: &str) -> Result<Self, Error> {
        let bytes = STANDARD.decode(text).map_err(|_| Error::Sealing)?;
        let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes).map_err(|_| Error::Sealing)?;
        // 48 bits of a digest tell keys apart, and nothing of a random key.
        let digest = digest::digest(&digest::SHA256, &bytes);
        Ok(Self { id: URL_SAFE_NO_PAD.encode(&digest.as_ref()[..6]), key: LessSafeKey::new(key) })
    }
}

impl TryFrom<SealingDocument> for SealingKeys {
    type Error = Error;

    fn try_from(document: SealingDocument) -> Result<Self, Error> {
        let keys = document.keys.iter().map(|key| SealingKey::new(key)).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(Error::Sealing);
        }
        Ok(Self { keys })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Characters of an id.
    const ID: usize = 8;

    fn keys(keys: &[[u8; 32]]) -> SealingKeys {
        SealingDocument { keys: keys.iter().map(|key| STANDARD.encode(key)).collect() }.try_into().unwrap()
    }

    #[test]
    fn a_secret_opens_for_its_purpose_alone() {
        let key = keys(&[[7; 32]]);
        let secret = SecretString::from("a token");
        let sealed = key.seal(&secret, "tenant 1, server a").unwrap();
        assert!(!sealed.contains("token"));
        assert_ne!(sealed, key.seal(&secret, "tenant 1, server a").unwrap(), "each has its own nonce");
        assert_eq!(key.open(&sealed, "tenant 1, server a").unwrap().expose_secret(), "a token");
        for (key, sealed, purpose) in [
            (&key, sealed.as_str(), "tenant 2, server a"),
            (&keys(&[[8; 32]]), sealed.as_str(), "tenant 1, server a"),
            (&key, &sealed[ID + 1..], "tenant 1, server a"),
            (&key, &format!("x{}", &sealed[1..]), "tenant 1, server a"),
            (&key, "", "tenant 1, server a"),
            (&key, &sealed[..=ID], "tenant 1, server a"),
            (&key, &format!("{}not base 64!", &sealed[..=ID]), "tenant 1, server a"),
        ] {
            assert_eq!(key.open(sealed, purpose).unwrap_err(), SealError::Unopenable);
        }
    }

    #[test]
    fn a_new_key_seals_and_the_old_one_still_opens() {
        let secret = SecretString::from("a token");
        let before = keys(&[[7; 32]]);
        let sealed = before.seal(&secret, "p").unwrap();
        let after = keys(&[[7; 32], [8; 32]]);
        assert_eq!(after.open(&sealed, "p").unwrap().expose_secret(), "a token");
        let newer = after.seal(&secret, "p").unwrap();
        assert_ne!(sealed[..ID], newer[..ID]);
        assert_eq!(before.open(&newer, "p").unwrap_err(), SealError::Unopenable);
        assert!(before.has_key_of(&sealed) && !before.has_key_of(&newer));
    }

    #[test]
    fn keys_that_were_lost_and_keys_made_since_open_together() {
        let secret = SecretString::from("a token");
        let lost = keys(&[[7; 32], [8; 32]]);
        let since = keys(&[[9; 32]]);
        let sealed = [lost.seal(&secret, "p").unwrap(), since.seal(&secret, "p").unwrap()];
        let restored = keys(&[[7; 32], [8; 32], [9; 32]]);
        for sealed in &sealed {
            assert_eq!(restored.open(sealed, "p").unwrap().expose_secret(), "a token");
        }
    }

    #[test]
    fn a_document_without_a_usable_key_is_refused() {
        for keys in [vec![], vec!["c2hvcnQ=".to_owned()], vec!["?".to_owned()]] {
            assert!(SealingKeys::try_from(SealingDocument { keys }).is_err());
        }
    }
}
