//! Jobs of each hour and each day. The key of such a job contains the hour or day, so it is enqueued once,
//! even if a schedule fires twice.

use sequent_core::{TenantId, Timestamp};
use sequent_jobs::{
    Enqueued, Error, NewJob, enqueue,
    kinds::{CleanupInput, CleanupOldJobs},
};
use sequent_payments::{ReconcileInput, ReconcileStripe};
use sequent_tables::Store;

/// Enqueues the periodic jobs.
#[derive(Debug, Clone)]
pub struct PeriodicJobs {
    store: Store,
    /// `true` if the deployment sells something, so that there are events of Stripe to reconcile.
    sells: bool,
}

impl PeriodicJobs {
    /// Enqueues jobs in `store`; those for payments only if the deployment `sells` something.
    #[must_use]
    pub fn new(store: Store, sells: bool) -> Self {
        Self { store, sells }
    }

    /// Enqueues the jobs of the hour of `now`: the search for events of Stripe that were never received.
    /// Returns the number of jobs that were not enqueued before.
    ///
    /// # Errors
    /// Returns an error if the table fails.
    pub async fn enqueue_hourly(&self, now: Timestamp) -> Result<usize, Error> {
        if !self.sells {
            return Ok(0);
        }
        let reconcile = NewJob::of::<ReconcileStripe>(TenantId::SYSTEM, &ReconcileInput::of_hour(now));
        self.enqueue(&reconcile, now).await
    }

    /// Enqueues the jobs of the day of `now`: the deletion of old jobs. Returns the number of jobs that were
    /// not enqueued before.
    ///
    /// # Errors
    /// Returns an error if the table fails.
    pub async fn enqueue_daily(&self, now: Timestamp) -> Result<usize, Error> {
        let cleanup = NewJob::of::<CleanupOldJobs>(TenantId::SYSTEM, &CleanupInput::of_day(now));
        self.enqueue(&cleanup, now).await
    }

    async fn enqueue(&self, job: &NewJob, now: Timestamp) -> Result<usize, Error> {
        let enqueued = enqueue(&self.store, job, now).await?;
        Ok(usize::from(matches!(enqueued, Enqueued::New(_))))
    }
}
