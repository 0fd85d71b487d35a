//! The jobs: apply an event, find events that were never delivered, report the cost of runs.

use std::time::Duration;

use sequent_billing::Spent;
use sequent_core::{TenantId, Timestamp};
use sequent_jobs::{Context, Done, Enqueued, Failed, JobKind, NewJob, RetryPolicy, enqueue, redrive};
use sequent_stripe::{Event, Subject};
use sequent_tables::{Row, Write, key};
use serde::{Deserialize, Serialize};

use crate::{Error, Payments};

/// Age limit of reconciled events. Stripe keeps events for 30 days, and so do we keep their jobs.
const DAYS: i64 = 30;

/// `sync_stripe`: applies the current state of the object that an event is about.
#[derive(Debug, Clone)]
pub struct SyncStripe(pub Option<Payments>);

/// The input of [`SyncStripe`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct SyncInput {
    /// Id of the event, and the key of the job.
    pub event: String,
    pub event_type: String,
    pub subject: Subject,
}

/// `reconcile_stripe`: enqueues the events that Stripe could not deliver.
#[derive(Debug, Clone)]
pub struct ReconcileStripe(pub Option<Payments>);

/// The input of [`ReconcileStripe`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconcileInput {
    /// The hour, and the key of the job.
    pub period: String,
}

/// `report_usage`: reports the cost of a run to a meter at Stripe.
#[derive(Debug, Clone)]
pub struct ReportUsage(pub Option<Payments>);

impl SyncInput {
    /// Returns the input for an event, or `None` if we do not process its kind of object.
    #[must_use]
    pub fn of(event: Event) -> Option<Self> {
        Some(Self { event: event.id, event_type: event.event_type?, subject: event.subject? })
    }

    /// Returns the job to enqueue. It belongs to the system tenant, because the tenant is known only after the fetch.
    #[must_use]
    pub fn job(&self) -> NewJob {
        NewJob::of::<SyncStripe>(TenantId::SYSTEM, self)
    }
}

impl ReconcileInput {
    /// Returns the input for the hour of `now`.
    #[must_use]
    pub fn of_hour(now: Timestamp) -> Self {
        Self { period: now.to_string().chars().take(13).collect() }
    }
}

impl JobKind for SyncStripe {
    const TYPE: &'static str = "sync_stripe";
    const TIMEOUT: Duration = Duration::from_secs(120);
    // Stripe retries a delivery for three days. A job that has failed by then is found by the reconciliation.
    const RETRY: RetryPolicy =
        RetryPolicy { attempts: 8, first: Duration::from_secs(2), longest: Duration::from_secs(600) };
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

impl JobKind for ReconcileStripe {
    const TYPE: &'static str = "reconcile_stripe";
    const TIMEOUT: Duration = Duration::from_secs(600);
    type Input = ReconcileInput;

    fn key(input: &ReconcileInput) -> Option<String> {
        Some(input.period.clone())
    }

    async fn run(&self, _: ReconcileInput, context: Context) -> Result<Done, Failed> {
        let payments = configured(self.0.as_ref())?;
        let (found, repaired) = payments.reconcile(Timestamp::now()).await.map_err(failed)?;
        context.progress.report(100, format!("{repaired} events enqueued"));
        Ok(Done::text(format!("{found} events had not been delivered, {repaired} were enqueued")))
    }
}

impl JobKind for ReportUsage {
    const TYPE: &'static str = Spent::JOB;
    const RETRY: RetryPolicy =
        RetryPolicy { attempts: 12, first: Duration::from_secs(5), longest: Duration::from_secs(3600) };
    type Input = Spent;

    /// No key: the job id is derived from the run id, so it is unique already.
    fn key(_: &Spent) -> Option<String> {
        None
    }

    async fn run(&self, input: Spent, context: Context) -> Result<Done, Failed> {
        let payments = configured(self.0.as_ref())?;
        Ok(Done::text(match payments.report(context.tenant, &input).await.map_err(failed)? {
            true => "reported",
            false => "The tenant is not a customer at Stripe.",
        }))
    }
}

impl Payments {
    /// Reports the cost of a run. Returns `false` if the tenant has never been a customer, or if there is no meter.
    async fn report(&self, tenant: TenantId, spent: &Spent) -> Result<bool, Error> {
        let Some((meter, customer)) = self.meter.as_ref().zip(self.customer(tenant).await?) else {
            return Ok(false);
        };
        let run = spent.run_id.to_string();
        let value = spent.micro_credits.0.unsigned_abs();
        self.stripe.report_usage((meter, &run), &customer, value, spent.at.seconds()).await?;
        Ok(true)
    }

    /// Enqueues jobs for the events that Stripe could not deliver, and redrives those whose job failed. Returns the number of
    /// undelivered events, and the number of jobs enqueued or redriven.
    ///
    /// It goes page by page from the newest event to the oldest and remembers how far it came. A reconciliation that is cut
    /// off is continued there by the next, which then looks at the events that are newer.
    ///
    /// # Errors
    /// Fails if the table or Stripe fails.
    pub async fn reconcile(&self, now: Timestamp) -> Result<(usize, usize), Error> {
        let place = key::reconciliation();
        let reached: Option<Reached> = self.store.get(&place).await?;
        let mut sums = (0, 0);
        if let Some(Reached { event }) = reached {
            match self.reconcile_after(Some(event), now, &mut sums).await {
                // Stripe has forgotten the event, and all that are older.
                Err(Error::Stripe(error)) if error.is_missing() => {}
                other => other?,
            }
        }
        self.reconcile_after(None, now, &mut sums).await?;
        self.store.write(Write::delete(&place)).await?;
        Ok(sums)
    }

    /// Reconciles the events after `after` in Stripe's list, which is sorted from the newest to the oldest.
    async fn reconcile_after(
        &self,
        mut after: Option<String>,
        now: Timestamp,
        sums: &mut (usize, usize),
    ) -> Result<(), Error> {
        let since = now.seconds() - DAYS * 24 * 3600;
        loop {
            let page = self.stripe.undelivered(since, after.as_deref()).await?;
            sums.0 += page.events.len();
            for input in page.events.into_iter().filter_map(SyncInput::of) {
                sums.1 += usize::from(self.repair(&input, now).await?);
            }
            let Some(event) = page.next else { return Ok(()) };
            let reached = Row::new(&key::reconciliation(), &Reached { event: event.clone() })?;
            self.store.write(Write::put(reached)).await?;
            after = Some(event);
        }
    }

    /// Enqueues the job of an event, or redrives it if it has failed. Returns `false` if the job needs no repair.
    async fn repair(&self, input: &SyncInput, now: Timestamp) -> Result<bool, Error> {
        match enqueue(&self.store, &input.job(), now).await.map_err(of_job)? {
            Enqueued::New(_) => Ok(true),
            Enqueued::Existing(job) if job.error.is_some() && job.has_ended() => {
                redrive(&self.store, TenantId::SYSTEM, job.id, now).await.map_err(of_job)?;
                Ok(true)
            }
            Enqueued::Existing(_) => Ok(false),
        }
    }
}

/// The last event that a reconciliation has dealt with.
#[derive(Debug, Serialize, Deserialize)]
struct Reached {
    event: String,
}

fn configured(payments: Option<&Payments>) -> Result<&Payments, Failed> {
    payments.ok_or_else(|| Failed::Retry("billing is off, or no API key for Stripe is configured".to_owned()))
}

fn failed(error: Error) -> Failed {
    Failed::retry(error)
}

fn of_job(error: sequent_jobs::Error) -> Error {
    match error {
        sequent_jobs::Error::Data(error) => error.into(),
        error => {
            tracing::warn!(%error, "could not enqueue the job of a Stripe event; the next reconciliation retries");
            Error::Contended
        }
    }
}
