//! The deletion of a conversation: the job that is enqueued with the mark of its project.
//!
//! This crate knows the rows of projects and runs. The job also deletes logs, artifacts, exports and jobs, so its handler
//! is in `shared/deletion`.

use sequent_core::{JobId, ProjectId, TenantId};
use sequent_jobs::{NewJob, Queue};
use serde::{Deserialize, Serialize};

/// The input of the job `delete_conversation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// The project, which is marked as being deleted.
    pub project_id: ProjectId,
}

impl Deletion {
    /// The type of the job.
    pub const TYPE: &'static str = "delete_conversation";

    /// Returns the job key: a project is deleted once.
    #[must_use]
    pub fn key(self) -> String {
        self.project_id.to_string()
    }

    /// The job that deletes the conversation.
    ///
    /// # Panics
    /// Never: an id serialises.
    #[must_use]
    pub fn job(self, tenant: TenantId) -> NewJob {
        NewJob {
            tenant,
            id: JobId::new(),
            job_type: Self::TYPE.to_owned(),
            job_key: Some(self.key()),
            queue: Queue::Jobs,
            internal: false,
            input: serde_json::to_value(self).expect("an id serialises"),
            about: None,
            run: None,
            tool_call_id: None,
        }
    }
}
