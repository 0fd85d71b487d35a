//! A job's row: where it stands, and the steps it may take from there.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue as Value;
use sequent_core::{ArtifactId, JobId, RunId, Timestamp};
use sequent_tables::{Change, key};
use serde::{Deserialize, Serialize};
use serde_dynamo::to_attribute_value;

use crate::{Queue, sweep::GRACE};

/// A job as the endpoints show it and as the table stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// What kind of job it is, such as `hello_world`.
    pub job_type: String,
    /// What there is one job of: the same key of the same type gives the same job.
    pub job_key: Option<String>,
    /// Which workers it is delivered to.
    #[serde(default)]
    pub queue: Queue,
    /// Where it stands.
    pub status: Status,
    /// The run that asked for it.
    pub run_id: Option<RunId>,
    /// The tool call whose result it gives.
    pub tool_call_id: Option<String>,
    /// What it works on.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub input: serde_json::Value,
    /// How often it was begun. Also its fencing token: only the latest attempt can end it.
    pub attempt: u32,
    /// Attempts that failed since it was enqueued or redriven.
    pub failures: u32,
    /// Attempts that were lost with their process since then.
    pub lost: u32,
    /// How often it was redriven.
    pub redrives: u32,
    /// Until when the attempt under way need not show a sign of life.
    pub lease_until: Option<Timestamp>,
    /// When the next attempt may begin.
    pub not_before: Option<Timestamp>,
    /// How far it has come.
    pub progress: Option<Progressed>,
    /// What it came to.
    pub result: Option<String>,
    /// What it left.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub artifacts: Vec<ArtifactId>,
    /// Why it failed, or why its last attempt did.
    pub error: Option<Failure>,
    /// When it was enqueued.
    pub created_at: Timestamp,
    /// When its first attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It waits for a worker.
    Pending,
    /// A worker has it.
    Running,
    /// It did what it was to do.
    Success,
    /// It will not, unless it is redriven.
    Error,
}

/// How far a job has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Progressed {
    /// Of all it has to do.
    #[cfg_attr(feature = "openapi", schema(maximum = 100))]
    pub percent: u8,
    /// For people.
    pub message: String,
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Failure {
    /// Stable, for programs: `poison`, `failed`, `timeout`, `panicked`, `too_many_crashes`, `cancelled`.
    pub code: String,
    /// For people.
    pub message: String,
}

impl Failure {
    /// The code of a job that somebody stopped.
    pub const CANCELLED: &'static str = "cancelled";

    /// Whether another attempt would fail in the same way.
    #[must_use]
    pub fn is_poison(&self) -> bool {
        self.code == "poison"
    }

    /// A failure. Long messages are cut: they are shown, not kept.
    #[must_use]
    pub fn new(code: &str, message: &str) -> Self {
        const LONGEST: usize = 2000;
        Self { code: code.to_owned(), message: message.chars().take(LONGEST).collect() }
    }
}

impl Job {
    /// Whether it has ended.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        matches!(self.status, Status::Success | Status::Error)
    }

    /// The next attempt under way.
    pub(crate) fn claimed(&self, now: Timestamp, lease: Duration) -> Self {
        Self {
            status: Status::Running,
            attempt: self.attempt + 1,
            lost: self.lost + u32::from(self.status == Status::Running),
            lease_until: Some(now + lease),
            not_before: None,
            started_at: self.started_at.or(Some(now)),
            ..self.clone()
        }
    }

    /// Waiting for its next attempt, without one under way.
    pub(crate) fn waiting(&self, not_before: Option<Timestamp>) -> Self {
        Self { status: Status::Pending, lease_until: None, not_before, ..self.clone() }
    }

    /// As [`waiting`](Self::waiting), because an attempt failed.
    pub(crate) fn failed_once(&self, why: Failure, not_before: Timestamp) -> Self {
        Self { failures: self.failures + 1, error: Some(why), ..self.waiting(Some(not_before)) }
    }

    /// Ended well.
    pub(crate) fn succeeded(&self, result: &str, artifacts: Vec<ArtifactId>, now: Timestamp) -> Self {
        let result = (!result.is_empty()).then(|| result.to_owned());
        Self { status: Status::Success, result, artifacts, error: None, ..self.ended(now) }
    }

    /// Ended otherwise.
    pub(crate) fn failed(&self, why: Failure, now: Timestamp) -> Self {
        Self { status: Status::Error, error: Some(why), ..self.ended(now) }
    }

    /// Waiting again after it had failed for good, with all its attempts before it.
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

    /// What turns the row `self` was read from into this one, provided that nobody took a step meanwhile. Progress and the
    /// lease are no steps: the one attempt that writes them is not disturbed by itself.
    pub(crate) fn change_to(&self, after: &Self, now: Timestamp) -> Change {
        let index = match after.status {
            Status::Pending => {
                key::active_job(after.id, after.not_before.map_or(now, |at| at.max(now)) + GRACE)
            }
            Status::Running => key::active_job(after.id, after.lease_until.unwrap_or(now)),
            Status::Success | Status::Error => key::ended_job(after.id, now),
        };
        let mut change = Change {
            update: "SET #status = :status, attempt = :attempt, failures = :failures, lost = :lost, \
                     redrives = :redrives, lease_until = :lease, not_before = :not_before, #progress = :progress, \
                     #result = :result, artifacts = :artifacts, #error = :error, started_at = :started, \
                     completed_at = :completed, gsi2pk = :pk, gsi2sk = :sk"
                .to_owned(),
            condition: Some(
                "#status = :was AND attempt = :held AND redrives = :driven".to_owned(),
            ),
            names: vec![
                ("#status", "status"),
                ("#progress", "progress"),
                ("#result", "result"),
                ("#error", "error"),
            ],
            values: vec![
                (":was", attribute(&self.status)),
                (":held", attribute(&self.attempt)),
                (":driven", attribute(&self.redrives)),
                (":status", attribute(&after.status)),
                (":attempt", attribute(&after.attempt)),
                (":failures", attribute(&after.failures)),
                (":lost", attribute(&after.lost)),
                (":redrives", attribute(&after.redrives)),
                (":lease", attribute(&after.lease_until)),
                (":not_before", attribute(&after.not_before)),
                (":progress", attribute(&after.progress)),
                (":result", attribute(&after.result)),
                (":artifacts", attribute(&after.artifacts)),
                (":error", attribute(&after.error)),
                (":started", attribute(&after.started_at)),
                (":completed", attribute(&after.completed_at)),
                (":pk", Value::S(index.pk().to_owned())),
                (":sk", Value::S(index.sk().to_owned())),
            ],
        };
        if after.status == Status::Pending {
            change.update.push_str(", queued_at = :now");
            change.values.push((":now", Value::N(now.millis().to_string())));
        } else {
            change.update.push_str(" REMOVE queued_at");
        }
        if after.status == Status::Running {
            // Taking over is allowed only if the lease that was seen to be over has not been renewed since.
            change.condition = change.condition.map(|held| held + " AND lease_until = :seen");
            change.values.push((":seen", attribute(&self.lease_until)));
        }
        change
    }

    /// Whether this row, found where a write did not hold, is what that write would have made of it: an earlier try of
    /// the same write, whose answer was lost.
    pub(crate) fn is_already(&self, after: &Self) -> bool {
        (self.status, self.attempt, self.redrives) == (after.status, after.attempt, after.redrives)
            && self.completed_at == after.completed_at
            && self.not_before == after.not_before
    }
}

pub(crate) fn attribute<T: Serialize>(value: &T) -> Value {
    to_attribute_value(value).expect("a row's fields are plain data")
}
