//! The model providers of this deployment.

use sequent_aws::Secrets;
use sequent_http::Error;
use sequent_model::{Client, Config};

/// Providers from the environment, and from the secret that `MODEL_SECRETS_ID` names. A secret that cannot be read
/// leaves the environment's: a project is then named after its first message.
///
/// # Errors
/// When a setting is there but wrong.
pub async fn models(client: &aws_sdk_secretsmanager::Client) -> Result<Client, Error> {
    let mut secrets = sequent_model::Secrets::default();
    if let Some(id) = std::env::var("MODEL_SECRETS_ID").ok().filter(|id| !id.is_empty()) {
        match Secrets::<sequent_model::Secrets>::new(client.clone(), id).get().await {
            Ok(read) => secrets = (*read).clone(),
            Err(error) => tracing::error!(%error, "the model providers' secret cannot be used"),
        }
    }
    let models = Client::new(Config::from_env(secrets)?);
    models.warm();
    Ok(models)
}
