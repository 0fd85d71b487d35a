//! The `scheduler` function.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use sequent_data::Store;
use sequent_domain::Timestamp;
use sequent_queue::Sender;
use sequent_runlog::DynamoStorage;
use sequent_scheduler_function::{Scheduler, Swept};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    sequent_telemetry::init();
    let sdk = sequent_aws::config();
    let store = Store::from_env(&sdk)?;
    let queue = Sender::from_env(&sdk, "RUNS_QUEUE_URL")?;
    store.warm().await;
    let scheduler = &Scheduler::new(DynamoStorage::new(store), queue);
    lambda_runtime::run(service_fn(move |_: LambdaEvent<Value>| async move {
        Ok::<Swept, Error>(scheduler.sweep(Timestamp::now()).await?)
    }))
    .await
}
