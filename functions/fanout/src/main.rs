//! The `fanout` function.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use sequent_fanout_function::handle;
use sequent_queue::{Batch, Failures, Sender};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    sequent_telemetry::init();
    let queue = Sender::from_env(&sequent_aws::config(), "RUNS_QUEUE_URL")?;
    let queue = &queue;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Batch>| async move {
        Ok::<Failures, Error>(handle(queue, &event.payload).await)
    }))
    .await
}
