//! The `preview` function.

use sequent_artifacts::{Bucket, PreviewKeys};
use sequent_http::{Error, Pipeline};
use sequent_preview_function::{Previews, router};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    sequent_telemetry::init();
    let sdk = sequent_aws::config();
    let keys = PreviewKeys::from_env(&aws_sdk_secretsmanager::Client::new(&sdk))?;
    let bucket = std::env::var("ARTIFACTS_BUCKET").map_err(|_| "ARTIFACTS_BUCKET is not set")?;
    let app = std::env::var("PUBLIC_URL").unwrap_or_default();

    // A secret that cannot be read yet is read by the first request.
    let _ = keys.get().await;

    let previews = Previews::new(Bucket::new(&sdk, &bucket), keys, &app)?;
    // No store, no keys: there is nobody to sign in, to count or to verify.
    sequent_http::run_streaming(Pipeline::new("preview"), router(previews)).await
}
