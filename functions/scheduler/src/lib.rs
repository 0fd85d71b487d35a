//! Periodic work: sweeps every minute, maintenance every hour and every day.
//!
//! A sweep finds runs and jobs without an owner: the lease has expired, a message was lost, or a question was
//! not answered in time. While everything works, no run depends on a sweep. Because of the sweeps, every other
//! delivery may fail.

mod job_sweep;
mod periodic;
mod rotation;
mod run_sweep;
mod schedule_sweep;
mod setup_code;

use std::time::Duration;

use sequent_artifacts::Collected;
use sequent_identity::signing::rotation::Outcome;
use serde::{Deserialize, Serialize};

pub use job_sweep::{JobSweeper, SweptJobs};
pub use periodic::PeriodicJobs;
pub use rotation::Rotation;
pub use run_sweep::{RunSweeper, SweptRuns};
pub use schedule_sweep::{ScheduleSweeper, SweptSchedules};
pub use setup_code::SetupCode;

/// The next time at which a run or job that was sent to its queue is due again if no worker claims it. It is
/// later than the next sweep.
const RESEND_AFTER: Duration = Duration::from_secs(90);
/// Rows that a sweep works on at the same time.
const CONCURRENCY: usize = 16;

/// The event of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct ScheduledEvent {
    /// The task. EventBridge's own form of a schedule's event contains none, which means a sweep.
    #[serde(default)]
    pub task: Task,
}

/// The task of a schedule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Sweeps runs, jobs and schedules: [`RunSweeper::sweep`], [`JobSweeper::sweep`] and [`ScheduleSweeper::sweep`].
    #[default]
    Sweep,
    /// Rotates the signing keys if they are old: [`Rotation::run`].
    RotateSigningKey,
    /// Deletes objects without a reference: [`Artifacts::collect`](sequent_artifacts::Artifacts::collect).
    CollectGarbage,
    /// Enqueues the jobs of the hour: [`PeriodicJobs::enqueue_hourly`].
    EnqueueHourlyJobs,
    /// Enqueues the jobs of the day: [`PeriodicJobs::enqueue_daily`].
    EnqueueDailyJobs,
    /// Creates a setup code: [`SetupCode::create`]. Only an operator invokes the function with it.
    CreateSetupCode,
}

/// The result of a task, for an operator who invokes the function by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskResult {
    /// The runs of a sweep.
    Swept(SweptRuns),
    /// The state of the signing keys.
    SigningKey(Outcome),
    /// The objects without a reference.
    Garbage(Collected),
    /// The number of jobs that were enqueued for the first time.
    Enqueued(usize),
    /// The code for one account.
    SetupCode(SetupCode),
}
