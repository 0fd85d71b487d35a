//! Opaque, signed page cursors.
//!
//! A cursor contains the sort key at which a page ended, signed together with the partition of the list. A cursor can
//! therefore neither be forged nor used for the list of another tenant, or for another list.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::key::Partition;

const TAG: usize = 16;
const LONGEST: usize = 600;

/// The text is not a cursor that this list issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor was not issued by this list")]
pub struct InvalidCursor;

/// The key that signs cursors.
#[derive(Clone)]
pub struct CursorKey(SecretString);

impl CursorKey {
    /// A key from a text with at least 128 bits of entropy.
    #[must_use]
    pub fn new(secret: SecretString) -> Self {
        Self(secret)
    }

    /// Makes the cursor that continues after `sort_key`.
    pub(crate) fn seal(&self, partition: &Partition, sort_key: &str) -> String {
        let mut bytes = self.tag(partition, sort_key).to_vec();
        bytes.extend_from_slice(sort_key.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Returns the sort key of a cursor that this list issued.
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
            .expect("HMAC accepts a key of any length");
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
        fn a_cursor_opens_in_its_own_list_only(bits: u128, other: u128, sort_key in "[ -~]{0,80}") {
            prop_assume!(bits != other);
            let mine = key::runs(TenantId::from_bits(bits));
            let theirs = key::runs(TenantId::from_bits(other));
            let cursor = cursor_key().seal(&mine, &sort_key);
            prop_assert_eq!(cursor_key().open(&mine, &cursor), Ok(sort_key));
            prop_assert_eq!(cursor_key().open(&theirs, &cursor), Err(InvalidCursor));
            prop_assert_eq!(cursor_key().open(&key::projects(TenantId::from_bits(bits)), &cursor), Err(InvalidCursor));
        }

        #[test]
        fn other_texts_are_refused_without_a_panic(text in ".{0,700}") {
            prop_assert!(cursor_key().open(&key::runs(TenantId::from_bits(1)), &text).is_err());
        }
    }
}
