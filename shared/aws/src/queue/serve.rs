//! Runs a function whose trigger is a queue.

use std::time::SystemTime;

use lambda_runtime::{Error, LambdaEvent, service_fn, spawn_graceful_shutdown_handler};
use tokio::time::Instant;

use super::{Batch, Failures};

/// A worker on the messages of a queue. Clones share their state.
pub trait BatchWorker: Clone + Send + Sync + 'static {
    /// Works on every message of the batch and returns those that the queue has to deliver again. Lambda
    /// kills the process at `deadline`; without one there is no limit.
    fn handle(&self, batch: Batch, deadline: Option<Instant>) -> impl Future<Output = Failures>;

    /// Stops all work in flight and makes it available to other workers. Lambda allows half a second between
    /// SIGTERM and SIGKILL.
    fn shut_down(&self) -> impl Future<Output = ()> + Send;
}

/// Gives `worker` one batch after the other until the process receives SIGTERM.
///
/// # Errors
/// Returns an error if the Lambda Runtime API cannot be reached.
pub async fn serve(worker: impl BatchWorker) -> Result<(), Error> {
    let leaving = worker.clone();
    spawn_graceful_shutdown_handler(move || async move { leaving.shut_down().await }).await;
    let worker = &worker;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Batch>| async move {
        let time_left = event.context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
        let deadline = Instant::now() + time_left;
        // The futures of workers are large.
        Ok::<Failures, Error>(Box::pin(worker.handle(event.payload, Some(deadline))).await)
    }))
    .await
}
