//! What a run leaves beside its answer: artifacts, and jobs that work on.

use sequent_core::{ArtifactId, JobId};
use serde::{Deserialize, Serialize};

use crate::Totals;

/// Bytes that are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// Names the artifact.
    pub artifact_id: ArtifactId,
    /// What it is called.
    pub title: String,
    /// What it is, such as `report` or `file`.
    pub entity_type: String,
    /// Of the bytes (RFC 6838).
    pub media_type: String,
    /// How many bytes.
    pub size: u64,
    /// SHA-256 of the bytes, as 64 hexadecimal digits.
    pub sha256: String,
    /// The tool call that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// The job that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
}

/// Something that has a name, found by a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entity {
    /// What it is, such as `person` or `organization`.
    pub entity_type: String,
    /// What it is called.
    pub name: String,
    /// How often it is named.
    pub mentions: u32,
    /// Where it was found.
    pub artifact_id: ArtifactId,
    /// The job that found it.
    pub job_id: JobId,
}

/// A task that was handed to the background.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Names the job.
    pub job_id: JobId,
    /// Its type, such as `render_export`.
    pub job_type: String,
    /// The tool call whose result it gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

/// The end of a job, as its worker wrote it down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobEnd {
    /// The job.
    pub job_id: JobId,
    /// How it ended.
    pub status: JobStatus,
    /// What it came to, for a model to read, or why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub result: String,
    /// What its model calls used.
    #[serde(default, skip_serializing_if = "Totals::is_none")]
    pub usage: Totals,
    /// Where the run stood. An event may be the last of its log, and then has to tell whether the log is closed.
    pub run: RunStage,
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// It did what it was to do.
    Success,
    /// It will not.
    Error,
}

/// Where a run stands, for others than its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStage {
    /// It executes, or waits to.
    Live,
    /// It waits for people.
    Waiting,
    /// It has ended.
    Ended,
}
