//! Running a router as a Lambda function.

use axum::Router;
use lambda_http::{Adapter, Error, StreamAdapter};
use tower::ServiceBuilder;

use crate::{Pipeline, event_path};

/// Serves a function of the HTTP API. A response is sent when it is complete.
///
/// # Errors
/// If the Lambda Runtime API cannot be reached.
pub async fn run(pipeline: Pipeline, router: Router) -> Result<(), Error> {
    let function = Adapter::from(pipeline.around(router));
    lambda_runtime::run(ServiceBuilder::new().map_request(event_path::encode).service(function)).await
}

/// Serves a function URL in `RESPONSE_STREAM` mode. A response is sent while it is made.
///
/// # Errors
/// If the Lambda Runtime API cannot be reached, also in the middle of a response.
pub async fn run_streaming(pipeline: Pipeline, router: Router) -> Result<(), Error> {
    let function = StreamAdapter::from(pipeline.around(router));
    lambda_runtime::run(ServiceBuilder::new().map_request(event_path::encode).service(function)).await
}

/// Calls `hook` before Lambda ends the environment. It has about half a second. Await this before serving. Only a
/// function with work to hand over needs it, because it costs one call at the start: it registers an internal
/// extension, without which Lambda sends no signal.
pub async fn on_shutdown<F>(hook: impl FnOnce() -> F + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    lambda_runtime::spawn_graceful_shutdown_handler(hook).await;
}
