//! The `projects` function: conversations and messages over HTTP.

use std::sync::Arc;

use sequent_billing::Credits;
use sequent_definitions::ServicePrompts;
use sequent_http::Pipeline;
use sequent_identity::{Config, Identity, Vault};
use sequent_model::{Client, deployed::Error};
use sequent_projects_function::{App, router};
use sequent_tables::{SecretTable, Store};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), sequent_http::Error> {
    sequent_telemetry::init();
    let sdk = sequent_aws::config();
    let store = Store::from_env(&sdk)?;
    let secrets = SecretTable::from_env(&sdk)?;
    let vault = Vault::from_env(&sdk)?;
    let identity = Arc::new(Identity::new(store.clone(), vault.clone(), &Config::from_env()?)?);

    // Opens connections and reads the secret before the first request, which retries a failed read.
    let ((), _, models) = tokio::join!(store.warm(), vault.get(), Client::deployed(&secrets));
    let models = match models {
        Ok(models) => Some(models),
        // The other routes work without a model.
        Err(error @ Error::Unknown(_)) => {
            tracing::error!(%error, "no model is available; projects are named after their first message");
            None
        }
        Err(error) => return Err(error.into()),
    };
    let credits = Credits::from_env(store.clone())?;
    let credits = models.iter().cloned().fold(credits, Credits::with_models);
    let prompts = ServicePrompts::new(store.clone()).of_deployment(&secrets);
    let app = App::new(store.clone(), vault.clone(), models).with_credits(credits).with_prompts(prompts);

    let pipeline = Pipeline::new("projects")?.store(store).identity(identity);
    sequent_http::run(pipeline, router(app)).await
}
