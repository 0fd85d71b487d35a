//! The jobs: looking at what an event is about, looking for events that never came, and reporting what runs spend.

use std::time::Duration;

use sequent_billing::Spent;
use sequent_core::{TenantId, Timestamp};
use sequent_jobs::{Context, Done, Enqueued, Failed, Kind, New, Retry, enqueue, redrive};
use sequent_stripe::{Event, Subject};
use serde::{Deserialize, Serialize};

use crate::{Error, Payments};

/// How far back events are looked for: as long as Stripe keeps them, and we the jobs that they led to.
const DAYS: i64 = 30;

/// `sync_stripe`: takes over how the object of an event stands.
#[derive(Debug, Clone)]
pub struct SyncStripe(pub Option<Payments>);

/// Which event, and what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncInput {
    /// The event's id: there is one job of each.
    pub event: String,
    /// What happened.
    pub event_type: String,
    /// What it is about.
    pub subject: Subject,
}

/// `reconcile_stripe`: finds the events that did not reach us.
#[derive(Debug, Clone)]
pub struct ReconcileStripe(pub Option<Payments>);

/// When.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconcileInput {
    /// The hour it is for: there is one job of each.
    pub period: String,
}

/// `report_usage`: tells a meter at Stripe what a run spent.
#[derive(Debug, Clone)]
pub struct ReportUsage(pub Option<Payments>);

impl SyncInput {
    /// The job that an event is for. `None`: it is about nothing we look at.
    #[must_use]
    pub fn of(event: Event) -> Option<Self> {
        Some(Self { event: event.id, event_type: event.event_type?, subject: event.subject? })
    }

    /// The job to enqueue. It belongs to no tenant: whose the object is, Stripe is asked.
    #[must_use]
    pub fn job(&self) -> New {
        New::of::<SyncStripe>(TenantId::SYSTEM, self)
    }
}

impl ReconcileInput {
    /// The look of the hour of `now`.
    #[must_use]
    pub fn of_hour(now: Timestamp) -> Self {
        Self { period: now.to_string().chars().take(13).collect() }
    }
}

impl Kind for SyncStripe {
    const TYPE: &'static str = "sync_stripe";
    const TIMEOUT: Duration = Duration::from_secs(120);
    // Stripe itself tries for three days; what is not done after these is found again by the reconciliation.
    const RETRY: Retry =
        Retry { attempts: 8, first: Duration::from_secs(2), longest: Duration::from_secs(600) };
    type Input = SyncInput;

    fn key(input: &SyncInput) -> Option<String> {
        Some(input.event.clone())
    }

    async fn run(&self, input: SyncInput, _: Context) -> Result<Done, Failed> {
        let payments = configured(self.0.as_ref())?;
        let synced = payments.sync(&input.subject).await.map_err(failed)?;
        Ok(Done::text(format!("{}: {synced:?}", input.event_type)))
    }
}

impl Kind for ReconcileStripe {
    const TYPE: &'static str = "reconcile_stripe";
    const TIMEOUT: Duration = Duration::from_secs(600);
    type Input = ReconcileInput;

    fn key(input: &ReconcileInput) -> Option<String> {
        Some(input.period.clone())
    }

    async fn run(&self, _: ReconcileInput, context: Context) -> Result<Done, Failed> {
        let payments = configured(self.0.as_ref())?;
        let (found, repaired) = payments.reconcile(Timestamp::now()).await.map_err(failed)?;
        context.progress.say(100, format!("{repaired} events enqueued"));
        Ok(Done::text(format!("{found} events had not been delivered, {repaired} were enqueued")))
    }
}

impl Kind for ReportUsage {
    const TYPE: &'static str = Spent::JOB;
    const RETRY: Retry =
        Retry { attempts: 12, first: Duration::from_secs(5), longest: Duration::from_secs(3600) };
    type Input = Spent;

    /// None: its id is the run's, which is as good.
    fn key(_: &Spent) -> Option<String> {
        None
    }

    async fn run(&self, input: Spent, context: Context) -> Result<Done, Failed> {
        let payments = configured(self.0.as_ref())?;
        Ok(Done::text(match payments.report(context.tenant, &input).await.map_err(failed)? {
            true => "reported",
            false => "The tenant is no customer.",
        }))
    }
}

impl Payments {
    /// Reports what a run spent; false if the tenant has never been a customer, or there is no meter.
    async fn report(&self, tenant: TenantId, spent: &Spent) -> Result<bool, Error> {
        let Some((meter, customer)) = self.meter.as_ref().zip(self.customer(tenant).await?) else {
            return Ok(false);
        };
        let (run, value) = (spent.run_id.to_string(), spent.micro_credits.0.unsigned_abs());
        self.stripe.report_usage((meter, &run), &customer, value, spent.at.seconds()).await?;
        Ok(true)
    }

    /// Enqueues the jobs of the events that Stripe could not deliver, and those that failed once more. Gives how many such
    /// events there are, and for how many of them there is something to do.
    ///
    /// # Errors
    /// When the table or Stripe fails.
    pub async fn reconcile(&self, now: Timestamp) -> Result<(usize, usize), Error> {
        let missed = self.stripe.undelivered(now.seconds() - DAYS * 24 * 3600).await?;
        let (found, mut repaired) = (missed.len(), 0);
        for input in missed.into_iter().filter_map(SyncInput::of) {
            match enqueue(&self.store, &input.job(), now).await.map_err(of_job)? {
                Enqueued::New(_) => repaired += 1,
                Enqueued::Existing(job) if job.error.is_some() && job.has_ended() => {
                    redrive(&self.store, TenantId::SYSTEM, job.id, now).await.map_err(of_job)?;
                    repaired += 1;
                }
                Enqueued::Existing(_) => {}
            }
        }
        Ok((found, repaired))
    }
}

fn configured(payments: Option<&Payments>) -> Result<&Payments, Failed> {
    payments.ok_or_else(|| Failed::Retry("this deployment has no billing, or no key for Stripe".to_owned()))
}

fn failed(error: Error) -> Failed {
    Failed::retry(error)
}

fn of_job(error: sequent_jobs::Error) -> Error {
    match error {
        sequent_jobs::Error::Data(error) => error.into(),
        error => {
            tracing::warn!(%error, "an event's job could not be enqueued");
            Error::Contended
        }
    }
}
