//! The record of a run whose conversation was deleted: ids, times, model, usage and cost, and no text.

use sequent_conversation::{Run, RunCost, RunStatus, TokenUsage};
use sequent_core::{ProjectId, RunId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// A run whose conversation was deleted. It takes the place of the run's row, in a partition that no route reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct RunRecord {
    pub id: RunId,
    pub project_id: ProjectId,
    pub user_id: UserId,
    pub parent: Option<RunId>,
    pub status: RunStatus,
    pub model: Option<String>,
    pub usage: TokenUsage,
    pub cost: RunCost,
    /// The code of the failure. Its message may quote the conversation.
    pub error_code: Option<String>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub deleted_at: Timestamp,
}

impl RunRecord {
    pub(crate) fn of(run: Run, now: Timestamp) -> Self {
        Self {
            id: run.id,
            project_id: run.project_id,
            user_id: run.user_id,
            parent: run.parent_run_id,
            status: run.status,
            model: run.model,
            usage: run.usage,
            cost: run.cost,
            error_code: run.error.map(|failure| failure.code),
            created_at: run.created_at,
            started_at: run.started_at,
            completed_at: run.completed_at,
            deleted_at: now,
        }
    }
}
