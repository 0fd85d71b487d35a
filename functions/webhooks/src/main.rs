//! The `webhooks` function: webhooks and their deliveries over HTTP.

use std::sync::Arc;

use sequent_http::{Error, Pipeline};
use sequent_identity::{Config, Identity, Vault};
use sequent_tables::Store;
use sequent_tool::Guard;
use sequent_webhooks_function::{App, router};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    sequent_telemetry::init();
    let sdk = sequent_aws::config();
    let store = Store::from_env(&sdk)?;
    let vault = Vault::from_env(&sdk)?;
    let identity = Arc::new(Identity::new(store.clone(), vault.clone(), &Config::from_env()?)?);

    // Opens connections and reads the secret before the first request, which retries a failed read.
    let _ = tokio::join!(store.warm(), vault.get());

    let app = App::new(store.clone(), vault, Guard::from_env()?);
    let pipeline = Pipeline::new("webhooks")?.store(store).identity(identity);
    sequent_http::run(pipeline, router(app)).await
}
