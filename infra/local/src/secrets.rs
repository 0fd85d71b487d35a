//! Fills in the secrets that CloudFormation cannot generate: an Ed25519 signing key and two symmetric keys.
//! Existing values are kept.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::Ed25519KeyPair;
use serde_json::{Map, Value, json};

use crate::aws::{self, Endpoint};

/// Failures of reading or writing secrets.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call to the endpoint failed.
    #[error(transparent)]
    Aws(#[from] aws::Error),
    /// The secret has a value that no field can be added to.
    #[error("the value of secret {0} is not a JSON object; correct or delete it")]
    Shape(String),
    /// The operating system returned no random bytes.
    #[error("the operating system returned no random bytes for new keys")]
    Randomness,
}

/// Adds missing keys to the application's secret, and sets the administrators' key if one is given.
pub async fn seed(endpoint: &Endpoint, secret_id: &str, admin_key: Option<&str>) -> Result<(), Error> {
    let mut value = read(endpoint, secret_id).await?;
    let mut changed = false;
    if value.get("jwt_keys").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        value.insert("jwt_keys".to_owned(), json!([signing_key()?]));
        changed = true;
    }
    for name in ["cursor_key", "csrf_key"] {
        if !value.contains_key(name) {
            value.insert(name.to_owned(), Value::String(STANDARD.encode(random::<32>()?)));
            changed = true;
        }
    }
    if let Some(key) = admin_key
        && value.get("admin_key").and_then(Value::as_str) != Some(key)
    {
        value.insert("admin_key".to_owned(), json!(key));
        changed = true;
    }
    if changed { write(endpoint, secret_id, value).await } else { Ok(()) }
}

/// Gives a secret without a value an empty object.
pub async fn ensure(endpoint: &Endpoint, secret_id: &str) -> Result<(), Error> {
    let value = read(endpoint, secret_id).await?;
    if value.is_empty() { write(endpoint, secret_id, value).await } else { Ok(()) }
}

/// Sets a field of a secret. `None` leaves the field unchanged.
pub async fn set(
    endpoint: &Endpoint,
    secret_id: &str,
    name: &str,
    value: Option<Value>,
) -> Result<(), Error> {
    let mut object = read(endpoint, secret_id).await?;
    match value {
        Some(value) if object.get(name) != Some(&value) => {
            object.insert(name.to_owned(), value);
            write(endpoint, secret_id, object).await
        }
        None if object.is_empty() => write(endpoint, secret_id, object).await,
        _ => Ok(()),
    }
}

async fn read(endpoint: &Endpoint, secret_id: &str) -> Result<Map<String, Value>, Error> {
    let body = json!({"SecretId": secret_id});
    match endpoint.json("secretsmanager", "secretsmanager.GetSecretValue", &body).await {
        // If a secret has no value, AWS returns an error but an emulator may return an empty value.
        Ok(answer) => match answer["SecretString"].as_str() {
            None | Some("") => Ok(Map::new()),
            Some(text) => serde_json::from_str(text).map_err(|_| Error::Shape(secret_id.to_owned())),
        },
        // AWS returns the same error for a secret without a value as for no secret.
        Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(Map::new()),
        Err(error) => Err(error.into()),
    }
}

async fn write(endpoint: &Endpoint, secret_id: &str, value: Map<String, Value>) -> Result<(), Error> {
    let body = json!({
        "SecretId": secret_id,
        "SecretString": Value::Object(value).to_string(),
        "ClientRequestToken": crate::request_id(),
    });
    endpoint.json("secretsmanager", "secretsmanager.PutSecretValue", &body).await?;
    Ok(())
}

fn signing_key() -> Result<Value, Error> {
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| Error::Randomness)?;
    let kid: String = random::<8>()?.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(json!({
        "kid": kid,
        "private_key": STANDARD.encode(key.as_ref()),
        "not_before": time::OffsetDateTime::now_utc().unix_timestamp(),
        "not_after": null,
    }))
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::Randomness)?;
    Ok(bytes)
}
