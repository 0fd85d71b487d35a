//! The outbox of usage reports. The end of a run stores the job that reports its spent credits to a meter, so that no run
//! is missed. The id of the run makes a repeated report idempotent.

use sequent_core::{JobId, MicroCredits, MicroUsd, RunId, Timestamp};
use sequent_event::Hold;
use sequent_jobs::{NewJob, Queue};
use serde::{Deserialize, Serialize};

use crate::{LedgerAccount, Payer, hold::posting};

/// The spent credits of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Spent {
    pub run_id: RunId,
    pub micro_credits: MicroCredits,
    /// End of the run.
    pub at: Timestamp,
}

impl Spent {
    /// The type of the job that reports the credits.
    pub const JOB: &'static str = "report_usage";

    /// Returns the job to store with the end of a run, or `None` if there is nothing to report.
    ///
    /// # Panics
    /// Never: the input is plain data.
    #[must_use]
    pub fn job(hold: &Hold, payer: Payer, cost: MicroUsd, at: Timestamp) -> Option<NewJob> {
        let micro_credits = posting(hold, payer, cost, at).to(LedgerAccount::Spent);
        let spent = Self { run_id: payer.run, micro_credits, at };
        (hold.metered && micro_credits > MicroCredits::ZERO).then(|| NewJob {
            tenant: payer.tenant,
            // Derived from the run, so that a run has one such job. Another job of the run has the run's own bits.
            id: JobId::from_bits(payer.run.bits() ^ 1),
            job_type: Self::JOB.to_owned(),
            job_key: None,
            queue: Queue::Jobs,
            internal: false,
            input: serde_json::to_value(&spent).expect("the spent credits are plain data"),
            about: None,
            run: None,
            tool_call_id: None,
        })
    }
}
