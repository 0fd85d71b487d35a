//! Findings: the ways in which something can be stuck, and their repairs.

use std::fmt;

use sequent_core::TenantId;
use serde::Serialize;

/// The way in which something is stuck. `infra/docs/operations.md` explains each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A live run has no entry in the due index, so no sweep will find it.
    RunNotDue,
    /// A run has been due for longer than a sweep takes.
    RunOverdue,
    /// A run that has ended is still in the due index.
    EndedRunDue,
    /// The row of a run and the end of its log contradict each other.
    RunDiffersFromLog,
    /// A run has no live owner, waits for nothing, and has written nothing for long.
    RunQuiet,
    /// A run waits for answers, but all its questions have expired or are answered.
    RunWaitsForNothing,
    /// A run is executed or waits for a person without the turn of its project.
    RunWithoutTurn,
    /// A run waits for its turn, but the turn has been free for long.
    RunNotWoken,
    /// A run that waits for its turn is not among the waiting runs of its project, or one that does not wait is.
    WaitingInVain,
    /// A project is marked as being deleted, and no job deletes it.
    DeletionStuck,
    /// A child run lives although its parent has ended.
    ChildOutlivesParent,
    /// A run that has ended, or does not exist, has the turn of a project.
    TurnOfEndedRun,
    /// Credits are held for a run that has ended or does not exist.
    HoldOfEndedRun,
    /// The balances of an account do not equal the sums of its ledger.
    LedgerDiffers,
    /// A live job has no entry in the due index, so no sweep will find it.
    JobNotDue,
    /// A job has been due for longer than a sweep takes.
    JobOverdue,
    /// A job that has ended is still in the due index of live jobs.
    EndedJobDue,
    /// A job was delivered again and again, and no worker has made an attempt for long.
    JobStuck,
    /// A schedule that is to do something has no entry in the due index, or a wrong one, so no sweep will find it in time.
    ScheduleNotDue,
    /// A schedule has been due for longer than a sweep and a worker take.
    ScheduleOverdue,
    /// A delivery to a webhook has been due for long, and no job is to send it.
    DeliveryWithoutJob,
    /// An object has been due for deletion for long, or no artifact refers to it and no collector will find it.
    ObjectLeft,
    /// A row, or a row or log that it is compared with, does not have the shape of its type.
    MalformedRow,
}

impl FindingKind {
    /// Returns the repair.
    const fn repair(self) -> &'static str {
        match self {
            Self::RunNotDue | Self::RunQuiet | Self::RunNotWoken => {
                "Send {\"tenant_id\", \"run_id\"} to the queue of runs, or cancel the run: POST /api/runs/{id}/cancel."
            }
            Self::RunOverdue | Self::JobOverdue => {
                "Find out why the sweep does not work: the log group of scheduler, its schedule, its throttles."
            }
            Self::EndedRunDue | Self::EndedJobDue => "Remove gsi2pk and gsi2sk from the row.",
            Self::RunDiffersFromLog => {
                "Enqueue a job rebuild_projections {\"run_id\"}: the log is right, and the row repeats it."
            }
            Self::RunWaitsForNothing => {
                "Send {\"tenant_id\", \"run_id\"} to the queue of runs. If it stays, cancel the run."
            }
            Self::RunWithoutTurn => "Cancel the run: it can neither answer in its project nor be answered.",
            Self::WaitingInVain => "Cancel the run. Delete a waiting row whose run does not wait.",
            Self::DeletionStuck => {
                "Redrive the job delete_conversation of the project: it continues where it stopped."
            }
            Self::ChildOutlivesParent => "Cancel the child run.",
            Self::TurnOfEndedRun => {
                "Set live_run_id of the project's row to NULL if it still names this run."
            }
            Self::HoldOfEndedRun => {
                "Redrive the job settle_run of the run if it failed, or delete the conversation: that settles its runs. Otherwise look for the run's posting in the ledger: without one, settle the hold; with one, remove the hold from the account."
            }
            Self::LedgerDiffers => "Stop changes of the account, and compare it with its postings by hand.",
            Self::JobNotDue | Self::JobStuck => {
                "Send {\"tenant_id\", \"job_id\"} to the job's queue, or cancel the job: POST /api/admin/jobs/{id}/cancel."
            }
            Self::ScheduleNotDue => {
                "Pause the schedule and let it go on: PATCH /api/schedules/{id} with paused true, then false."
            }
            Self::ScheduleOverdue => {
                "Find out why no worker takes the message: the queue of jobs, the log groups of scheduler and job-worker."
            }
            Self::DeliveryWithoutJob => {
                "Send a test: POST /api/webhooks/{id}/test. Its transaction adds a job, which sends all that is due. If the webhook does not exist, delete the entry."
            }
            Self::ObjectLeft => {
                "Find out why the collector does not work: the task collect_garbage of scheduler."
            }
            Self::MalformedRow => {
                "Compare the row, and those that it refers to, with their types. An older version may have written them."
            }
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Something that can no longer make progress, or that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Finding {
    pub kind: FindingKind,
    pub tenant: TenantId,
    /// The id of the run, project, job, schedule, queued delivery or object; `account` for the account of the tenant.
    pub subject: String,
    /// The observation that the finding rests on.
    pub reason: String,
    /// The repair of its kind.
    pub repair: &'static str,
}

impl Finding {
    pub(crate) fn new(
        kind: FindingKind,
        tenant: TenantId,
        subject: impl fmt::Display,
        reason: impl Into<String>,
    ) -> Self {
        Self { kind, tenant, subject: subject.to_string(), reason: reason.into(), repair: kind.repair() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, tenant, subject, reason, repair } = self;
        write!(f, "{kind}: {subject} of {tenant}\n  reason: {reason}\n  repair: {repair}")
    }
}
