//! The `auth` function.

use std::sync::Arc;

use sequent_auth_function::{Auth, router};
use sequent_http::{Error, Pipeline};
use sequent_identity::{Config, Identity, Vault};
use sequent_tables::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    sequent_telemetry::init();
    let (config, http) = (Config::from_env()?, sequent_http::Config::from_env());
    let sdk = sequent_aws::config();
    let store = Store::from_env(&sdk)?;
    let vault = Vault::from_env(&aws_sdk_secretsmanager::Client::new(&sdk))?;
    let identity = Arc::new(Identity::new(store.clone(), vault.clone(), &config)?);

    // Connections, TLS sessions and keys exist before the first request. A secret that cannot be read yet is read then.
    let _ = tokio::join!(store.warm(), vault.get());

    let auth = Auth::new(Arc::clone(&identity), http.plain_http());
    let pipeline = Pipeline::with_config("auth", http).store(store).authenticator(identity).keyring(vault);
    sequent_http::run(pipeline, router(auth)).await
}
