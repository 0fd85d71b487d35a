//! The messages of a conversation.
//!
//! Decision 3 (`infra/decisions/0003-messages-are-keyed-by-run.md`) explains why.

use std::borrow::Cow;

use sequent_core::{MessageId, ProjectId, RunId, Timestamp};
use sequent_event::{Lineage, SentMessage, UserContent, UserPart};
use serde::{Deserialize, Serialize};

use crate::Run;

/// A message as the table stores it. [`ShownMessage`](crate::ShownMessage) is what the API shows of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Message {
    /// The id of the message, in the log of its run too.
    pub id: MessageId,
    pub project_id: ProjectId,
    /// The run that the message started or steered, or that wrote it.
    pub run_id: RunId,
    /// The place of the run in the conversation.
    #[serde(default, skip_serializing_if = "Lineage::is_first")]
    pub lineage: Lineage,
    pub role: MessageRole,
    /// The text: at most 300 KB of it. The events of the run have the rest. Empty if there are `parts`, which contain it.
    pub content: String,
    /// The parts of a person's message that is more than a text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<UserPart>,
    /// The text was longer and is cut. Absent if it is not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// The model has called tools for this answer. The log of the run has the calls.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_calls: bool,
    /// The run has left out a part of the conversation: requests contain a summary instead, which its log has. It is with the
    /// answers of the run, or with its first message if there are none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compacts: bool,
    pub status: MessageStatus,
    /// The time at which the message was sent, or the answer ended.
    pub created_at: Timestamp,
}

impl Message {
    /// A message of a person.
    pub(crate) fn of_person(run: &Run, said: &SentMessage) -> Self {
        let (content, parts) = match &said.content {
            UserContent::Text(text) => (text.clone(), Vec::new()),
            UserContent::Parts(parts) => (String::new(), parts.clone()),
        };
        Self {
            id: said.id,
            project_id: run.project_id,
            run_id: run.id,
            lineage: run.lineage,
            role: MessageRole::User,
            content,
            parts,
            truncated: false,
            has_calls: false,
            compacts: false,
            status: MessageStatus::Complete,
            created_at: said.id.created_at(),
        }
    }

    /// Returns the content of a person's message.
    #[must_use]
    pub fn user_content(&self) -> UserContent {
        match self.parts.as_slice() {
            [] => UserContent::Text(self.content.clone()),
            parts => UserContent::Parts(parts.to_vec()),
        }
    }

    /// Returns the text of the message.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match self.parts.as_slice() {
            [] => Cow::Borrowed(&self.content),
            parts => Cow::Owned(UserContent::Parts(parts.to_vec()).text().into_owned()),
        }
    }

    /// Returns what a model can read of the message as text.
    #[must_use]
    pub fn readable(&self) -> Cow<'_, str> {
        match self.parts.as_slice() {
            [] => Cow::Borrowed(&self.content),
            parts => Cow::Owned(UserContent::Parts(parts.to_vec()).readable().into_owned()),
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
