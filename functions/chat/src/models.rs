//! The model providers of this deployment.

use sequent_http::Error;
use sequent_model::{Client, Config, Secrets};

/// Providers from the environment, and from the secret that `MODEL_SECRETS_ID` names. A secret that cannot be read
/// leaves the environment's; without either the demo answers.
///
/// # Errors
/// When a setting is there but wrong.
pub async fn models(client: &aws_sdk_secretsmanager::Client) -> Result<Client, Error> {
    let secrets = match std::env::var("MODEL_SECRETS_ID") {
        Ok(id) if !id.is_empty() => read(client, &id).await,
        _ => Secrets::default(),
    };
    let models = Client::new(Config::from_env(secrets)?);
    models.warm();
    Ok(models)
}

async fn read(client: &aws_sdk_secretsmanager::Client, id: &str) -> Secrets {
    let text = match client.get_secret_value().secret_id(id).send().await {
        Ok(output) => output.secret_string,
        Err(error) => {
            tracing::warn!(error = %error, "the model providers' secret cannot be read");
            None
        }
    };
    match text.as_deref().map(Secrets::from_json) {
        Some(Ok(secrets)) => secrets,
        Some(Err(_)) => {
            tracing::error!("the model providers' secret is not the JSON expected");
            Secrets::default()
        }
        None => Secrets::default(),
    }
}
