//! The `evaluations` function: feedback lists, what is counted of agents, datasets, and evaluations over HTTP.

use std::sync::Arc;

use sequent_billing::Credits;
use sequent_evaluations_function::{App, router};
use sequent_http::{Error, Pipeline};
use sequent_identity::{Config, Identity, Vault};
use sequent_runlog::{DynamoStorage, Settings};
use sequent_tables::{SecretTable, Store};

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
    let app = App::new(DynamoStorage::new(store.clone()), Settings::from_env()?, vault, credits);
    let pipeline = Pipeline::new("evaluations")?.store(store).identity(identity);
    sequent_http::run(pipeline, router(app)).await
}
