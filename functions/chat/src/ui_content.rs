//! Messages in the format of the AI SDK, and their content.

use sequent_attachments::{ContentPart, InlineFile, MessageContent};
use sequent_conversation::Prompt;
use sequent_core::{ArtifactId, Code, ProjectId};
use sequent_http::Problem;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A message in the format of the SDK.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct UiMessage {
    /// The client's id of the message. An answer has the id of its run.
    #[serde(default)]
    pub(crate) id: Option<String>,
    /// `user`, `assistant` or `system`.
    pub(crate) role: String,
    /// The parts of the message: `text`, `file`, and `data-*` for structured data of the product. Others are ignored. The
    /// `url` of a file is `/api/artifacts/{id}/content`, or a `data:` URL in Base64; such files have 4 MB together. Of an answer
    /// that waits, the calls of its last step are read: `output-available`, `output-error` and `approval-responded`.
    #[serde(default)]
    pub(crate) parts: Vec<UiPart>,
    /// The text, in the format of older versions.
    #[serde(default)]
    content: Option<String>,
    /// The metadata of an answer, as it was sent: `projectId` names the chat. Others are ignored.
    #[serde(default, skip_serializing_if = "is_never_sent")]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
}

/// Leaves out a member that is only received. `skip_serializing` would leave it out of the API document as well.
const fn is_never_sent(_: &Option<Value>) -> bool {
    true
}

/// A part of a message.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct UiPart {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The text of a `text` part.
    #[serde(default)]
    text: Option<String>,
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub(crate) other: serde_json::Map<String, Value>,
}

impl UiMessage {
    /// Returns the project that the metadata names.
    pub(crate) fn project(&self) -> Option<ProjectId> {
        self.metadata.as_ref()?.get("projectId")?.as_str()?.parse().ok()
    }

    /// Returns the content of the message.
    ///
    /// # Errors
    /// If a text or a file is not allowed.
    pub(crate) fn content(&self) -> Result<MessageContent, Problem> {
        let parts: Vec<ContentPart> =
            self.parts.iter().map(UiPart::content).filter_map(Result::transpose).collect::<Result<_, _>>()?;
        match parts.as_slice() {
            [] => text(self.content.clone().unwrap_or_default()),
            [ContentPart::Text { text: only }] => text(only.clone()),
            _ => Ok(MessageContent::Parts(parts)),
        }
    }
}

fn text(text: String) -> Result<MessageContent, Problem> {
    let invalid = |error: sequent_conversation::PromptError| {
        Problem::invalid("The message is not allowed.").at("/messages", error.to_string())
    };
    Prompt::try_from(text).map(MessageContent::Text).map_err(invalid)
}

impl UiPart {
    /// Returns the part as content, or `None` if it is of a kind that says nothing to a model.
    fn content(&self) -> Result<Option<ContentPart>, Problem> {
        if let Some(name) = self.kind.strip_prefix("data-") {
            let data = self.other.get("data").cloned().unwrap_or_default();
            return Ok(Some(ContentPart::Data { name: name.to_owned(), data }));
        }
        match self.kind.as_str() {
            "text" => Ok(self.text.clone().map(|text| ContentPart::Text { text })),
            "file" => self.file().map(Some),
            _ => Ok(None),
        }
    }

    fn file(&self) -> Result<ContentPart, Problem> {
        let text = |name: &str| self.other.get(name).and_then(Value::as_str);
        let url = text("url").unwrap_or_default();
        let name = text("filename").map(str::to_owned);
        if let Some(artifact_id) = artifact_at(url) {
            return Ok(ContentPart::File { artifact_id, name });
        }
        let inline = InlineFile::parse(url, text("mediaType"), name);
        inline.map(ContentPart::Inline).ok_or_else(foreign_url)
    }
}

/// The artifact at the path that [`sequent_conversation::PersonPart`] gives the file of a message.
fn artifact_at(url: &str) -> Option<ArtifactId> {
    url.strip_prefix("/api/artifacts/")?.strip_suffix("/content")?.parse().ok()
}

fn foreign_url() -> Problem {
    let detail = "The service fetches no file from an address. Upload the file as an artifact and send \
                  `/api/artifacts/{id}/content` as its `url`, or send the file in a `data:` URL in Base64.";
    let rule = "must be the path of an artifact, or a `data:` URL in Base64";
    Problem::new(Code::AttachmentUrlRefused, detail).at("/messages", rule)
}
