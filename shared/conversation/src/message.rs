//! The messages of a conversation.
//!
//! Decision 3 (`infra/decisions/0003-messages-are-keyed-by-run.md`) explains why.

use sequent_core::{MessageId, ProjectId, RunId, Timestamp};
use sequent_event::TextMessage;
use serde::{Deserialize, Serialize};

/// A message as the API shows it and as the table stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "plain data")]
pub struct Message {
    /// The id of the message, in the log of its run too.
    pub id: MessageId,
    pub project_id: ProjectId,
    /// The run that the message started or steered, or that wrote it.
    pub run_id: RunId,
    pub role: MessageRole,
    /// The text: at most 300 KB of it. The events of the run have the rest.
    pub content: String,
    /// The text was longer and is cut. Absent if it is not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    pub status: MessageStatus,
    /// The time at which the message was sent, or the answer ended.
    pub created_at: Timestamp,
}

impl Message {
    /// A message of a person.
    pub(crate) fn of_person(project_id: ProjectId, run_id: RunId, said: &TextMessage) -> Self {
        Self {
            id: said.id,
            project_id,
            run_id,
            role: MessageRole::User,
            content: said.text.clone(),
            truncated: false,
            status: MessageStatus::Complete,
            created_at: said.id.created_at(),
        }
    }
}

/// The author of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum MessageRole {
    /// A person.
    User,
    /// The model.
    Assistant,
}

/// The completeness of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum MessageStatus {
    /// The text is complete.
    Complete,
    /// The text was cut short by a cancellation or a failure.
    Partial,
}
