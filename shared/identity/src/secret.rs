//! The secrets of identity. Each is a row of its own in the table of secrets, so that a function reads what it needs:
//!
//! | secret | contents | read by |
//! |---|---|---|
//! | `signing` | private keys of access tokens, key of refresh tokens | the functions that issue tokens and rotate keys |
//! | `pipeline` | public keys of access tokens, keys of CSRF tokens and page cursors | every function with callers |
//! | `sealing` | keys that encrypt secrets of tenants | the functions that store or use such secrets |
//! | `admin` | the key of the operator | the functions with routes for the operator |
//!
//! A deployment starts without any. The first process that needs keys makes them, and the condition of its write makes
//! sure that there is one first. The operator stores only `admin`.

mod admin;
mod http_keys;
mod pipeline;
mod sealing;
mod seed;
mod vault;

use sequent_aws::secret;
use sequent_core::Timestamp;
use sequent_tables::{Label, Row, SecretName, SecretTable, Transaction, Update, Write};

pub use admin::AdminKey;
pub use http_keys::{HttpKeys, InvalidKey};
pub use pipeline::PipelineSecret;
pub use sealing::{SealError, SealingKeys};
pub use vault::Vault;

use crate::signing::{
    self,
    stored::{SigningDocument, StoredPublicKey},
};
use pipeline::PipelineDocument;

/// The write of the first private keys.
const FIRST: Label = Label::new("first keys");

/// Makes the first keys of tokens, cursors and CSRF tokens. If there are private keys, nothing changes. If only they are
/// missing, because an operator has deleted them, the public ones are replaced and the others kept.
///
/// # Errors
/// If they cannot be made or written.
pub(crate) async fn create_keys(table: &SecretTable, now: Timestamp) -> Result<(), secret::Error> {
    let transaction = first_keys(now).map_err(|error| secret::unwritten(SecretName::Signing, error))?;
    match table.commit(transaction).await {
        Ok(()) => {
            tracing::info!("made the keys of this deployment");
            Ok(())
        }
        // Another process was first.
        Err(cancelled) if cancelled.refused(FIRST) => Ok(()),
        Err(cancelled) => Err(secret::unwritten(SecretName::Signing, cancelled)),
    }
}

fn first_keys(now: Timestamp) -> Result<Transaction, Box<dyn std::error::Error + Send + Sync>> {
    let signing = SigningDocument::generate(now)?;
    Ok(Transaction::new()
        .write(Write::insert(Row::new(&SecretName::Signing.key(), &signing)?))
        .label(FIRST)
        .write(published(signing.public_keys()?)?))
}

/// The update that publishes these keys. It makes the other keys of the pipeline if they are missing.
pub(crate) fn published(public_keys: Vec<StoredPublicKey>) -> Result<Update, secret::Error> {
    let pipeline = PipelineDocument::generate(public_keys)?;
    Ok(Update::of(&SecretName::Pipeline.key())
        .set("public_keys", &pipeline.public_keys)
        .set_if_absent("csrf_key", &pipeline.csrf_key)
        .set_if_absent("cursor_key", &pipeline.cursor_key))
}

/// A secret cannot be used. The error contains none of its text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A signing key is missing or wrong.
    #[error(transparent)]
    Signing(#[from] signing::Error),
    /// The key of CSRF tokens is too short or not base 64.
    #[error(transparent)]
    Csrf(#[from] InvalidKey),
    /// A sealing key is not base 64 of 32 bytes, or there is none.
    #[error("a sealing key is not base 64 of 32 bytes")]
    Sealing,
    /// The key of the operator is too short.
    #[error("the admin key has fewer than {} characters", AdminKey::SHORTEST)]
    Admin,
}
