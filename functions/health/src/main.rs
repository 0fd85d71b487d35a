//! The `health` function.

use sequent_health_function::{Dependencies, Health, router};
use sequent_http::{Error, Pipeline};
use sequent_tables::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    sequent_telemetry::init();
    let sdk = sequent_aws::config();
    let store = Store::from_env(&sdk)?;
    let secrets = aws_sdk_secretsmanager::Client::new(&sdk);
    let dependencies = Dependencies::new(store.clone(), secrets, |name| std::env::var(name).ok())?;

    // The connection and its TLS session exist before the first request, whose checks have little time.
    store.warm().await;

    sequent_http::run(Pipeline::new("health"), router(Health::new(dependencies))).await
}
