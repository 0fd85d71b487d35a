//! The model providers of this deployment.

use sequent_aws::Secrets;
use sequent_http::Error;
use sequent_model::{Client, Config};

/// Providers from the environment, and from the secret that `MODEL_SECRETS_ID` names. `None` if that secret cannot be
/// read and the environment names no provider either: who answers is then unknown, which is not the demo.
///
/// # Errors
/// When a setting is there but wrong.
pub async fn models(client: &aws_sdk_secretsmanager::Client) -> Result<Option<Client>, Error> {
    let read = match std::env::var("MODEL_SECRETS_ID").ok().filter(|id| !id.is_empty()) {
        Some(id) => Secrets::<sequent_model::Secrets>::new(client.clone(), id).get().await,
        None => Ok(std::sync::Arc::default()),
    };
    let (secrets, known) = match read {
        Ok(secrets) => ((*secrets).clone(), true),
        Err(error) => {
            tracing::error!(%error, "the model providers' secret cannot be used");
            (sequent_model::Secrets::default(), false)
        }
    };
    let models = Client::new(Config::from_env(secrets)?);
    if !known && models.describe(models.default_model()).demo {
        return Ok(None);
    }
    models.warm();
    Ok(Some(models))
}
