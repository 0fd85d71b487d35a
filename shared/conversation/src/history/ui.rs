//! Messages in the form of the AI SDK, as `useChat` takes them at its start.

use sequent_core::{ProjectId, RunId};
use sequent_event::{Attachment, DataPart, UserPart};
use sequent_protocol::ui_message::{FoldedMessage, FoldedPart, Metadata};
use serde::Serialize;

use super::{
    AnswerParts,
    page::{Built, ExchangeRows},
};
use crate::{Message, MessageRole};

/// A message of the AI SDK: a `UIMessage`. An answer has the id of its run.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "as in the AI SDK")]
pub struct UiHistoryMessage {
    pub id: String,
    pub role: MessageRole,
    /// The run, project, model, provider and usage of an answer. `siblings`: the runs that continue the same run as that of
    /// the message, itself included, oldest first, if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub metadata: Option<UiMetadata>,
    /// The same parts as `useChat` has after the stream of the answer. Artifacts and messages that steered the run are
    /// parts of the type `data-sequent-event`.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    pub parts: Vec<UiHistoryPart>,
}

/// Metadata of a message.
#[derive(Debug, Clone, Serialize)]
pub struct UiMetadata {
    /// The same as after the stream of the answer.
    #[serde(flatten)]
    pub of_answer: Option<Metadata>,
    /// All runs that continue the same one, if there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub siblings: Vec<RunId>,
}

/// A part of a message.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the types say it")]
pub enum UiHistoryPart {
    OfPerson(PersonPart),
    OfAnswer(Box<FoldedPart>),
}

/// A part of a person's message.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[expect(missing_docs, reason = "as in the AI SDK")]
pub enum PersonPart {
    Text {
        text: String,
    },
    File {
        media_type: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        filename: Option<String>,
        url: String,
    },
    #[serde(untagged)]
    Data {
        /// `data-` and the name of the data.
        #[serde(rename = "type")]
        kind: String,
        data: serde_json::Value,
    },
}

impl Built for UiHistoryMessage {
    fn needs_log(rows: &ExchangeRows) -> bool {
        question(rows).is_some()
    }
}

/// Makes the question and the answer of a run, if the rows begin with the question.
pub(super) fn messages(rows: &ExchangeRows, parts: Option<AnswerParts>) -> Vec<UiHistoryMessage> {
    let Some(question) = question(rows) else { return Vec::new() };
    let mut answers = rows.rows.iter().map(|(_, message)| message);
    let text =
        answers.rfind(|message| message.role == MessageRole::Assistant).map(|message| &*message.content);
    let answer = match parts {
        Some(parts) if parts.has_ended || parts.is_waiting => {
            Some(UiHistoryMessage::of_answer(parts.into_message(text), question.project_id))
        }
        Some(_) => None,
        None => text.map(|text| UiHistoryMessage {
            id: rows.run.to_string(),
            role: MessageRole::Assistant,
            metadata: None,
            parts: vec![UiHistoryPart::OfPerson(PersonPart::Text { text: text.to_owned() })],
        }),
    };
    let messages = [UiHistoryMessage::of_person(question)].into_iter().chain(answer);
    messages.map(|message| message.with_siblings(&rows.siblings)).collect()
}

/// The message that the run was started with, if it is among the rows.
fn question(rows: &ExchangeRows) -> Option<&Message> {
    rows.rows.first().filter(|(ordinal, _)| *ordinal == 0).map(|(_, message)| message)
}

impl UiHistoryMessage {
    fn with_siblings(mut self, siblings: &[RunId]) -> Self {
        if !siblings.is_empty() {
            let metadata = self.metadata.take();
            let of_answer = metadata.and_then(|metadata| metadata.of_answer);
            self.metadata = Some(UiMetadata { of_answer, siblings: siblings.to_vec() });
        }
        self
    }

    fn of_person(row: &Message) -> Self {
        let parts = match row.parts.as_slice() {
            [] => vec![PersonPart::Text { text: row.content.clone() }],
            parts => parts.iter().map(PersonPart::from).collect(),
        };
        let parts = parts.into_iter().map(UiHistoryPart::OfPerson).collect();
        Self { id: row.id.to_string(), role: MessageRole::User, metadata: None, parts }
    }

    /// The answer as the conversation `shown` has it, which may share the run with the one that its log names.
    fn of_answer(message: FoldedMessage, shown: ProjectId) -> Self {
        let of_answer = Metadata { project_id: Some(shown), ..message.metadata };
        Self {
            id: message.id.to_string(),
            role: MessageRole::Assistant,
            metadata: Some(UiMetadata { of_answer: Some(of_answer), siblings: Vec::new() }),
            parts: message.parts.into_iter().map(Box::new).map(UiHistoryPart::OfAnswer).collect(),
        }
    }
}

impl From<&UserPart> for PersonPart {
    fn from(part: &UserPart) -> Self {
        match part {
            UserPart::Text { text } => Self::Text { text: text.clone() },
            UserPart::Image(attachment) | UserPart::File(attachment) => {
                let Attachment { artifact_id, media_type, name, .. } = attachment;
                Self::File {
                    media_type: media_type.clone(),
                    filename: name.clone(),
                    url: format!("/api/artifacts/{artifact_id}/content"),
                }
            }
            UserPart::Data(DataPart { name, data }) => {
                Self::Data { kind: format!("data-{name}"), data: data.clone() }
            }
        }
    }
}
