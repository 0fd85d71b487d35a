//! Fills in the secrets that CloudFormation cannot make: an Ed25519 signing key and two symmetric keys.
//! Whatever is there already is kept.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::Ed25519KeyPair;
use serde_json::{Map, Value, json};

use crate::aws::{self, Endpoint};

/// What can go wrong with the secrets.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The endpoint refused.
    #[error(transparent)]
    Aws(#[from] aws::Error),
    /// There is a value, but not one we may add to.
    #[error("secret {0} does not hold a JSON object")]
    Shape(String),
    /// The operating system gave no randomness.
    #[error("no randomness to make keys from")]
    Randomness,
}

/// Adds the keys that are missing from the application's secret, and sets the administrators' key if there is to be one.
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

/// Sets a field of a secret. Without a value it stays as it is.
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
        // An emulator may answer with no value where AWS answers that there is none.
        Ok(answer) => match answer["SecretString"].as_str() {
            None | Some("") => Ok(Map::new()),
            Some(text) => serde_json::from_str(text).map_err(|_| Error::Shape(secret_id.to_owned())),
        },
        // A secret without a value looks the same as none at all.
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
