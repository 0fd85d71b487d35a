//! Replacing the signing key without refusing a token anybody holds.
//!
//! The next key is published [`LEAD`] before it signs, so that every process and every reader of the key set has it by
//! then. The one before it goes on verifying until the last token it signed has run out. Meant for a schedule; running
//! it twice, or twice at once, rotates once.

use std::time::Duration;

use aws_sdk_secretsmanager::{Client, error::DisplayErrorContext};
use base64::{Engine, engine::general_purpose::STANDARD};
use ring::{
    digest,
    rand::{SecureRandom, SystemRandom},
};
use sequent_aws::secret;
use sequent_domain::{SecretString, Timestamp};
use serde_json::{Value, json};

use super::{SigningKey, pkcs8};
use crate::{secret::derive, token::hex};

/// From publishing a key to signing with it: two refreshes of a process's copy of the secret.
pub const LEAD: Duration = Duration::from_secs(2 * secret::REFRESH.as_secs());

/// Rotation failed; the keys are as they were. Carries none of the secret's text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Secrets Manager refused or could not be reached.
    #[error("the secret could not be read or written: {0}")]
    Service(String),
    /// The secret is not the JSON object expected.
    #[error("the secret is not the JSON object expected")]
    Malformed,
    /// A key of the secret cannot be used.
    #[error(transparent)]
    Key(#[from] super::Error),
    /// The random generator failed.
    #[error("no randomness was available")]
    Random,
}

/// What a rotation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A new key was published.
    Rotated,
    /// The newest key is younger than the age asked for.
    Young,
    /// Another rotation of the same state came first.
    Lost,
}

/// Rotates the keys of secret `id` if the newest is at least `age` old. `token_ttl` is how long an access token lives.
///
/// Safe against a concurrent rotation: the new version's id is computed from the version it replaces, and Secrets
/// Manager refuses a second, different value under one `ClientRequestToken` (API reference of `PutSecretValue`).
///
/// # Errors
/// When the secret cannot be read, understood or written.
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
    let Some(next) = plan(document, age, token_ttl, now)? else { return Ok(Outcome::Young) };
    let token = hex(digest::digest(&digest::SHA256, format!("rotate {version}").as_bytes()).as_ref());
    let put =
        client.put_secret_value().secret_id(id).client_request_token(token).secret_string(next.to_string());
    match put.send().await {
        Ok(_) => Ok(Outcome::Rotated),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_exists_exception()) => {
            Ok(Outcome::Lost)
        }
        Err(error) => Err(service(error)),
    }
}

/// The secret after a rotation, or `None` when the newest key is too young. Fields that are not ours stay as they are.
fn plan(
    mut document: Value,
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
    if keys.is_empty() {
        // The derived key steps aside for listed ones, so it joins the list to be verified with for a while.
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
    if now.since(Timestamp::from_millis(newest.saturating_mul(1000))) < age || newest > now.seconds() {
        return Ok(None);
    }

    let starts = now + LEAD;
    // A process may sign with the former key until it reads the secret again, and that token lives for its whole time.
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
