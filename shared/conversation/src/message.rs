//! One turn of a conversation.

use sequent_core::{MessageId, ProjectId, RunId, Timestamp};
use serde::{Deserialize, Serialize};

/// A message as the list endpoint shows it and as the table stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Message {
    /// The id it has in its run's log too.
    pub id: MessageId,
    /// The conversation.
    pub project_id: ProjectId,
    /// The run it started, or that wrote it.
    pub run_id: RunId,
    /// Who speaks.
    pub role: Role,
    /// Its text.
    pub content: String,
    /// Whether the text is all there is.
    pub status: Standing,
    /// When it was sent, or completed.
    pub created_at: Timestamp,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A person.
    User,
    /// The model.
    Assistant,
}

/// Whether a message is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Said in full.
    Complete,
    /// Cut short by a cancel or a failure; what was said is kept.
    Partial,
}
