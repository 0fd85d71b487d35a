//! Opaque, signed page cursors.
//!
//! A cursor names the sort key a page ended at, signed together with the partition it came from. It can therefore
//! neither be forged nor carried from one tenant's list, or from one list, to another.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::key::Partition;

const TAG: usize = 16;
const LONGEST: usize = 600;

/// The text is not a cursor of this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is not one this list has given out")]
pub struct InvalidCursor;

/// The key cursors are signed with.
#[derive(Clone)]
pub struct CursorKey(SecretString);

impl CursorKey {
    /// Any text with at least 128 bits of entropy.
    #[must_use]
    pub fn new(secret: SecretString) -> Self {
        Self(secret)
    }

    /// The cursor for "continue after `sort_key`".
    pub(crate) fn seal(&self, partition: &Partition, sort_key: &str) -> String {
        let mut bytes = self.tag(partition, sort_key).to_vec();
        bytes.extend_from_slice(sort_key.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The sort key of a cursor this list gave out.
    pub(crate) fn open(&self, partition: &Partition, cursor: &str) -> Result<String, InvalidCursor> {
        if cursor.len() > LONGEST {
            return Err(InvalidCursor);
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| InvalidCursor)?;
        let (tag, sort_key) = bytes.split_at_checked(TAG).ok_or(InvalidCursor)?;
        let sort_key = std::str::from_utf8(sort_key).map_err(|_| InvalidCursor)?;
        // `verify_truncated_left` compares in constant time.
        self.mac(partition, sort_key).verify_truncated_left(tag).map_err(|_| InvalidCursor)?;
        Ok(sort_key.to_owned())
    }

    fn tag(&self, partition: &Partition, sort_key: &str) -> [u8; TAG] {
        let full = self.mac(partition, sort_key).finalize().into_bytes();
        std::array::from_fn(|i| full[i])
    }

    fn mac(&self, partition: &Partition, sort_key: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret().as_bytes())
            .expect("HMAC takes a key of any length");
        for part in [partition.index.unwrap_or("table"), &partition.pk, sort_key] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key;
    use proptest::prelude::*;
    use sequent_core::TenantId;

    fn cursor_key() -> CursorKey {
        CursorKey::new("a key for tests".to_owned().into())
    }

    proptest! {
        #[test]
        fn opens_what_it_sealed_and_only_in_its_own_list(bits: u128, other: u128, sort_key in "[ -~]{0,80}") {
            prop_assume!(bits != other);
            let (mine, theirs) = (key::runs(TenantId::from_bits(bits)), key::runs(TenantId::from_bits(other)));
            let cursor = cursor_key().seal(&mine, &sort_key);
            prop_assert_eq!(cursor_key().open(&mine, &cursor), Ok(sort_key));
            prop_assert_eq!(cursor_key().open(&theirs, &cursor), Err(InvalidCursor));
            prop_assert_eq!(cursor_key().open(&key::projects(TenantId::from_bits(bits)), &cursor), Err(InvalidCursor));
        }

        #[test]
        fn garbage_is_refused_without_a_panic(text in ".{0,700}") {
            prop_assert!(cursor_key().open(&key::runs(TenantId::from_bits(1)), &text).is_err());
        }
    }
}
