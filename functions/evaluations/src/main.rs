//! The `evaluations` function: feedback lists, what is counted of agents, and datasets over HTTP.

use std::sync::Arc;

use sequent_evaluations_function::{App, router};
use sequent_http::{Error, Pipeline};
use sequent_identity::{Config, Identity, Vault};
use sequent_tables::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    sequent_telemetry::init();
    let sdk = sequent_aws::config();
    let store = Store::from_env(&sdk)?;
    let vault = Vault::from_env(&sdk)?;
    let identity = Arc::new(Identity::new(store.clone(), vault.clone(), &Config::from_env()?)?);

    // Opens connections and reads the secret before the first request, which retries a failed read.
    let _ = tokio::join!(store.warm(), vault.get());

    let app = App::new(store.clone(), vault);
    let pipeline = Pipeline::new("evaluations")?.store(store).identity(identity);
    sequent_http::run(pipeline, router(app)).await
}
