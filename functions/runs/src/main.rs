//! The `runs` function: background runs over HTTP.

use std::sync::Arc;

use sequent_billing::Credits;
use sequent_http::{Error, Pipeline};
use sequent_identity::{Config, Identity, Vault};
use sequent_model::{AbilityTable, OperatorTable};
use sequent_runlog::{DynamoStorage, Settings};
use sequent_runs_function::{App, router};
use sequent_tables::{SecretTable, Store};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    sequent_telemetry::init();
    let sdk = sequent_aws::config();
    let store = Store::from_env(&sdk)?;
    let vault = Vault::from_env(&sdk)?;
    let identity = Arc::new(Identity::new(store.clone(), vault.clone(), &Config::from_env()?)?);

    let secrets = SecretTable::from_env(&sdk)?;
    let abilities = OperatorTable::stored(AbilityTable::from_env()?, &secrets);

    // Connections, TLS sessions and keys exist before the first request. A secret that cannot be read yet is read then.
    let _ = tokio::join!(store.warm(), vault.get(), abilities.current());

    let credits = Credits::from_env(store.clone())?.with_stored_prices(&secrets);
    let storage = DynamoStorage::new(store.clone());
    let app = App::new(storage, Settings::from_env()?, vault.clone(), credits).with_abilities(abilities);
    let pipeline = Pipeline::new("runs")?.store(store).identity(identity);
    sequent_http::run(pipeline, router(app)).await
}
