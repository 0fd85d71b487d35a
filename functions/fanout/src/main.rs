//! The `fanout` function: turns changed rows into messages.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use sequent_aws::queue::{Batch, Failures, Sender};
use sequent_fanout_function::{Queues, TraceJobs, handle};
use sequent_tables::Store;
use sequent_traces::TraceEndpoint;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    sequent_telemetry::init();
    let sdk = sequent_aws::config();
    let queues = &Queues {
        runs: Sender::from_env(&sdk, "RUNS_QUEUE_URL")?,
        jobs: Sender::from_env(&sdk, "JOBS_QUEUE_URL")?,
        exports: Sender::from_env(&sdk, "EXPORTS_QUEUE_URL")?,
        dead_jobs: Sender::from_env(&sdk, "JOBS_DEAD_LETTERS_URL")?,
        dead_records: Sender::from_env(&sdk, "FANOUT_DEAD_LETTERS_URL")?,
    };
    let store = &Store::from_env(&sdk)?;
    let traces = TraceEndpoint::from_env()?.map(|_| TraceJobs::new(store.clone()));
    let traces = traces.as_ref();
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Batch>| async move {
        Ok::<Failures, Error>(Box::pin(handle(queues, store, traces, &event.payload)).await)
    }))
    .await
}
