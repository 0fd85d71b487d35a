//! The parts of messages, as the API shows them.

use std::borrow::Cow;

use sequent_core::{ArtifactId, MessageId, ProjectId, RunId, Timestamp};
use sequent_event::{Artifact, Attachment, Body, DataPart, UserPart};
use sequent_protocol::ui_message::{FoldedPart, FoldedTool, FoldedToolState, Json};
use serde::Serialize;

use crate::{Message, MessageRole, MessageStatus};

/// A message with its parts.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Message))]
#[expect(missing_docs, reason = "plain data")]
pub struct ShownMessage {
    /// The id of the message, in the log of its run too.
    pub id: MessageId,
    pub project_id: ProjectId,
    /// The run that the message started or steered, or that wrote it.
    pub run_id: RunId,
    pub role: MessageRole,
    /// The text: at most 300 KB of it. It is empty if the message has none.
    pub content: String,
    /// The content and all else that belongs to the message, in the order in which it was written.
    pub parts: Vec<MessagePart>,
    /// The text or a part was longer and is cut. The events of the run have all of it. Absent if nothing is cut.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub truncated: bool,
    pub status: MessageStatus,
    /// The runs that continue the same run as `run_id` does, itself included, oldest first: other answers, or answers to other
    /// forms of the question. Absent if there is no other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub siblings: Vec<RunId>,
    /// The time at which the message was sent, or the answer ended.
    pub created_at: Timestamp,
}

/// A part of a message.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(missing_docs, reason = "plain data")]
pub enum MessagePart {
    Text {
        text: String,
    },
    /// Visible reasoning of the model.
    Reasoning {
        text: String,
    },
    /// A call of a tool.
    Tool(CallPart),
    /// A source that the answer cites.
    Source {
        /// The position of the citation in the log of the run.
        id: String,
        url: String,
        title: String,
    },
    /// A file that the run, or a job of it, created.
    Artifact(ArtifactPart),
    /// An image that the person attached.
    Image(AttachmentPart),
    /// Another file that the person attached.
    File(AttachmentPart),
    /// Structured data that the person's client sent.
    Data {
        name: String,
        #[cfg_attr(feature = "openapi", schema(value_type = Value))]
        data: serde_json::Value,
    },
}

/// A call of a tool with its result.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "plain data")]
pub struct CallPart {
    pub id: String,
    /// The name of the tool.
    pub name: String,
    pub state: CallState,
    /// The arguments: JSON, or a string if the model wrote none.
    #[cfg_attr(feature = "openapi", schema(value_type = Value))]
    pub input: Option<Json>,
    /// The result as the model read it: JSON, or a string.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Value>))]
    pub output: Option<Json>,
    /// The reason why there is no result.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub error: Option<Cow<'static, str>>,
}

/// The progress of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CallState {
    /// The call has no result.
    Pending,
    /// The call has a result.
    Done,
    /// The run or the response ended before the call had a result.
    Failed,
}

/// An artifact of the run.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "plain data")]
pub struct ArtifactPart {
    pub artifact_id: ArtifactId,
    pub title: String,
    /// The kind of artifact, such as `report` or `file`.
    pub entity_type: String,
    pub media_type: String,
    /// The number of bytes.
    pub size: u64,
}

/// An artifact that a person attached.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "plain data")]
pub struct AttachmentPart {
    pub artifact_id: ArtifactId,
    pub media_type: String,
    /// The name of the file, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The number of bytes.
    pub size: u64,
}

impl ShownMessage {
    /// The message of a person.
    pub(super) fn of_person(row: &Message) -> Self {
        let parts = match row.parts.as_slice() {
            [] => vec![MessagePart::Text { text: row.content.clone() }],
            parts => parts.iter().map(MessagePart::of_person).collect(),
        };
        Self::of_row(row, parts)
    }

    /// An answer. If the log did not give its parts, its text is its only one.
    pub(super) fn of_answer(row: &Message, mut parts: Vec<MessagePart>, is_shortened: bool) -> Self {
        if parts.is_empty() && !row.content.is_empty() {
            parts.push(MessagePart::Text { text: row.content.clone() });
        }
        Self { truncated: row.truncated || is_shortened, ..Self::of_row(row, parts) }
    }

    fn of_row(row: &Message, parts: Vec<MessagePart>) -> Self {
        Self {
            id: row.id,
            project_id: row.project_id,
            run_id: row.run_id,
            role: row.role,
            content: row.text().into_owned(),
            parts,
            truncated: row.truncated,
            status: row.status,
            siblings: Vec::new(),
            created_at: row.created_at,
        }
    }
}

impl MessagePart {
    fn of_person(part: &UserPart) -> Self {
        match part {
            UserPart::Text { text } => Self::Text { text: text.clone() },
            UserPart::Image(attachment) => Self::Image(attachment.into()),
            UserPart::File(attachment) => Self::File(attachment.into()),
            UserPart::Data(DataPart { name, data }) => Self::Data { name: name.clone(), data: data.clone() },
        }
    }

    /// Converts a part of an answer. Returns `None` for the borders of steps, for texts that are empty or were abandoned, and
    /// for messages that steered the run, which are messages of their own here.
    pub(super) fn of_answer(part: FoldedPart) -> Option<Self> {
        match part {
            FoldedPart::Text { text, provider_metadata: None, .. } if !text.is_empty() => {
                Some(Self::Text { text })
            }
            FoldedPart::Reasoning { text, provider_metadata: None, .. } if !text.is_empty() => {
                Some(Self::Reasoning { text })
            }
            FoldedPart::Tool(call) => Some(Self::Tool(call.into())),
            FoldedPart::SourceUrl { source_id, url, title } => {
                Some(Self::Source { id: source_id, url, title })
            }
            FoldedPart::DataSequentEvent { data, .. } => match data.body() {
                Some(Body::ArtifactCreated(artifact)) => Some(Self::Artifact(artifact.into())),
                _ => None,
            },
            FoldedPart::StepStart | FoldedPart::Text { .. } | FoldedPart::Reasoning { .. } => None,
        }
    }
}

impl From<FoldedTool> for CallPart {
    fn from(call: FoldedTool) -> Self {
        let state = match call.state {
            FoldedToolState::InputStreaming
            | FoldedToolState::InputAvailable
            | FoldedToolState::ApprovalRequested => CallState::Pending,
            FoldedToolState::OutputAvailable => CallState::Done,
            FoldedToolState::OutputError | FoldedToolState::OutputDenied => CallState::Failed,
        };
        let is_denied = call.state == FoldedToolState::OutputDenied;
        let denied = is_denied.then(|| Cow::from("The call was not approved."));
        let name = call.name().to_owned();
        Self {
            id: call.tool_call_id,
            name,
            state,
            input: call.input,
            output: call.output,
            error: call.error_text.or(denied),
        }
    }
}

impl From<&Artifact> for ArtifactPart {
    fn from(artifact: &Artifact) -> Self {
        Self {
            artifact_id: artifact.artifact_id,
            title: artifact.title.clone(),
            entity_type: artifact.entity_type.clone(),
            media_type: artifact.media_type.clone(),
            size: artifact.size,
        }
    }
}

impl From<&Attachment> for AttachmentPart {
    fn from(attachment: &Attachment) -> Self {
        Self {
            artifact_id: attachment.artifact_id,
            media_type: attachment.media_type.clone(),
            name: attachment.name.clone(),
            size: attachment.size,
        }
    }
}
