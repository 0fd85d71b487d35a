//! The two secrets of a Stripe account. They are separate because two functions need one of them each.

use sequent_aws::{Secrets, secret};
use sequent_core::SecretString;
use serde::Deserialize;

/// The API key of our requests.
pub struct ApiKey(Secrets<Key>);

/// The secrets that sign webhooks.
pub struct WebhookSecrets(Source);

enum Source {
    Manager(Secrets<Signing>),
    Fixed(Vec<SecretString>),
}

#[derive(Deserialize)]
struct Key {
    #[serde(default)]
    secret_key: Option<SecretString>,
}

#[derive(Deserialize)]
struct Signing {
    #[serde(default)]
    webhook_secrets: Vec<SecretString>,
}

/// A secret cannot be used. The message contains nothing of its text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Secrets Manager did not return the secret.
    #[error(transparent)]
    Secret(#[from] secret::Error),
    /// The field has not been filled in yet.
    #[error("the secret has no field `{0}`; add it")]
    Empty(&'static str),
}

impl ApiKey {
    /// Reads the field `secret_key` of the secret `id`: a secret or a restricted key.
    #[must_use]
    pub fn new(client: aws_sdk_secretsmanager::Client, id: String) -> Self {
        Self(Secrets::new(client, id))
    }

    /// Returns the API key.
    ///
    /// # Errors
    /// Fails if the secret cannot be read or has no key.
    pub async fn get(&self) -> Result<SecretString, Error> {
        let key = self.0.get().await?.secret_key.clone();
        key.ok_or(Error::Empty("secret_key"))
    }
}

impl WebhookSecrets {
    /// Reads the field `webhook_secrets` of the secret that `STRIPE_WEBHOOK_SECRET_ID` names: one secret, or two during a
    /// rotation. Returns `None` if the variable is not set.
    pub fn from_env(client: aws_sdk_secretsmanager::Client) -> Option<Self> {
        let id = std::env::var("STRIPE_WEBHOOK_SECRET_ID").ok().filter(|id| !id.is_empty())?;
        Some(Self(Source::Manager(Secrets::new(client, id))))
    }

    /// Returns a source of these secrets.
    #[must_use]
    pub fn fixed(secrets: Vec<SecretString>) -> Self {
        Self(Source::Fixed(secrets))
    }

    /// Returns all signing secrets.
    ///
    /// # Errors
    /// Fails if the secret cannot be read or holds no signing secret.
    pub async fn get(&self) -> Result<Vec<SecretString>, Error> {
        let secrets = match &self.0 {
            Source::Manager(secrets) => secrets.get().await?.webhook_secrets.clone(),
            Source::Fixed(secrets) => secrets.clone(),
        };
        if secrets.is_empty() { Err(Error::Empty("webhook_secrets")) } else { Ok(secrets) }
    }
}
