//! The model providers of a deployed function, whose keys are read again while it runs.

use std::sync::{Arc, Mutex, PoisonError};

use sequent_aws::{Secrets, secret};
use sequent_tables::{SecretName, SecretTable};

use crate::{Client, Config, OperatorTable, config, price::Prices};

/// The error of a deployment's model configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is not valid.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The secret with the keys cannot be read, and the environment configures no provider either. The
    /// provider is then unknown, and the demo must not answer instead of a real model.
    #[error("could not read the secret of the model providers")]
    Unknown(#[source] secret::Error),
}

/// The source of the configuration of a client.
#[derive(Debug)]
pub(crate) enum ClientSettings {
    Fixed(Arc<Config>),
    Stored(StoredSettings),
}

/// The environment and the secret, and the configuration that was made of them.
#[derive(Debug)]
pub(crate) struct StoredSettings {
    secrets: Secrets<config::Secrets>,
    made: Mutex<MadeConfig>,
}

/// A configuration, and the value of the secret that it was made of.
#[derive(Debug, Clone)]
struct MadeConfig {
    of: Option<Arc<config::Secrets>>,
    config: Arc<Config>,
}

impl Client {
    /// Creates a client from the environment, the secret `models` and the stored tables, and [warms](Self::warm) it. What is
    /// stored is read again every [`secret::REFRESH`], and after a provider has refused a key.
    ///
    /// # Errors
    /// If a setting is not valid, or the secret cannot be read and the environment configures no provider.
    pub async fn deployed(table: &SecretTable) -> Result<Self, Error> {
        let secrets = Secrets::optional_row(table, SecretName::Models);
        let base = Config::from_env(config::Secrets::default())?;
        let prices = Prices::stored(base.prices, table);
        let abilities = OperatorTable::stored(base.abilities, table);
        let (read, _, _) = tokio::join!(secrets.get(), prices.current(), abilities.current());
        let config = Config::from_env(read.as_deref().cloned().unwrap_or_default())?;
        let of = match read {
            Ok(value) => Some(value),
            Err(error) if !config.has_provider() => return Err(Error::Unknown(error)),
            Err(error) => {
                tracing::error!(%error, "could not read the secret of the model providers; using the environment's keys only");
                None
            }
        };
        let made = Mutex::new(MadeConfig { of, config: Arc::new(config) });
        let models = Self::of(ClientSettings::Stored(StoredSettings { secrets, made }), prices, abilities);
        models.warm();
        Ok(models)
    }
}

impl ClientSettings {
    /// The configuration as it was last made.
    pub(crate) fn known(&self) -> Arc<Config> {
        match self {
            Self::Fixed(config) => Arc::clone(config),
            Self::Stored(stored) => stored.made().config,
        }
    }

    /// The configuration with keys that are at most [`secret::REFRESH`] old.
    pub(crate) async fn current(&self) -> Arc<Config> {
        match self {
            Self::Fixed(config) => Arc::clone(config),
            Self::Stored(stored) => stored.made_of(stored.secrets.get().await.ok()),
        }
    }

    /// Reads the keys again, because a provider refused one of `used`. Returns `None` if there are no other keys.
    pub(crate) async fn after_refusal(&self, used: &Arc<Config>) -> Option<Arc<Config>> {
        let Self::Stored(stored) = self else { return None };
        let known = stored.made().config;
        if !Arc::ptr_eq(&known, used) {
            return Some(known); // another request has read them
        }
        let reread = stored.secrets.reread().await.ok().flatten()?;
        let current = stored.made_of(Some(reread));
        (!Arc::ptr_eq(&current, used)).then_some(current)
    }
}

impl StoredSettings {
    fn made(&self) -> MadeConfig {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the configuration with these keys. Without any, or if they are the known ones or cannot be used, it is the
    /// known configuration.
    fn made_of(&self, secrets: Option<Arc<config::Secrets>>) -> Arc<Config> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = |value: &Arc<config::Secrets>| made.of.as_ref().is_some_and(|of| of.equals(value));
        let Some(secrets) = secrets.filter(|value| !is_known(value)) else { return Arc::clone(&made.config) };
        match Config::from_env((*secrets).clone()) {
            Ok(config) => {
                tracing::info!("the keys of the model providers have changed");
                *made = MadeConfig { of: Some(secrets), config: Arc::new(config) };
            }
            Err(error) => {
                tracing::error!(%error, "the new keys of the model providers cannot be used; keeping the earlier ones");
            }
        }
        Arc::clone(&made.config)
    }
}
