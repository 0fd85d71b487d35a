//! The changes that a feed tells.

use sequent_conversation::{MessageRole, RunStatus};
use sequent_core::{
    AgentId, ArtifactId, InterruptId, JobId, MessageId, MicroUsd, ProjectId, RunId, ScheduleId, Timestamp,
    UserId,
};
use sequent_jobs::JobStatus;
use serde::{Deserialize, Serialize};

use crate::ChangeKind;

/// A change of something that belongs to a tenant. Runs that are parts of other runs have none: the log of the run tells of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type")]
#[expect(missing_docs, reason = "plain data")]
pub enum FeedChange {
    /// A person, a schedule or another cause has asked for a run.
    #[serde(rename = "run.created")]
    RunCreated {
        run_id: RunId,
        project_id: ProjectId,
        user_id: UserId,
        /// The agent that answers. Absent if the run has none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent_id: Option<AgentId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent_version: Option<u32>,
    },
    /// The first execution of a run has begun.
    #[serde(rename = "run.started")]
    RunStarted { run_id: RunId, project_id: ProjectId, user_id: UserId },
    /// A run waits for answers of a person.
    #[serde(rename = "run.interrupted")]
    RunInterrupted {
        run_id: RunId,
        project_id: ProjectId,
        user_id: UserId,
        /// The questions that are open.
        questions: Vec<InterruptId>,
    },
    /// A run that waited for a person goes on: it was answered or cancelled, or a question has expired.
    #[serde(rename = "run.answered")]
    RunAnswered { run_id: RunId, project_id: ProjectId, user_id: UserId },
    /// A run has ended for good.
    #[serde(rename = "run.ended")]
    RunEnded {
        run_id: RunId,
        project_id: ProjectId,
        user_id: UserId,
        /// `success`, `error` or `cancelled`.
        status: RunStatus,
        /// The code of the failure. Absent if the run did not fail.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error_code: Option<String>,
        /// The cost of its model calls in millionths of a US dollar, as far as it is known at the end.
        #[cfg_attr(feature = "openapi", schema(value_type = u64))]
        cost_micro_usd: MicroUsd,
        input_tokens: u64,
        output_tokens: u64,
    },
    /// A conversation was begun.
    #[serde(rename = "project.created")]
    ProjectCreated { project_id: ProjectId, user_id: UserId },
    /// A conversation has another name.
    #[serde(rename = "project.renamed")]
    ProjectRenamed { project_id: ProjectId, user_id: UserId },
    /// A conversation was deleted.
    #[serde(rename = "project.deleted")]
    ProjectDeleted { project_id: ProjectId, user_id: UserId },
    /// A conversation shows another branch, or its branch goes on with another run.
    #[serde(rename = "project.head_moved")]
    ProjectHeadMoved {
        project_id: ProjectId,
        user_id: UserId,
        /// The last run of the branch. Absent if no run is left.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        head: Option<RunId>,
    },
    /// A conversation has another message.
    #[serde(rename = "message.added")]
    MessageAdded { project_id: ProjectId, run_id: RunId, message_id: MessageId, role: MessageRole },
    /// An artifact was stored.
    #[serde(rename = "artifact.created")]
    ArtifactCreated {
        artifact_id: ArtifactId,
        /// The kind of content, such as `report` or `file`.
        entity_type: String,
        media_type: String,
        /// Bytes of the content.
        size: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run_id: Option<RunId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user_id: Option<UserId>,
    },
    /// A job has ended for good.
    #[serde(rename = "job.ended")]
    JobEnded {
        job_id: JobId,
        job_type: String,
        /// The outcome: `success` or `error`.
        status: JobStatus,
        /// The code of the failure. Absent if the job did not fail.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error_code: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run_id: Option<RunId>,
    },
    /// The credits of the tenant have fallen below the limit of the notice.
    #[serde(rename = "credits.low")]
    CreditsLow {
        /// What is left, in millionths of a credit.
        balance: i64,
        /// The limit of the notice, in millionths of a credit. Absent if it is not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        threshold: Option<i64>,
    },
    /// A label of an agent, such as `production`, names another version.
    #[serde(rename = "agent.published")]
    AgentPublished { agent_id: AgentId, label: String, version: u32 },
    /// A schedule has missed due times.
    #[serde(rename = "schedule.missed")]
    ScheduleMissed {
        schedule_id: ScheduleId,
        /// The number of due times that were missed together.
        missed: u64,
        /// The last of them.
        due_at: Timestamp,
    },
}

impl FeedChange {
    /// Returns the kind of the change.
    #[must_use]
    pub const fn kind(&self) -> ChangeKind {
        match self {
            Self::RunCreated { .. } => ChangeKind::RunCreated,
            Self::RunStarted { .. } => ChangeKind::RunStarted,
            Self::RunInterrupted { .. } => ChangeKind::RunInterrupted,
            Self::RunAnswered { .. } => ChangeKind::RunAnswered,
            Self::RunEnded { .. } => ChangeKind::RunEnded,
            Self::ProjectCreated { .. } => ChangeKind::ProjectCreated,
            Self::ProjectRenamed { .. } => ChangeKind::ProjectRenamed,
            Self::ProjectDeleted { .. } => ChangeKind::ProjectDeleted,
            Self::ProjectHeadMoved { .. } => ChangeKind::ProjectHeadMoved,
            Self::MessageAdded { .. } => ChangeKind::MessageAdded,
            Self::ArtifactCreated { .. } => ChangeKind::ArtifactCreated,
            Self::JobEnded { .. } => ChangeKind::JobEnded,
            Self::CreditsLow { .. } => ChangeKind::CreditsLow,
            Self::AgentPublished { .. } => ChangeKind::AgentPublished,
            Self::ScheduleMissed { .. } => ChangeKind::ScheduleMissed,
        }
    }

    /// Returns the conversation that the change belongs to, if it belongs to one.
    #[must_use]
    pub const fn project(&self) -> Option<ProjectId> {
        match self {
            Self::RunCreated { project_id, .. }
            | Self::RunStarted { project_id, .. }
            | Self::RunInterrupted { project_id, .. }
            | Self::RunAnswered { project_id, .. }
            | Self::RunEnded { project_id, .. }
            | Self::ProjectCreated { project_id, .. }
            | Self::ProjectRenamed { project_id, .. }
            | Self::ProjectDeleted { project_id, .. }
            | Self::ProjectHeadMoved { project_id, .. }
            | Self::MessageAdded { project_id, .. } => Some(*project_id),
            Self::ArtifactCreated { .. }
            | Self::JobEnded { .. }
            | Self::CreditsLow { .. }
            | Self::AgentPublished { .. }
            | Self::ScheduleMissed { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_in_json_is_the_name_of_the_kind() {
        let change = FeedChange::RunStarted {
            run_id: RunId::new(),
            project_id: ProjectId::new(),
            user_id: UserId::new(),
        };
        let json = serde_json::to_value(&change).unwrap();
        assert_eq!(json["type"], change.kind().as_str());
        assert_eq!(serde_json::from_value::<FeedChange>(json).unwrap(), change);
        let json = serde_json::to_value(FeedChange::CreditsLow { balance: -7, threshold: None }).unwrap();
        assert_eq!(json, serde_json::json!({ "type": ChangeKind::CreditsLow.as_str(), "balance": -7 }));
    }
}
