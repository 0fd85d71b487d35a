//! The `scheduler` function: periodic sweeps and maintenance.

use std::time::{Duration, SystemTime};

use lambda_runtime::{Error, LambdaEvent, service_fn};
use sequent_artifacts::Artifacts;
use sequent_aws::queue::Sender;
use sequent_core::{Timestamp, pace, setting};
use sequent_identity::Vault;
use sequent_runlog::DynamoStorage;
use sequent_scheduler_function::{
    JobSweeper, PeriodicJobs, Rotation, RunSweeper, ScheduleSweeper, ScheduledEvent, SetupCode, Task,
    TaskResult,
};
use sequent_tables::{SecretTable, Store};

/// The collector stops this long before the timeout. Deleting one object rarely takes longer; if it does, the
/// next collection finishes it.
const MARGIN: Duration = Duration::from_secs(10);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    sequent_telemetry::init();
    let sdk = sequent_aws::config();
    let store = Store::from_env(&sdk)?;
    let rotation = &Rotation::from_env(SecretTable::from_env(&sdk)?)?;
    let artifacts = &Artifacts::from_env(&sdk, store.clone())?;
    store.warm().await;
    // The keys of a new deployment exist a minute after it, before the first sign-in.
    if let Err(error) = Vault::from_env(&sdk)?.signing().await {
        tracing::error!(%error, "could not look for the keys of the deployment; the first sign-in makes them");
    }

    let jobs_queue = Sender::from_env(&sdk, "JOBS_QUEUE_URL")?;
    let exports_queue = Sender::from_env(&sdk, "EXPORTS_QUEUE_URL")?;
    let sells =
        setting::text("BILLING").as_deref() == Some("on") && setting::text("BILLING_CATALOG").is_some();
    let periodic = &PeriodicJobs::new(store.clone(), sells);
    let schedules = &ScheduleSweeper::new(store.clone(), jobs_queue.clone());
    let jobs = &JobSweeper::new(store.clone(), jobs_queue, exports_queue);
    let runs = &RunSweeper::new(DynamoStorage::new(store.clone()), Sender::from_env(&sdk, "RUNS_QUEUE_URL")?);
    let tables = &store;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<ScheduledEvent>| async move {
        let now = Timestamp::now();
        Ok::<TaskResult, Error>(match event.payload.task {
            Task::Sweep => {
                // Each sweep finishes even if another one fails.
                let (runs, jobs, schedules) =
                    tokio::join!(runs.sweep(now), jobs.sweep(now), Box::pin(schedules.sweep(now)));
                jobs?;
                schedules?;
                TaskResult::Swept(runs?)
            }
            Task::EnqueueHourlyJobs => TaskResult::Enqueued(periodic.enqueue_hourly(now).await?),
            Task::EnqueueDailyJobs => TaskResult::Enqueued(periodic.enqueue_daily(now).await?),
            Task::RotateSigningKey => TaskResult::SigningKey(rotation.run(now).await?),
            Task::CreateSetupCode => TaskResult::SetupCode(SetupCode::create(tables, now).await?),
            Task::CollectGarbage => {
                let stop_at = event.context.deadline() - MARGIN;
                let go_on = || SystemTime::now() < stop_at;
                TaskResult::Garbage(
                    artifacts.collect(now - pace::scaled(sequent_artifacts::AGE), go_on).await?,
                )
            }
        })
    }))
    .await
}
