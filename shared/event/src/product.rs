//! Artifacts, entities and jobs of a run.

use sequent_core::{ArtifactId, JobId};
use serde::{Deserialize, Serialize};

use crate::{Budget, Totals};

/// Immutable bytes in storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "plain data")]
pub struct Artifact {
    pub artifact_id: ArtifactId,
    pub title: String,
    /// The kind of artifact, such as `report` or `file`.
    pub entity_type: String,
    /// The media type of the bytes (RFC 6838).
    pub media_type: String,
    /// The number of bytes.
    pub size: u64,
    /// SHA-256 of the bytes, as 64 hexadecimal digits.
    pub sha256: String,
    /// The tool call that created the artifact, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// The job that created the artifact, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
}

/// A named entity that a job found in an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "plain data")]
pub struct Entity {
    /// The kind of entity, such as `person` or `organization`.
    pub entity_type: String,
    pub name: String,
    /// The number of times that the artifact mentions the entity.
    pub mentions: u32,
    pub artifact_id: ArtifactId,
    pub job_id: JobId,
}

/// A background task of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "plain data")]
pub struct Job {
    pub job_id: JobId,
    /// The type of the job, such as `render_export`.
    pub job_type: String,
    /// The tool call that the job's result answers, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// Limits of the job's model calls. The run leaves this much of its own limits to the job until the job ends.
    #[serde(default, skip_serializing_if = "Budget::is_unlimited")]
    pub budget: Budget,
}

/// The end of a job, as its worker recorded it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "plain data")]
pub struct JobEnd {
    pub job_id: JobId,
    pub status: JobStatus,
    /// The result as text for a model, or the reason of the failure.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub result: String,
    /// The usage of the job's model calls.
    #[serde(default, skip_serializing_if = "Totals::is_none")]
    pub usage: Totals,
    /// The job was cancelled after an attempt had begun, which may use a model for a moment longer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub usage_may_grow: bool,
    /// The stage of the run at that time. This event may be the last of its log, and a reader of the tail
    /// must be able to see whether the log is closed.
    pub run: RunStage,
}

/// The result of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "plain data")]
pub enum JobStatus {
    Success,
    /// The job failed and will not be retried.
    Error,
}

/// The stage of a run, as seen by processes other than its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStage {
    /// The run executes, or waits for its execution to start or to continue.
    Live,
    /// The run waits for people.
    Waiting,
    /// The run has ended.
    Ended,
}
