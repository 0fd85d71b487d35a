//! The two secrets of a Stripe account. They are separate because two functions need one of them each.

use sequent_aws::{Secrets, secret};
use sequent_core::SecretString;
use sequent_tables::{SecretName, SecretTable};
use serde::Deserialize;

/// The API key of our requests.
pub struct ApiKey(Secrets<Key>);

/// The secrets that sign webhooks.
pub struct WebhookSecrets(Source);

enum Source {
    Stored(Secrets<Signing>),
    Fixed(Vec<SecretString>),
}

#[derive(Default, Deserialize)]
struct Key {
    secret_key: Option<SecretString>,
}

#[derive(Default, Deserialize)]
struct Signing {
    signing_secret: Option<SecretString>,
    previous_signing_secret: Option<SecretString>,
}

impl Signing {
    fn all(&self) -> Vec<SecretString> {
        [&self.signing_secret, &self.previous_signing_secret].into_iter().flatten().cloned().collect()
    }
}

/// A secret cannot be used. The message contains nothing of its text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The table did not return the secret.
    #[error(transparent)]
    Secret(#[from] secret::Error),
    /// The field has not been filled in yet.
    #[error("the secret has no field `{0}`; add it")]
    Empty(&'static str),
}

impl ApiKey {
    /// Reads the field `secret_key` of the secret `stripe`: a secret or a restricted key.
    #[must_use]
    pub fn new(table: &SecretTable) -> Self {
        Self(Secrets::optional_row(table, SecretName::Stripe))
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
    /// Reads the fields `signing_secret` and, during a rotation, `previous_signing_secret` of the secret `stripe-webhook`.
    #[must_use]
    pub fn stored(table: &SecretTable) -> Self {
        Self(Source::Stored(Secrets::optional_row(table, SecretName::StripeWebhook)))
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
            Source::Stored(secrets) => secrets.get().await?.all(),
            Source::Fixed(secrets) => secrets.clone(),
        };
        if secrets.is_empty() { Err(Error::Empty("signing_secret")) } else { Ok(secrets) }
    }
}
