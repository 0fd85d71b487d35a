//! The `webhooks` function: webhooks and their deliveries over HTTP, and hooks, which start runs.

use std::sync::Arc;

use sequent_billing::Credits;
use sequent_http::{Error, Pipeline};
use sequent_identity::{Config, Identity, Vault};
use sequent_runlog::{DynamoStorage, Settings};
use sequent_tables::{SecretTable, Store};
use sequent_tool::Guard;
use sequent_webhooks_function::{App, router};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    sequent_telemetry::init();
    let sdk = sequent_aws::config();
    let store = Store::from_env(&sdk)?;
    let vault = Vault::from_env(&sdk)?;
    let identity = Arc::new(Identity::new(store.clone(), vault.clone(), &Config::from_env()?)?);

    let secrets = SecretTable::from_env(&sdk)?;

    // Opens connections and reads the secret before the first request, which retries a failed read.
    let _ = tokio::join!(store.warm(), vault.get());

    let credits = Credits::from_env(store.clone())?.with_stored_prices(&secrets);
    let storage = DynamoStorage::new(store.clone());
    let app = App::new(storage, Settings::from_env()?, vault, Guard::from_env()?, credits);
    let pipeline = Pipeline::new("webhooks")?.store(store).identity(identity);
    sequent_http::run(pipeline, router(app)).await
}
