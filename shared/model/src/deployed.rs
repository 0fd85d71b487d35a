//! The model providers of a deployed function.

use std::sync::Arc;

use sequent_aws::{Secrets, secret};

use crate::{Client, Config, config};

/// The providers of this deployment are not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is there but wrong.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The secret with the keys cannot be read, and the environment names no provider either. Who should answer is then
    /// unknown, and the demo must not answer in a real model's place.
    #[error("the model providers' secret cannot be used")]
    Unknown(#[source] secret::Error),
}

impl Client {
    /// A client of the providers that the environment names, and the secret that `MODEL_SECRETS_ID` names; its
    /// connections are [warm](Self::warm).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn deployed(client: &aws_sdk_secretsmanager::Client) -> Result<Self, Error> {
        let read = match std::env::var("MODEL_SECRETS_ID").ok().filter(|id| !id.is_empty()) {
            Some(id) => Secrets::<config::Secrets>::new(client.clone(), id).get().await,
            None => Ok(Arc::default()),
        };
        let (secrets, unread) = match read {
            Ok(secrets) => ((*secrets).clone(), None),
            Err(error) => (config::Secrets::default(), Some(error)),
        };
        let models = Self::new(Config::from_env(secrets)?);
        if let Some(error) = unread {
            if models.describe(models.default_model()).demo {
                return Err(Error::Unknown(error));
            }
            tracing::error!(%error, "the model providers' secret cannot be used");
        }
        models.warm();
        Ok(models)
    }
}
