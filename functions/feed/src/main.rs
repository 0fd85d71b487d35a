//! The `feed` function: tells the feed of each tenant what has changed.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use sequent_aws::queue::{Batch, Failures};
use sequent_feed::Feed;
use sequent_feed_function::handle;
use sequent_tables::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    sequent_telemetry::init();
    let sdk = sequent_aws::config();
    let feed = &Feed::new(Store::from_env(&sdk)?);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Batch>| async move {
        Ok::<Failures, Error>(Box::pin(handle(feed, &event.payload)).await)
    }))
    .await
}
