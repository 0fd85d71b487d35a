//! The `agent-worker` function.

use std::time::SystemTime;

use lambda_runtime::{Error, LambdaEvent, service_fn, spawn_graceful_shutdown_handler};
use sequent_agent::Engine;
use sequent_agent_worker_function::Worker;
use sequent_artifacts::Artifacts;
use sequent_aws::queue::{Batch, Failures};
use sequent_identity::Vault;
use sequent_model::Client;
use sequent_runlog::DynamoStorage;
use sequent_tables::Store;
use tokio::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    sequent_telemetry::init();
    let sdk = sequent_aws::config();
    let store = Store::from_env(&sdk)?;

    // Connections and keys exist before the first run.
    let secrets = aws_sdk_secretsmanager::Client::new(&sdk);
    let ((), models) = tokio::join!(store.warm(), Client::deployed(&secrets));
    let artifacts = Artifacts::from_env(&sdk, store.clone())?;
    let engine =
        Engine::from_env(DynamoStorage::new(store), models?, Vault::from_env(&secrets)?, &artifacts)?;

    let worker = Worker::new(engine);
    let leaving = worker.clone();
    spawn_graceful_shutdown_handler(move || async move { leaving.hand_over().await }).await;
    let worker = &worker;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Batch>| async move {
        let left = event.context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
        Ok::<Failures, Error>(worker.handle(event.payload, Some(Instant::now() + left)).await)
    }))
    .await
}
