//! Starting the runs of schedules.

mod run;

use std::future::Future;

use sequent_conversation::RunRows;
use sequent_core::{ProjectId, RunId, TenantId, Timestamp, UserId};
use sequent_identity::EndedAuthority;
use sequent_tables::{Error as DataError, Write};

use crate::{Error, LastRun, Occurrence, Schedule, StartRefusal, store::replacement};

pub use run::RunLauncher;

/// The runs of schedules, as far as a schedule has to know them. A simulation has others than the deployment.
pub trait Launcher: Send + Sync {
    /// Returns the part of the authority for runs of the schedule that has ended. Returns `None` if they may be started.
    fn ended_authority(
        &self,
        tenant: TenantId,
        schedule: &Schedule,
    ) -> impl Future<Output = Result<Option<EndedAuthority>, Error>> + Send;

    /// Returns `true` if the run has not ended.
    fn is_live(&self, tenant: TenantId, run: RunId) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Asks the run to stop.
    fn stop(
        &self,
        tenant: TenantId,
        run: RunId,
        by: UserId,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Starts a run. The schedule is written in the same transaction, if it is still as it was read.
    fn launch(&self, launch: Launch<'_>) -> impl Future<Output = Result<Launched, Error>> + Send;
}

/// A run to start for a schedule.
#[derive(Debug, Clone, Copy)]
pub struct Launch<'a> {
    /// The tenant of the schedule.
    pub tenant: TenantId,
    /// The schedule as it was read.
    pub schedule: &'a Schedule,
    /// The due time, or the time of the request that runs the schedule by hand.
    pub occurrence: &'a Occurrence,
    /// A person asked for the run. The due times of the schedule stay.
    pub is_by_hand: bool,
    /// The time of the start.
    pub now: Timestamp,
}

/// The result of a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Launched {
    /// The run was started, and the schedule was written.
    New(LastRun),
    /// An earlier attempt has started the run.
    Before(LastRun),
    /// The schedule is no longer as it was read. Nothing was started.
    Changed,
    /// A live run of the project is in the way. Nothing was started.
    Busy(StartRefusal),
    /// The start was refused, and would be refused again.
    Refused(StartRefusal),
}

impl Launch<'_> {
    /// Returns the schedule as it is after the start of `run`.
    #[must_use]
    pub fn after(&self, run: LastRun) -> Schedule {
        if self.is_by_hand {
            self.schedule.started_by_hand(run, self.now)
        } else {
            self.schedule.started(self.occurrence, run, self.now)
        }
    }

    /// Returns the write of the schedule for the transaction that creates `run`.
    ///
    /// # Errors
    /// Returns an error if the schedule cannot be encoded.
    pub fn write(&self, run: LastRun) -> Result<Write, DataError> {
        replacement(self.tenant, self.schedule, &self.after(run))
    }

    /// Returns the write of the schedule for the transaction that creates its run in a project.
    #[must_use]
    pub fn rows(&self, project_id: ProjectId) -> RunRows {
        let Self { tenant, is_by_hand, now, .. } = *self;
        let schedule = self.schedule.clone();
        let occurrence = self.occurrence.clone();
        RunRows::new(move |run_id| {
            let launch = Launch { tenant, schedule: &schedule, occurrence: &occurrence, is_by_hand, now };
            Ok(vec![launch.write(LastRun { run_id, project_id })?])
        })
    }
}
