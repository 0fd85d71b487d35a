//! The `chat` function: streams runs and executes them.

use std::sync::Arc;

use sequent_agent::Engine;
use sequent_artifacts::Artifacts;
use sequent_attachments::Extractor;
use sequent_billing::Credits;
use sequent_chat_function::{App, router};
use sequent_http::{Error, Pipeline};
use sequent_identity::{Config, Identity, Vault};
use sequent_model::Client;
use sequent_runlog::DynamoStorage;
use sequent_tables::{SecretTable, Store};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    // A process that was started to extract the content of a file does only that.
    let extractor = Extractor::of_this_program();
    sequent_telemetry::init();
    let sdk = sequent_aws::config();
    let store = Store::from_env(&sdk)?;
    let secrets = SecretTable::from_env(&sdk)?;
    let vault = Vault::from_env(&sdk)?;
    let identity = Arc::new(Identity::new(store.clone(), vault.clone(), &Config::from_env()?)?);

    // Connections, TLS sessions and keys exist before the first request. A secret that cannot be read yet is read then.
    let ((), _, models) = tokio::join!(store.warm(), vault.get(), Client::deployed(&secrets));
    let artifacts = Artifacts::from_env(&sdk, store.clone())?;
    let storage = DynamoStorage::new(store.clone());
    let engine = Engine::from_env(storage, models?, vault.clone(), &artifacts, extractor)?;

    let credits = Credits::from_env(store.clone())?.with_models(engine.models.clone());

    let pipeline = Pipeline::new("chat")?.store(store).identity(identity);
    sequent_http::run_streaming(pipeline, router(App::new(engine, credits))).await
}
