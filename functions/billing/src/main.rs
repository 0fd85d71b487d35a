//! The `billing` function: credits, plans and purchases over HTTP.

use std::sync::Arc;

use sequent_billing::Credits;
use sequent_billing_function::{App, router};
use sequent_http::{Error, Pipeline};
use sequent_identity::{Config, Identity, Vault};
use sequent_payments::Payments;
use sequent_tables::{SecretTable, Store};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    sequent_telemetry::init();
    let sdk = sequent_aws::config();
    let store = Store::from_env(&sdk)?;
    let secrets = SecretTable::from_env(&sdk)?;
    let vault = Vault::from_env(&sdk)?;
    let identity = Arc::new(Identity::new(store.clone(), vault.clone(), &Config::from_env()?)?);

    // Opens connections and reads the secret before the first request, which retries a failed read.
    let _ = tokio::join!(store.warm(), vault.get());

    let credits = Credits::from_env(store.clone())?;
    let payments = Payments::from_env(store.clone(), &secrets, &credits)?;
    let app = App::new(store.clone(), credits, vault.clone()).selling(payments);
    let pipeline = Pipeline::new("billing")?.store(store).identity(identity);
    sequent_http::run(pipeline, router(app)).await
}
