//! The `artifacts` function: artifacts, uploads and exports over HTTP.

use std::sync::Arc;

use sequent_artifacts::{Artifacts, PreviewKeys};
use sequent_artifacts_function::{App, router};
use sequent_core::setting;
use sequent_http::{Error, Pipeline};
use sequent_identity::{Config, Identity, Vault};
use sequent_tables::{SecretTable, Store};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    sequent_telemetry::init();
    let sdk = sequent_aws::config();
    let store = Store::from_env(&sdk)?;
    let secrets = SecretTable::from_env(&sdk)?;
    let vault = Vault::from_env(&sdk)?;
    let previews = PreviewKeys::made(&secrets);
    let identity = Arc::new(Identity::new(store.clone(), vault.clone(), &Config::from_env()?)?);
    let artifacts = Artifacts::from_env(&sdk, store.clone())?;
    let preview_url = setting::required("PREVIEW_URL")?;

    // Opens connections and reads the secret before the first request, which retries a failed read.
    let _ = tokio::join!(store.warm(), vault.get());

    let app = App::new(artifacts, store.clone(), vault.clone(), previews, &preview_url);
    let pipeline = Pipeline::new("artifacts")?.store(store).identity(identity);
    sequent_http::run(pipeline, router(app)).await
}
