//! Answering Lambda invocations with a router.

use axum::Router;
use lambda_http::Error;

use crate::Pipeline;

/// Serves an HTTP API function: the answer is sent when it is complete.
///
/// # Errors
/// When the Lambda Runtime API cannot be reached.
pub async fn run(pipeline: Pipeline, router: Router) -> Result<(), Error> {
    lambda_http::run(pipeline.around(router)).await
}

/// Serves a function URL in `RESPONSE_STREAM` mode: the answer is sent as it is made.
///
/// # Errors
/// When the Lambda Runtime API cannot be reached, also in the middle of a response.
pub async fn run_streaming(pipeline: Pipeline, router: Router) -> Result<(), Error> {
    lambda_http::run_with_streaming_response(pipeline.around(router)).await
}

/// Calls `hook` when Lambda is about to end the environment, with about half a second for it. Await this before
/// serving. Only functions that have something to hand over need it: it costs one call at start, to register the
/// internal extension without which Lambda sends no signal.
pub async fn on_shutdown<F>(hook: impl FnOnce() -> F + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    lambda_runtime::spawn_graceful_shutdown_handler(hook).await;
}
