//! The rotation of the signing key. No valid token becomes invalid.
//!
//! The next key is published [`LEAD`] before it signs, so that every process and every reader of the key set has it by
//! then. The previous key verifies until the last token that it signed has expired. The rotation runs on a schedule. If
//! it runs twice, even at the same time, it rotates once. It also publishes the keys again if they are not published as
//! they are, because their row was lost or restored.

use std::time::Duration;

use sequent_aws::secret;
use sequent_core::Timestamp;
use sequent_tables::{Cancelled, Label, Row, SecretName, SecretTable, Transaction, Write, attribute};
use serde::Serialize;

use super::stored::{PrivateKey, SigningDocument};
use crate::secret::{create_keys, published};

/// The time between the publication of a key and its first signature: two refreshes of the secret in a process.
pub const LEAD: Duration = Duration::from_secs(2 * secret::REFRESH.as_secs());

/// The write of the private keys.
const SIGNING: Label = Label::new("signing");
/// The write of the public keys.
const PUBLIC: Label = Label::new("public");

/// The rotation failed, and the keys are unchanged. The error contains none of their text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The secrets could not be read.
    #[error(transparent)]
    Secret(#[from] secret::Error),
    /// The table could not be read, or the new key cannot be encoded.
    #[error(transparent)]
    Table(#[from] sequent_tables::Error),
    /// The secrets could not be written.
    #[error(transparent)]
    Write(#[from] Cancelled),
    /// A key cannot be used or made.
    #[error(transparent)]
    Key(#[from] super::Error),
}

/// The result of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A new key was published. It is the first one if the deployment is new.
    Rotated,
    /// The newest key has not reached the age.
    Young,
    /// As [`Young`](Self::Young), but the public keys were missing or others, and were published again.
    Published,
    /// The keys were changed at the same time, most likely by another rotation. This one changed nothing.
    Lost,
}

/// Rotates the keys if the newest is at least `age` old. `token_ttl` is the lifetime of access tokens.
///
/// The private and the public keys are written together, if the private keys are those that were read.
///
/// # Errors
/// If the secrets cannot be read, understood or written.
pub async fn rotate(
    table: &SecretTable,
    age: Duration,
    token_ttl: Duration,
    now: Timestamp,
) -> Result<Outcome, Error> {
    let Some(current) = table.get::<SigningDocument>(SecretName::Signing).await? else {
        create_keys(table, now).await?;
        return Ok(Outcome::Rotated);
    };
    change(table, current, age, token_ttl, now).await
}

/// Rotates or publishes the keys, if the private ones are still `current`.
async fn change(
    table: &SecretTable,
    current: SigningDocument,
    age: Duration,
    token_ttl: Duration,
    now: Timestamp,
) -> Result<Outcome, Error> {
    let is_current = attribute("version").equals(current.version);
    let key = SecretName::Signing.key();
    let keys = current.public_keys()?;
    let next = plan(current, age, token_ttl, now)?;
    let private = match &next {
        Some(next) => Write::put(Row::new(&key, next)?),
        None => Write::require(&key),
    };
    let public = match &next {
        Some(next) => published(next.public_keys()?)?,
        None => {
            let is_missing = attribute("public_keys").is_absent();
            let differs = attribute("public_keys").differs_from(&keys);
            published(keys)?.when(is_missing.or(differs))
        }
    };
    let transaction =
        Transaction::new().write(private.when(is_current)).label(SIGNING).write(public).label(PUBLIC);
    match table.commit(transaction).await {
        Ok(()) if next.is_some() => Ok(Outcome::Rotated),
        Ok(()) => Ok(Outcome::Published),
        Err(cancelled) if cancelled.refused(SIGNING) => Ok(Outcome::Lost),
        Err(cancelled) if cancelled.refused(PUBLIC) => Ok(Outcome::Young),
        Err(cancelled) => Err(cancelled.into()),
    }
}

/// Returns the keys after a rotation, or `None` if the newest key is too young.
fn plan(
    mut document: SigningDocument,
    age: Duration,
    token_ttl: Duration,
    now: Timestamp,
) -> Result<Option<SigningDocument>, super::Error> {
    let newest = document.keys.iter().map(|key| key.not_before).max().unwrap_or(0);
    if newest > now.seconds() || now.since(Timestamp::from_millis(newest.saturating_mul(1000))) < age {
        return Ok(None);
    }
    let starts = now + LEAD;
    // A process may sign with the previous key until it reads the secret again. Its last token must stay valid.
    let ends = (starts + secret::REFRESH + token_ttl + Duration::from_secs(60)).seconds();
    document.keys.retain(|key| key.not_after.is_none_or(|end| end > now.seconds()));
    for key in &mut document.keys {
        key.not_after = Some(key.not_after.map_or(ends, |end| end.min(ends)));
    }
    document.keys.push(PrivateKey::generate(starts)?);
    document.version += 1;
    Ok(Some(document))
}

#[cfg(test)]
mod tests;
