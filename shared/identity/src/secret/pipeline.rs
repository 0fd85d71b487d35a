//! The secret of every function with callers: it verifies what others have issued, and issues only cursors and CSRF tokens.

use std::fmt;

use sequent_aws::secret;
use sequent_core::{ExposeSecret as _, SecretString};
use sequent_tables::{CursorKey, SecretName};
use serde::{Deserialize, Serialize};

use super::{Error, HttpKeys};
use crate::signing::{PublicKeys, stored::StoredPublicKey};

/// The secret `pipeline` as it is stored.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct PipelineDocument {
    pub(crate) public_keys: Vec<StoredPublicKey>,
    /// At least 32 bytes, base 64.
    pub(crate) csrf_key: String,
    pub(crate) cursor_key: String,
}

impl PipelineDocument {
    /// New keys beside these public ones.
    pub(crate) fn generate(public_keys: Vec<StoredPublicKey>) -> Result<Self, secret::Error> {
        Ok(Self {
            public_keys,
            csrf_key: secret::random_key(SecretName::Pipeline)?,
            cursor_key: secret::random_key(SecretName::Pipeline)?,
        })
    }
}

/// The keys of the HTTP pipeline, as they were parsed.
#[derive(Deserialize)]
#[serde(try_from = "PipelineDocument")]
pub struct PipelineSecret {
    public_keys: PublicKeys,
    http: HttpKeys,
    cursor: CursorKey,
}

impl PipelineSecret {
    /// The keys that verify access tokens.
    #[must_use]
    pub fn public_keys(&self) -> &PublicKeys {
        &self.public_keys
    }

    /// The key that page cursors are signed with.
    #[must_use]
    pub fn cursor(&self) -> &CursorKey {
        &self.cursor
    }

    /// The key of CSRF tokens.
    #[must_use]
    pub fn http(&self) -> &HttpKeys {
        &self.http
    }
}

impl TryFrom<PipelineDocument> for PipelineSecret {
    type Error = Error;

    fn try_from(document: PipelineDocument) -> Result<Self, Error> {
        let cursor = SecretString::from(document.cursor_key);
        if cursor.expose_secret().is_empty() {
            return Err(super::InvalidKey.into());
        }
        Ok(Self {
            public_keys: PublicKeys::new(document.public_keys)?,
            http: HttpKeys::new(&document.csrf_key.into())?,
            cursor: CursorKey::new(cursor),
        })
    }
}

impl fmt::Debug for PipelineSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipelineSecret").field("public_keys", &self.public_keys).finish_non_exhaustive()
    }
}
