//! The `exports` function: works on the jobs that typeset, which take more memory and time than others, and fonts.

use std::time::SystemTime;

use lambda_runtime::{Error, LambdaEvent, service_fn, spawn_graceful_shutdown_handler};
use sequent_artifacts::Artifacts;
use sequent_aws::queue::{Batch, Failures};
use sequent_exports::RenderExport;
use sequent_jobs::{Registry, Worker, handle};
use sequent_runlog::{DynamoStorage, Settings};
use sequent_tables::Store;
use tokio::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    sequent_telemetry::init();
    let sdk = sequent_aws::config();
    let store = Store::from_env(&sdk)?;
    store.warm().await;

    let registry = Registry::new().with(RenderExport(Artifacts::from_env(&sdk, store.clone())?));
    let worker = Worker::new(registry, DynamoStorage::new(store), Settings::from_env());
    let leaving = worker.clone();
    spawn_graceful_shutdown_handler(move || async move { leaving.leave().await }).await;
    let worker = &worker;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Batch>| async move {
        let left = event.context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
        Ok::<Failures, Error>(Box::pin(handle(worker, event.payload, Some(Instant::now() + left))).await)
    }))
    .await
}
