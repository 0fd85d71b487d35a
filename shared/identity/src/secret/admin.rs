//! The key of the operator of the deployment.

use ring::digest;
use sequent_core::{ExposeSecret, SecretString};
use serde::Deserialize;
use subtle::ConstantTimeEq;

use super::Error;

/// The key of the operator, if there is one. The operator stores it as the field `key`.
#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "AdminDocument")]
pub struct AdminKey(Option<SecretString>);

#[derive(Deserialize)]
struct AdminDocument {
    key: Option<SecretString>,
}

impl AdminKey {
    /// The fewest characters of a key. A shorter one is not accepted at all.
    pub const SHORTEST: usize = 32;

    pub(super) fn new(key: Option<SecretString>) -> Result<Self, Error> {
        match key {
            Some(key) if key.expose_secret().chars().count() < Self::SHORTEST => Err(Error::Admin),
            key => Ok(Self(key)),
        }
    }

    /// Returns `true` if `presented` is the key. Without a key, none is. The comparison takes constant time and does not
    /// reveal the length of the key.
    #[must_use]
    pub fn is(&self, presented: &[u8]) -> bool {
        let digest = |key: &[u8]| digest::digest(&digest::SHA256, key);
        let key = self.0.as_ref().map(|key| digest(key.expose_secret().as_bytes()));
        key.is_some_and(|key| key.as_ref().ct_eq(digest(presented).as_ref()).into())
    }
}

impl TryFrom<AdminDocument> for AdminKey {
    type Error = Error;

    fn try_from(document: AdminDocument) -> Result<Self, Error> {
        Self::new(document.key)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_configured_key_is_the_admin_key() {
        let key = "0123456789abcdef0123456789abcdef";
        let admin: AdminKey = serde_json::from_value(json!({ "key": key })).unwrap();
        assert!(admin.is(key.as_bytes()));
        assert!(!admin.is(&key.as_bytes()[1..]) && !admin.is(b""));
        assert!(!AdminKey::default().is(b""));
        assert!(!serde_json::from_value::<AdminKey>(json!({})).unwrap().is(b""));
    }

    #[test]
    fn a_key_that_can_be_guessed_opens_nothing() {
        for key in ["", "a", "0123456789abcdef0123456789abcde"] {
            let refused = serde_json::from_value::<AdminKey>(json!({ "key": key })).unwrap_err().to_string();
            assert!(
                refused.contains("fewer than 32") && (key.is_empty() || !refused.contains("0123")),
                "{refused}"
            );
        }
    }
}
