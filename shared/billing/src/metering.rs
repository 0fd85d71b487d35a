//! What runs spend, for whoever bills by use: the outbox of it. A run's end stores the job that reports it, so that no run is
//! forgotten, and the run's id is what makes a report that is sent again the same one.

use sequent_core::{JobId, MicroCredits, MicroUsd, RunId, Timestamp};
use sequent_event::Hold;
use sequent_jobs::{NewJob, Queue};
use serde::{Deserialize, Serialize};

use crate::{Payer, Place, hold::posting};

/// What a run spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// The run.
    pub run_id: RunId,
    /// How much.
    pub micro_credits: MicroCredits,
    /// When it ended.
    pub at: Timestamp,
}

impl Spent {
    /// The type of the job that reports it.
    pub const JOB: &'static str = "report_usage";

    /// The job to store with the end of a run. `None`: there is nothing to report.
    ///
    /// # Panics
    /// Never: what was spent is plain data.
    #[must_use]
    pub fn job(hold: &Hold, payer: Payer, cost: MicroUsd, at: Timestamp) -> Option<NewJob> {
        let micro_credits = posting(hold, payer, cost, at).to(Place::Spent);
        let spent = Self { run_id: payer.run, micro_credits, at };
        (hold.metered && micro_credits > MicroCredits::ZERO).then(|| NewJob {
            tenant: payer.tenant,
            // The run's own, so that there is one of it; another job of the run has the plain id.
            id: JobId::from_bits(payer.run.bits() ^ 1),
            job_type: Self::JOB.to_owned(),
            job_key: None,
            queue: Queue::Jobs,
            input: serde_json::to_value(&spent).expect("what was spent is plain data"),
            run: None,
            tool_call_id: None,
        })
    }
}
