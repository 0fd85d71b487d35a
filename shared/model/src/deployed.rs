//! The model providers of a deployed function.

use std::sync::Arc;

use sequent_aws::{Secrets, secret};

use crate::{Client, Config, config};

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

impl Client {
    /// Creates a client from the environment and the secret that `MODEL_SECRETS_ID` names, and
    /// [warms](Self::warm) it.
    ///
    /// # Errors
    /// If a setting is not valid, or the secret cannot be read and the environment configures no provider.
    pub async fn deployed(client: &aws_sdk_secretsmanager::Client) -> Result<Self, Error> {
        let result = match std::env::var("MODEL_SECRETS_ID").ok().filter(|id| !id.is_empty()) {
            Some(id) => Secrets::<config::Secrets>::new(client.clone(), id).get().await,
            None => Ok(Arc::default()),
        };
        let secrets = result.as_deref().cloned().unwrap_or_default();
        let models = Self::new(Config::from_env(secrets)?);
        if let Err(error) = result {
            if models.describe(models.default_model()).demo {
                return Err(Error::Unknown(error));
            }
            tracing::error!(%error, "could not read the secret of the model providers; using the environment's keys only");
        }
        models.warm();
        Ok(models)
    }
}
