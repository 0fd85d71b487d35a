//! The `export-worker` function: runs the jobs that typeset. They need more memory, more time, and fonts.

use lambda_runtime::Error;
use sequent_artifacts::Artifacts;
use sequent_exports::RenderExport;
use sequent_jobs::{Registry, Worker};
use sequent_runlog::{DynamoStorage, Settings};
use sequent_tables::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    sequent_telemetry::init();
    let sdk = sequent_aws::config();
    let store = Store::from_env(&sdk)?;
    store.warm().await;

    let registry = Registry::new().with(RenderExport(Artifacts::from_env(&sdk, store.clone())?));
    let worker = Worker::new(registry, DynamoStorage::new(store), Settings::from_env()?);
    sequent_aws::queue::serve(worker).await
}
