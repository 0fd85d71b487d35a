//! The `openapi` function.

use sequent_http::{Error, Pipeline};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    sequent_telemetry::init();
    sequent_http::run(Pipeline::new("openapi"), sequent_openapi_function::router()).await
}
