//! The `meta` function: health, API description and error catalogue.

use sequent_http::{Error, Pipeline};
use sequent_meta_function::{App, Dependencies, router};
use sequent_tables::{SecretTable, Store};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    sequent_telemetry::init();
    let sdk = sequent_aws::config();
    let store = Store::from_env(&sdk)?;
    let secrets = SecretTable::from_env(&sdk)?;
    let manager = aws_sdk_secretsmanager::Client::new(&sdk);
    let dependencies = Dependencies::new(store.clone(), secrets, manager, |name| std::env::var(name).ok());

    // The connection and its TLS session exist before the first request, because a health check has little
    // time.
    store.warm().await;

    sequent_http::run(Pipeline::new("meta")?, router(App::new(dependencies))).await
}
