//! The `auth` function: accounts, invitations, sessions and API keys over HTTP.

use std::sync::Arc;

use sequent_auth_function::{App, router};
use sequent_core::setting;
use sequent_http::{Error, Pipeline};
use sequent_identity::{Config, Identity, RegistrationMode, Vault};
use sequent_tables::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    sequent_telemetry::init();
    let config = Config::from_env()?;
    let http = sequent_http::Config::from_env()?;
    let sdk = sequent_aws::config();
    let store = Store::from_env(&sdk)?;
    let vault = Vault::from_env(&sdk)?;
    let identity = Identity::new(store.clone(), vault.clone(), &config)?;
    let identity = if setting::text("MAIL_FROM").is_some() { identity.with_mail() } else { identity };
    let identity = Arc::new(identity);

    // Connects and reads the keys before the first request, and makes them if this is the first process of a deployment.
    // A secret that cannot be read now is read by that request.
    let _ = tokio::join!(store.warm(), vault.signing());
    let _ = vault.get().await;

    let app = App::new(Arc::clone(&identity), store.clone(), http.plain_http());
    let app = app.with_registration(RegistrationMode::from_env()?);
    let pipeline = Pipeline::with_config("auth", http).store(store).identity(identity);
    sequent_http::run(pipeline, router(app)).await
}
