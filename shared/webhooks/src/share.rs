//! The share of the workers that deliveries take: the bound of the jobs that deliver at the same time.
//!
//! A job that delivers waits for receivers that it does not know, and keeps its worker while it waits. A job therefore takes a lease
//! before it sends anything, and one row has the leases of all jobs that deliver. A lease lasts as long as an attempt of a job
//! can, so a job that delivers has one at every moment, and that of a killed process is free again afterwards.

use std::{collections::BTreeMap, time::Duration};

use sequent_core::{
    JobId, TenantId, Timestamp,
    pace::scaled,
    setting::{self, InvalidSetting},
};
use sequent_tables::{Error as TableError, Retry, Store, Update, attribute, exists, key};
use serde::{Deserialize, Serialize};

/// Workers of a deployment that sets no other number.
const WORKERS: u32 = 20;
/// The longest pause of a job that waits for a lease.
const LONGEST_PAUSE: Duration = Duration::from_secs(16);

/// The numbers of jobs that deliver at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerShares {
    /// Jobs of all tenants: a third of the workers.
    all: usize,
    /// Jobs of one tenant: a third of these.
    of_tenant: usize,
    /// Jobs of webhooks of which no delivery has succeeded since one has failed: half of all. The others can deliver beside them.
    failing: usize,
}

/// The lease of a job that delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeliveryLease {
    pub(crate) tenant: TenantId,
    /// The latest deliveries of the webhook have failed.
    pub(crate) is_failing: bool,
    pub(crate) until: Timestamp,
}

/// The row of the leases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Leases {
    version: u64,
    leases: BTreeMap<JobId, DeliveryLease>,
}

impl Default for WorkerShares {
    fn default() -> Self {
        Self::of(WORKERS)
    }
}

impl WorkerShares {
    /// The shares of a number of workers. At least one job delivers.
    #[must_use]
    pub fn of(workers: u32) -> Self {
        let all = (workers as usize / 3).max(1);
        Self { all, of_tenant: (all / 3).max(1), failing: (all / 2).max(1) }
    }

    /// The shares of the workers that `JOB_WORKER_CONCURRENCY` counts.
    ///
    /// # Errors
    /// Returns an error if the variable is no number.
    pub fn from_env() -> Result<Self, InvalidSetting> {
        let workers = setting::parsed("JOB_WORKER_CONCURRENCY", "a number of workers")?;
        Ok(Self::of(workers.unwrap_or(WORKERS)))
    }

    /// Takes a lease for a job. Returns `false` if there is no room for it.
    pub(crate) async fn take(
        self,
        store: &Store,
        job: JobId,
        lease: DeliveryLease,
        now: Timestamp,
    ) -> Result<bool, TableError> {
        let mut tries = Retry::CONTENDED.tries();
        loop {
            let stored: Option<Leases> = store.get(&key::delivery_leases()).await?;
            let before = stored.clone().unwrap_or_default();
            let Some(after) = before.with(self, job, lease, now) else { return Ok(false) };
            let is_unchanged = match stored {
                Some(stored) => attribute("version").equals(stored.version),
                None => attribute("version").is_absent(),
            };
            let update = Update::of(&key::delivery_leases())
                .set("version", after.version)
                .set("leases", &after.leases)
                .when(is_unchanged);
            if store.write_if(update).await? {
                return Ok(true);
            }
            if !tries.pause().await {
                return Ok(false);
            }
        }
    }
}

impl Leases {
    /// Adds a lease, and removes those that have run out. Returns `None` if there is no room for it. A job that had a lease before
    /// has another process now.
    pub(crate) fn with(
        &self,
        shares: WorkerShares,
        job: JobId,
        lease: DeliveryLease,
        now: Timestamp,
    ) -> Option<Self> {
        let mut leases = self.leases.clone();
        leases.retain(|other, held| *other != job && held.until > now);
        let of_tenant = leases.values().filter(|held| held.tenant == lease.tenant).count();
        let failing = leases.values().filter(|held| held.is_failing).count();
        let has_room = leases.len() < shares.all
            && of_tenant < shares.of_tenant
            && (!lease.is_failing || failing < shares.failing);
        if !has_room {
            return None;
        }
        leases.insert(job, lease);
        Some(Self { version: self.version + 1, leases })
    }
}

#[cfg(test)]
impl Leases {
    /// Removes the lease of a job, as [`release`] does.
    pub(crate) fn release_for_test(&mut self, job: JobId) {
        self.leases.remove(&job);
    }
}

/// Gives the lease of a job back. If that fails, the lease runs out.
pub(crate) async fn release(store: &Store, job: JobId) {
    let update = Update::of(&key::delivery_leases())
        .remove(["leases", job.to_string().as_str()])
        .add("version", 1)
        .when(exists());
    if let Err(error) = store.write_if(update).await {
        tracing::warn!(%job, %error, "could not release the lease of a job that delivers; it runs out");
    }
}

/// Returns the pause before the next attempt of a job that found no room: longer with each attempt, and jittered.
pub(crate) fn pause(attempt: u32) -> Duration {
    let longest = Duration::from_secs(1 << attempt.min(4)).min(LONGEST_PAUSE);
    scaled(longest.mul_f64(0.5 + fastrand::f64() / 2.0))
}
