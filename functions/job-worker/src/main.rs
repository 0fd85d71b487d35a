//! The `job-worker` function: executes jobs from a queue.

use lambda_runtime::Error;
use sequent_artifacts::Artifacts;
use sequent_billing::Credits;
use sequent_conversation::{RunStarter, RunStore};
use sequent_definitions::ServicePrompts;
use sequent_identity::Vault;
use sequent_job_worker_function::{DueSchedules, JobDependencies, LateEvents, registry};
use sequent_jobs::Worker;
use sequent_mail::Ses;
use sequent_model::Client;
use sequent_payments::Payments;
use sequent_runlog::{DynamoStorage, Settings};
use sequent_schedules::{RunLauncher, ScheduleWorker, Schedules};
use sequent_tables::{SecretTable, Store};
use sequent_tool::Guard;
use sequent_traces::{Collector, TraceEndpoint};
use sequent_webhooks::{DeliverWebhook, WebhookClient, WorkerShares};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    sequent_telemetry::init();
    let sdk = sequent_aws::config();
    let store = Store::from_env(&sdk)?;

    // Connections and keys exist before the first job. Without a model, the jobs that need none still run.
    let secrets = SecretTable::from_env(&sdk)?;
    let ((), models) = tokio::join!(store.warm(), Client::deployed(&secrets));
    let models = models
        .inspect_err(|error| tracing::error!(%error, "could not set up the models; their jobs are retried"))
        .ok();

    let artifacts = Artifacts::from_env(&sdk, store.clone())?;
    let credits = Credits::from_env(store.clone())?;
    let payments = Payments::from_env(store.clone(), &secrets, &credits)?;
    let credits = models.iter().cloned().fold(credits, Credits::with_models);
    let settings = Settings::from_env()?;
    let collector = TraceEndpoint::from_env()?.map(|endpoint| Collector::new(endpoint, &secrets));
    let storage = DynamoStorage::new(store.clone());
    let starter = RunStarter::new(RunStore::new(storage.clone(), settings), credits.clone());
    let schedules = ScheduleWorker::new(Schedules::new(store.clone()), RunLauncher::new(starter));
    let events = LateEvents(store.clone());
    let prompts = ServicePrompts::new(store).of_deployment(&secrets);
    let ses = Ses::from_env(&sdk);
    let webhooks = DeliverWebhook::new(WebhookClient::new(Guard::from_env()?), Vault::from_env(&sdk)?)
        .with_shares(WorkerShares::from_env()?);
    let kinds =
        JobDependencies { models, prompts, artifacts, credits, payments, ses, collector, webhooks, settings };
    let worker = Worker::new(registry(kinds), storage, settings)
        .with_messages(DueSchedules(schedules))
        .with_messages(events);
    sequent_aws::queue::serve(worker).await
}
