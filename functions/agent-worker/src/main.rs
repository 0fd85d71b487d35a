//! The `agent-worker` function: executes background runs from a queue.

use lambda_runtime::Error;
use sequent_agent::Engine;
use sequent_agent_worker_function::Worker;
use sequent_artifacts::Artifacts;
use sequent_attachments::Extractor;
use sequent_identity::Vault;
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

    // Connections and keys exist before the first run.
    let secrets = SecretTable::from_env(&sdk)?;
    let ((), models) = tokio::join!(store.warm(), Client::deployed(&secrets));
    let artifacts = Artifacts::from_env(&sdk, store.clone())?;
    let vault = Vault::from_env(&sdk)?;
    let engine = Engine::from_env(DynamoStorage::new(store), models?, vault, &artifacts, extractor)?;

    sequent_aws::queue::serve(Worker::new(engine)).await
}
