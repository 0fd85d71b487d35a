//! The two secrets of a Stripe account, each by itself, because two functions need one of them each.

use sequent_aws::{Secrets, secret};
use sequent_core::SecretString;
use serde::Deserialize;

/// The key of our requests.
pub struct ApiKey(Secrets<Key>);

/// The secrets that webhooks are signed with.
pub struct WebhookSecrets(Secrets<Signing>);

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

/// A secret cannot be used. Carries none of its text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error(transparent)]
    Secret(#[from] secret::Error),
    /// Nobody has put anything into it.
    #[error("the secret has no `{0}` yet")]
    Empty(&'static str),
}

impl ApiKey {
    /// The field `secret_key` of this secret: a secret or a restricted key.
    #[must_use]
    pub fn new(client: aws_sdk_secretsmanager::Client, id: String) -> Self {
        Self(Secrets::new(client, id))
    }

    /// The key.
    ///
    /// # Errors
    /// When there is none.
    pub async fn get(&self) -> Result<SecretString, Error> {
        let key = self.0.get().await?.secret_key.clone();
        key.ok_or(Error::Empty("secret_key"))
    }
}

impl WebhookSecrets {
    /// The field `webhook_secrets` of the secret that `STRIPE_WEBHOOK_SECRET_ID` names: one, or two while it is rolled.
    ///
    /// # Errors
    /// When the variable is not set.
    pub fn from_env(client: aws_sdk_secretsmanager::Client) -> Option<Self> {
        let id = std::env::var("STRIPE_WEBHOOK_SECRET_ID").ok().filter(|id| !id.is_empty())?;
        Some(Self(Secrets::new(client, id)))
    }

    /// The secrets.
    ///
    /// # Errors
    /// When there are none.
    pub async fn get(&self) -> Result<Vec<SecretString>, Error> {
        let secrets = self.0.get().await?.webhook_secrets.clone();
        if secrets.is_empty() { Err(Error::Empty("webhook_secrets")) } else { Ok(secrets) }
    }
}
