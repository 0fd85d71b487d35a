//! The rotation of the signing key. No valid token becomes invalid.
//!
//! The next key is published [`LEAD`] before it signs, so that every process and every reader of the key set has it by
//! then. The previous key verifies until the last token that it signed has expired. The rotation runs on a schedule. If
//! it runs twice, even at the same time, it rotates once, and other changes of the secret are kept.

use std::time::Duration;

use aws_sdk_secretsmanager::{
    Client, error::DisplayErrorContext, operation::update_secret_version_stage::UpdateSecretVersionStageError,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use ring::rand::{SecureRandom, SystemRandom};
use sequent_aws::secret;
use sequent_core::{SecretString, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use super::{SigningKey, pkcs8};
use crate::secret::derive;

/// The time between the publication of a key and its first signature: two refreshes of the secret in a process.
pub const LEAD: Duration = Duration::from_secs(2 * secret::REFRESH.as_secs());

/// The labels in Secrets Manager of the version that is read, and of one that is to become it.
const CURRENT: &str = "AWSCURRENT";
const PENDING: &str = "AWSPENDING";

/// The rotation failed, and the keys are unchanged. The error contains none of the text of the secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Secrets Manager refused or could not be reached.
    #[error("the secret could not be read or written: {0}")]
    Service(String),
    /// The secret is not the expected JSON object.
    #[error("the secret is not the expected JSON object")]
    Malformed,
    /// A key of the secret cannot be used.
    #[error(transparent)]
    Key(#[from] super::Error),
    /// The random generator failed.
    #[error("the random generator failed")]
    Random,
}

/// The result of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A new key was published.
    Rotated,
    /// The newest key has not reached the age.
    Young,
    /// The secret was changed at the same time, most likely by another rotation. This one changed nothing.
    Lost,
}

/// Rotates the keys of secret `id` if the newest is at least `age` old. `token_ttl` is the lifetime of access tokens.
///
/// The new version becomes the current one by a compare-and-swap: `UpdateSecretVersionStage` moves `AWSCURRENT` only off
/// the version that was read, so no writer undoes the change of a concurrent one. A version that lost, or that remains
/// after a crash, is never read.
///
/// # Errors
/// If the secret cannot be read, understood or written.
pub async fn rotate(
    client: &Client,
    id: &str,
    age: Duration,
    token_ttl: Duration,
    now: Timestamp,
) -> Result<Outcome, Error> {
    let current = client.get_secret_value().secret_id(id).send().await.map_err(service)?;
    let (Some(text), Some(version)) = (current.secret_string(), current.version_id()) else {
        return Err(Error::Malformed);
    };
    let document: Value = serde_json::from_str(text).map_err(|_| Error::Malformed)?;
    let created = current.created_date().map_or(0, aws_sdk_secretsmanager::primitives::DateTime::secs);
    let Some(next) = plan(document, created, age, token_ttl, now)? else { return Ok(Outcome::Young) };
    let put = client.put_secret_value().secret_id(id).secret_string(next.to_string());
    let put = put.version_stages(PENDING).send().await.map_err(service)?;
    publish(client, id, version, put.version_id().ok_or(Error::Malformed)?).await
}

/// Replaces version `version` by `next` as the current one.
async fn publish(client: &Client, id: &str, version: &str, next: &str) -> Result<Outcome, Error> {
    let swap = client.update_secret_version_stage().secret_id(id).version_stage(CURRENT);
    let Err(error) = swap.remove_from_version_id(version).move_to_version_id(next).send().await else {
        return Ok(Outcome::Rotated);
    };
    if !error.as_service_error().is_some_and(UpdateSecretVersionStageError::is_invalid_parameter_exception) {
        return Err(service(error));
    }
    // Another writer moved the label, or an earlier attempt of this one did and its response was lost.
    let current = client.get_secret_value().secret_id(id).send().await.map_err(service)?;
    match current.version_id() {
        Some(current) if current == next => Ok(Outcome::Rotated),
        Some(current) if current != version => Ok(Outcome::Lost),
        _ => Err(service(error)),
    }
}

/// Returns the secret after a rotation, or `None` if the newest key is too young. Other fields are kept. The age of a
/// derived key is that of the version of the secret, which was created at second `created`.
fn plan(
    mut document: Value,
    created: i64,
    age: Duration,
    token_ttl: Duration,
    now: Timestamp,
) -> Result<Option<Value>, Error> {
    let fields = document.as_object_mut().ok_or(Error::Malformed)?;
    let mut keys = match fields.remove("jwt_keys") {
        None => Vec::new(),
        Some(Value::Array(keys)) => keys,
        Some(_) => return Err(Error::Malformed),
    };
    let derived = keys.is_empty();
    if derived {
        // A listed key replaces the derived one, so the derived key is listed, too, to verify for a while.
        let root = ["seed", "csrf_key"].iter().find_map(|name| fields.get(*name)?.as_str());
        let root = SecretString::from(root.ok_or(super::Error::NoRoot)?);
        let kid = SigningKey::derived(&root)?.kid;
        let der = pkcs8(&derive(&root, super::FIRST_KEY));
        keys.push(
            json!({"kid": kid, "private_key": STANDARD.encode(der), "not_before": 0, "not_after": null}),
        );
    }
    let not_before = |key: &Value| key.get("not_before").and_then(Value::as_i64);
    let newest = keys.iter().filter_map(not_before).max().ok_or(Error::Malformed)?;
    let newest = if derived { created } else { newest };
    if now.since(Timestamp::from_millis(newest.saturating_mul(1000))) < age || newest > now.seconds() {
        return Ok(None);
    }

    let starts = now + LEAD;
    // A process may sign with the previous key until it reads the secret again. Its last token must stay valid.
    let ends = (starts + secret::REFRESH + token_ttl + Duration::from_secs(60)).seconds();
    keys.retain(|key| key.get("not_after").and_then(Value::as_i64).is_none_or(|end| end > now.seconds()));
    for key in &mut keys {
        let end = key.get("not_after").and_then(Value::as_i64).map_or(ends, |end| end.min(ends));
        key.as_object_mut().ok_or(Error::Malformed)?.insert("not_after".to_owned(), json!(end));
    }
    let mut seed = [0; 32];
    SystemRandom::new().fill(&mut seed).map_err(|_| Error::Random)?;
    let der = pkcs8(&seed);
    let kid = SigningKey::from_pkcs8(None, &der)?.kid;
    keys.push(json!({
        "kid": kid, "private_key": STANDARD.encode(der), "not_before": starts.seconds(), "not_after": null,
    }));
    fields.insert("jwt_keys".to_owned(), Value::Array(keys));
    Ok(Some(document))
}

fn service<E: std::error::Error + Send + Sync + 'static>(error: E) -> Error {
    Error::Service(DisplayErrorContext(error).to_string())
}

#[cfg(test)]
mod tests;
