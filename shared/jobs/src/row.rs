//! A job's row: its state, and the steps it may take.

use std::time::Duration;

use sequent_core::{ArtifactId, JobId, RunId, TenantId, Timestamp, pace::scaled};
use sequent_tables::{
    Update, attribute,
    attributes::{LEASE_UNTIL, QUEUED_AT},
    key,
};
use serde::{Deserialize, Serialize};

use crate::{Done, GRACE, JobUsage, Queue};

/// A job as the endpoints return it and as the table stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Job {
    /// Id of the job.
    pub id: JobId,
    /// Kind of the job, such as `hello_world`.
    pub job_type: String,
    /// Key of the job: at most one job of a type has it.
    pub job_key: Option<String>,
    /// Workers that receive the job.
    #[serde(default)]
    pub queue: Queue,
    /// The job serves the deployment itself. It is not in the list of its tenant.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub internal: bool,
    /// State of the job.
    pub status: JobStatus,
    /// Run that asked for the job.
    pub run_id: Option<RunId>,
    /// Tool call that gets the result.
    pub tool_call_id: Option<String>,
    /// Input of the job; its form depends on the type.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub input: serde_json::Value,
    /// Number of the latest attempt, from 1. It is the fencing token: only the latest attempt can end the job.
    pub attempt: u32,
    /// Attempts that failed since the job was enqueued or redriven.
    pub failures: u32,
    /// Attempts that were lost with their process since then.
    pub lost: u32,
    /// Number of times that the job was redriven.
    pub redrives: u32,
    /// End of the current attempt's lease, if it is not renewed.
    pub lease_until: Option<Timestamp>,
    /// Earliest time of the next attempt.
    pub not_before: Option<Timestamp>,
    /// Progress of the job.
    pub progress: Option<JobProgress>,
    /// Result of the job.
    pub result: Option<String>,
    /// Texts for people: what the result lacks, such as a script that no font covers.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Prompt that instructed the model: its name and its version, or its name alone if it is the built-in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "sequent-entities@3"))]
    pub prompt: Option<String>,
    /// Artifacts that the job made.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub artifacts: Vec<ArtifactId>,
    /// Usage of the model calls of all attempts, failed ones included.
    #[serde(default)]
    pub usage: JobUsage,
    /// Failure of the job, or of its latest failed attempt.
    pub error: Option<JobFailure>,
    /// Time of the enqueuing.
    pub created_at: Timestamp,
    /// Start of the first attempt.
    pub started_at: Option<Timestamp>,
    /// Time of the end.
    pub completed_at: Option<Timestamp>,
}

/// The state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// The job waits for a worker.
    Pending,
    /// A worker has the job.
    Running,
    /// The job has succeeded.
    Success,
    /// The job has failed. A redrive can make it pending again.
    Error,
}

/// The progress of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobProgress {
    /// Part of the work that is done.
    #[cfg_attr(feature = "openapi", schema(maximum = 100))]
    pub percent: u8,
    /// Text that describes the progress for people.
    pub message: String,
}

/// The failure of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobFailure {
    /// Stable code: `poison`, `over_budget`, `failed`, `timeout`, `panicked`, `too_many_crashes` or `cancelled`.
    pub code: String,
    /// Text that explains the failure for people.
    pub message: String,
}

impl JobFailure {
    /// The code of a job that was cancelled.
    pub const CANCELLED: &'static str = "cancelled";
    /// The code of a job that has used up the limits that its run had left for it.
    pub const OVER_BUDGET: &'static str = "over_budget";

    /// Returns `true` if another attempt would fail in the same way.
    #[must_use]
    pub fn is_poison(&self) -> bool {
        self.code == "poison"
    }

    /// A failure. Long messages are cut, because the row is read in lists.
    #[must_use]
    pub fn new(code: &str, message: &str) -> Self {
        const LONGEST: usize = 2000;
        Self { code: code.to_owned(), message: message.chars().take(LONGEST).collect() }
    }
}

impl Job {
    /// Returns `true` if the job has ended.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        matches!(self.status, JobStatus::Success | JobStatus::Error)
    }

    /// The job with the next attempt in progress.
    pub(crate) fn claimed(&self, now: Timestamp, lease: Duration) -> Self {
        Self {
            status: JobStatus::Running,
            attempt: self.attempt + 1,
            lost: self.lost + u32::from(self.status == JobStatus::Running),
            lease_until: Some(now + lease),
            not_before: None,
            started_at: self.started_at.or(Some(now)),
            ..self.clone()
        }
    }

    /// The job waiting for its next attempt, with none in progress.
    pub(crate) fn waiting(&self, not_before: Option<Timestamp>) -> Self {
        Self { status: JobStatus::Pending, lease_until: None, not_before, ..self.clone() }
    }

    /// As [`waiting`](Self::waiting), because an attempt failed.
    pub(crate) fn failed_once(&self, why: JobFailure, not_before: Timestamp) -> Self {
        Self { failures: self.failures + 1, error: Some(why), ..self.waiting(Some(not_before)) }
    }

    /// The job ended with what an attempt has done.
    pub(crate) fn succeeded(&self, done: &Done, now: Timestamp) -> Self {
        Self {
            status: JobStatus::Success,
            result: Some(done.result.clone()).filter(|result| !result.is_empty()),
            warnings: done.warnings.clone(),
            prompt: done.prompt.clone(),
            artifacts: done.artifacts.iter().map(|left| left.artifact.artifact_id).collect(),
            error: None,
            ..self.ended(now)
        }
    }

    /// The job ended with a failure.
    pub(crate) fn failed(&self, why: JobFailure, now: Timestamp) -> Self {
        Self { status: JobStatus::Error, error: Some(why), ..self.ended(now) }
    }

    /// The job waiting again after it had failed, with all its attempts ahead.
    pub(crate) fn redriven(&self) -> Self {
        Self {
            failures: 0,
            lost: 0,
            redrives: self.redrives + 1,
            progress: None,
            completed_at: None,
            ..self.waiting(None)
        }
    }

    fn ended(&self, now: Timestamp) -> Self {
        Self { lease_until: None, not_before: None, completed_at: Some(now), ..self.clone() }
    }

    /// Builds the update that turns this row, as it was read, into `after`, unless the job took a step meanwhile. Progress
    /// and the renewal of a lease are not steps: an attempt does not fence itself.
    pub(crate) fn update_to(&self, tenant: TenantId, after: &Self, now: Timestamp) -> Update {
        let position = match after.status {
            JobStatus::Pending => {
                key::active_job(after.id, after.not_before.map_or(now, |at| at.max(now)) + scaled(GRACE))
            }
            JobStatus::Running => key::active_job(after.id, after.lease_until.unwrap_or(now)),
            JobStatus::Success | JobStatus::Error => key::ended_job(after.id, now),
        };
        let update = Update::of(&key::job(tenant, after.id))
            .set("status", after.status)
            .set("attempt", after.attempt)
            .set("failures", after.failures)
            .set("lost", after.lost)
            .set("redrives", after.redrives)
            .set(LEASE_UNTIL, after.lease_until)
            .set("not_before", after.not_before)
            .set("progress", &after.progress)
            .set("result", &after.result)
            .set("warnings", &after.warnings)
            .set("prompt", &after.prompt)
            .set("artifacts", &after.artifacts)
            .set("usage", after.usage)
            .set("error", &after.error)
            .set("started_at", after.started_at)
            .set("completed_at", after.completed_at)
            .gsi2(&position)
            .when(attribute("status").equals(self.status))
            .when(attribute("attempt").equals(self.attempt))
            .when(attribute("redrives").equals(self.redrives));
        match after.status {
            JobStatus::Pending => update.set(QUEUED_AT, now.millis()),
            // A take-over is allowed only if the lease that was read has not been renewed since.
            JobStatus::Running => {
                update.remove(QUEUED_AT).when(attribute(LEASE_UNTIL).equals(self.lease_until))
            }
            JobStatus::Success | JobStatus::Error => update.remove(QUEUED_AT),
        }
    }

    /// Returns `true` if this row, found where the write of `after` did not hold, is the result of that write: an earlier
    /// try of it, whose answer was lost.
    pub(crate) fn is_already(&self, after: &Self) -> bool {
        (self.status, self.attempt, self.redrives) == (after.status, after.attempt, after.redrives)
            && self.completed_at == after.completed_at
            && self.not_before == after.not_before
    }
}
