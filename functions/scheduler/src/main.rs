//! The `scheduler` function.

use std::time::{Duration, SystemTime};

use lambda_runtime::{Error, LambdaEvent, service_fn};
use sequent_artifacts::Artifacts;
use sequent_aws::queue::Sender;
use sequent_core::Timestamp;
use sequent_runlog::DynamoStorage;
use sequent_scheduler_function::{Done, Event, JobScheduler, Rotation, Scheduler, Task};
use sequent_tables::Store;

/// Deleting one object takes no longer, as a rule; what is cut off is found again.
const MARGIN: Duration = Duration::from_secs(10);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    sequent_telemetry::init();
    let sdk = sequent_aws::config();
    let store = Store::from_env(&sdk)?;
    let queue = Sender::from_env(&sdk, "RUNS_QUEUE_URL")?;
    let rotation = &Rotation::from_env(aws_sdk_secretsmanager::Client::new(&sdk))?;
    let artifacts = &Artifacts::from_env(&sdk, store.clone())?;
    store.warm().await;
    let jobs = &JobScheduler::new(
        store.clone(),
        Sender::from_env(&sdk, "JOBS_QUEUE_URL")?,
        Sender::from_env(&sdk, "EXPORTS_QUEUE_URL")?,
    );
    let sells = std::env::var("BILLING").as_deref() == Ok("on")
        && std::env::var("BILLING_CATALOG").is_ok_and(|catalog| !catalog.is_empty());
    let scheduler = &Scheduler::new(DynamoStorage::new(store), queue);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Event>| async move {
        let now = Timestamp::now();
        Ok::<Done, Error>(match event.payload.task {
            Task::Sweep => {
                // One that fails must not keep the other from its work.
                let (runs, jobs) = tokio::join!(scheduler.sweep(now), jobs.sweep(now));
                jobs?;
                Done::Swept(runs?)
            }
            Task::EnqueueHourlyJobs => Done::Enqueued(jobs.enqueue_hourly(now, sells).await?),
            Task::EnqueueDailyJobs => Done::Enqueued(jobs.enqueue_daily(now).await?),
            Task::RotateSigningKey => Done::SigningKey(rotation.run(now).await?),
            Task::CollectGarbage => {
                let enough = event.context.deadline() - MARGIN;
                let go_on = || SystemTime::now() < enough;
                Done::Garbage(artifacts.collect(now - sequent_artifacts::AGE, go_on).await?)
            }
        })
    }))
    .await
}
