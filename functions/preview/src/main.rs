//! The `preview` function: displays untrusted pages in a sandbox.

use sequent_artifacts::{Bucket, PreviewKeys};
use sequent_core::setting;
use sequent_http::{Error, Pipeline};
use sequent_preview_function::{App, router};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    sequent_telemetry::init();
    let sdk = sequent_aws::config();
    let keys = PreviewKeys::from_env(&aws_sdk_secretsmanager::Client::new(&sdk))?;
    let bucket = setting::required("ARTIFACTS_BUCKET")?;

    // Reads the secret before the first request, which retries a failed read.
    let _ = keys.get().await;

    let app = App::new(Bucket::new(&sdk, &bucket), keys);
    // No store and no keys: the function has no callers to authenticate and no rate limits.
    sequent_http::run_streaming(Pipeline::new("preview")?, router(app)).await
}
