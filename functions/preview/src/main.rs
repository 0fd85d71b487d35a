//! The `preview` function: displays untrusted pages in a sandbox.

use sequent_artifacts::{Bucket, PreviewKeys};
use sequent_core::setting;
use sequent_http::{Error, Pipeline};
use sequent_preview_function::{App, router};
use sequent_tables::SecretTable;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    sequent_telemetry::init();
    let sdk = sequent_aws::config();
    let keys = PreviewKeys::stored(&SecretTable::from_env(&sdk)?);
    let bucket = setting::required("ARTIFACTS_BUCKET")?;

    // Reads the secret before the first request, which retries a failed read.
    let _ = keys.get().await;

    let app = App::new(Bucket::new(&sdk, &bucket), keys);
    // No store and no keys: the function has no callers to authenticate and no rate limits.
    sequent_http::run_streaming(Pipeline::new("preview")?, router(app)).await
}
