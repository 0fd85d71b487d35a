//! The model providers of this deployment.

use sequent_aws::Secrets;
use sequent_http::Error;
use sequent_model::{Client, Config};

/// Providers from the environment, and from the secret that `MODEL_SECRETS_ID` names.
///
/// # Errors
/// When a setting is there but wrong, or when the secret cannot be read and the environment names no provider either:
/// who should answer is then unknown, and the demo must not answer in a real model's place. The process then fails to
/// start, and the next one tries again.
pub async fn models(client: &aws_sdk_secretsmanager::Client) -> Result<Client, Error> {
    let read = match std::env::var("MODEL_SECRETS_ID").ok().filter(|id| !id.is_empty()) {
        Some(id) => Secrets::<sequent_model::Secrets>::new(client.clone(), id).get().await,
        None => Ok(std::sync::Arc::default()),
    };
    let (secrets, unknown) = match read {
        Ok(secrets) => ((*secrets).clone(), None),
        Err(error) => (sequent_model::Secrets::default(), Some(error)),
    };
    let models = Client::new(Config::from_env(secrets)?);
    if let Some(error) = unknown {
        tracing::error!(%error, "the model providers' secret cannot be used");
        if models.describe(models.default_model()).demo {
            return Err(error.into());
        }
    }
    models.warm();
    Ok(models)
}
