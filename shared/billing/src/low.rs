//! Low credits: the outbox of the comparison, and the comparison itself.
//!
//! The writes that settle a run read nothing, so they do not know the balance that they leave. A hold knows it: the account is read
//! before. If a hold leaves fewer credits than the threshold, the run's end stores a job that compares the balance. Credits are low
//! after the last run only if the hold of a run had left as few, so the crossing is noticed, and a tenant with enough credits has no
//! such jobs. Runs that begin in the same moment may not see the holds of each other: then the next run notices.

use sequent_core::{GrantId, JobId, MicroCredits, RunId, TenantId};
use sequent_event::Hold;
use sequent_jobs::{NewJob, Queue};
use sequent_tables::{Error, Store, Update, attribute, key};
use serde::{Deserialize, Serialize};

use crate::{Account, Payer};

/// The part of the latest grant below which credits are low.
const PART: i64 = 10;

/// The input of the job that compares the balance of a tenant after a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct LowCredits {
    pub run_id: RunId,
    /// The threshold as the hold of the run has recorded it.
    pub threshold: MicroCredits,
}

/// A balance that is low, and that the tenant was not told of since its latest grant.
#[derive(Debug, Clone)]
pub struct LowBalance {
    /// The credits that runs can hold.
    pub available: MicroCredits,
    /// The latest grant of the account.
    pub grant: GrantId,
    /// Notes that the tenant is told, on condition that it was not and that the credits are still low. Commit it with the announcement.
    pub note: Update,
}

impl LowCredits {
    /// The type of the job.
    pub const JOB: &'static str = "compare_credits";

    /// Returns the job to store with the settlement of a run. Returns `None` if its hold has left enough.
    pub(crate) fn job(hold: &Hold, payer: Payer) -> Option<NewJob> {
        let input = Self { run_id: payer.run, threshold: hold.low_below? };
        Some(NewJob {
            tenant: payer.tenant,
            // Derived from the run, so that a run has one such job. Others of the run have the bits 0 to 2.
            id: JobId::from_bits(payer.run.bits() ^ 3),
            job_type: Self::JOB.to_owned(),
            job_key: None,
            queue: Queue::Jobs,
            internal: true,
            input: serde_json::to_value(&input).expect("the input is plain data"),
            about: None,
            run: None,
            tool_call_id: None,
        })
    }

    /// Compares the balance. Returns `None` if it is not low, or if the tenant was told of it.
    ///
    /// # Errors
    /// Returns an error if the table fails.
    pub async fn compare(&self, store: &Store, tenant: TenantId) -> Result<Option<LowBalance>, Error> {
        let Some(account) = store.get::<Account>(&key::account(tenant)).await? else { return Ok(None) };
        let Some(grant) = account.latest_grant.filter(|_| account.available < self.threshold) else {
            return Ok(None);
        };
        if account.low_told == Some(grant.id) {
            return Ok(None);
        }
        let note = Update::of(&key::account(tenant))
            .set("low_told", grant.id)
            .add("version", 1)
            .when(attribute("low_told").is_absent().or(attribute("low_told").differs_from(grant.id)))
            .when(attribute("available").is_below(self.threshold));
        Ok(Some(LowBalance { available: account.available, grant: grant.id, note }))
    }
}

/// Returns the threshold of low credits if a hold of `amount` leaves fewer, and the tenant was not told of it since its latest grant:
/// a tenth of that grant, and at least the usual hold of a run, because with less the next run may be refused.
pub(crate) fn threshold_for(
    account: &Account,
    usual_hold: MicroCredits,
    amount: MicroCredits,
) -> Option<MicroCredits> {
    let grant = account.latest_grant.filter(|grant| account.low_told != Some(grant.id))?;
    let threshold = MicroCredits(grant.amount.0 / PART).max(usual_hold);
    (account.available - amount < threshold).then_some(threshold)
}
