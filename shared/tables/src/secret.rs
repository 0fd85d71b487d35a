//! The table of secrets: one row for each, so that the role of a function is allowed by the key of the row to read some
//! secrets and not others.
//!
//! Its rows have the keys of the main table, so the same [`Store`] reads and writes them.

use std::{fmt, sync::Arc};

use sequent_core::setting;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Cancelled, Error, Key, Retry, Row, Store, Tables, Transaction, key};

/// The name of a secret, which is the key of its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretName {
    /// The private keys that sign access tokens, and the key of refresh tokens.
    Signing,
    /// The public keys that verify access tokens, and the keys of page cursors and CSRF tokens.
    Pipeline,
    /// The keys that encrypt the secrets of tenants.
    Sealing,
    /// The key of the operator.
    Admin,
    /// The keys of model providers.
    Models,
    /// The prices of models. They are not secret, but can be replaced as secrets are.
    Prices,
    /// The abilities of models, which are as little secret.
    Abilities,
    /// The tenant whose prompts jobs use for all tenants. It is as little secret.
    Prompts,
    /// The key of the addresses of previews.
    Preview,
    /// The key of Stripe's API.
    Stripe,
    /// The signing secrets of Stripe's webhook.
    StripeWebhook,
    /// The headers of requests to the collector of traces.
    Traces,
}

impl SecretName {
    /// The name as the operator types it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signing => "signing",
            Self::Pipeline => "pipeline",
            Self::Sealing => "sealing",
            Self::Admin => "admin",
            Self::Models => "models",
            Self::Prices => "prices",
            Self::Abilities => "abilities",
            Self::Prompts => "prompts",
            Self::Preview => "preview",
            Self::Stripe => "stripe",
            Self::StripeWebhook => "stripe-webhook",
            Self::Traces => "traces",
        }
    }

    /// The key of its row.
    #[must_use]
    pub fn key(self) -> Key {
        key::secret(self.as_str())
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The table of secrets. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SecretTable(Store);

impl SecretTable {
    /// The table that `SECRETS_TABLE` names.
    ///
    /// # Errors
    /// The error names the missing variable.
    pub fn from_env(config: &aws_config::SdkConfig) -> Result<Self, String> {
        let name: Arc<str> = setting::required("SECRETS_TABLE").map_err(|error| error.to_string())?.into();
        Ok(Self::new(Store::connect(config, Tables { main: Arc::clone(&name), events: name })))
    }

    /// The table that is the main table of this store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self(store)
    }

    /// Reads a secret, strongly consistent. Returns `None` if it does not exist.
    ///
    /// # Errors
    /// Returns an error if the table cannot be read or the secret is not a `T`. The message of the parser is left out,
    /// because it may quote the secret.
    pub async fn get<T: DeserializeOwned>(&self, name: SecretName) -> Result<Option<T>, Error> {
        match self.0.get(&name.key()).await {
            Err(Error::Malformed(_)) => {
                Err(Error::Malformed(format!("the secret {name} does not have the expected form").into()))
            }
            read => read,
        }
    }

    /// Stores a secret. One that exists is kept.
    ///
    /// # Errors
    /// Returns an error if the table cannot be written.
    pub async fn insert_if_missing(&self, name: SecretName, value: &impl Serialize) -> Result<(), Error> {
        match self.0.insert(Row::new(&name.key(), value)?).await {
            Ok(()) | Err(Error::Conflict(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Writes several secrets or none.
    ///
    /// # Errors
    /// Returns an error if a condition does not hold or the table cannot be written.
    pub async fn commit(&self, transaction: Transaction) -> Result<(), Cancelled> {
        self.0.commit(transaction, Retry::BRIEF).await
    }

    /// Makes one cheap read that finds nothing. It shows that the table can be reached and read.
    ///
    /// # Errors
    /// Returns an error if the table cannot be read.
    pub async fn ping(&self) -> Result<(), Error> {
        self.0.ping(crate::TableName::Main).await
    }
}
