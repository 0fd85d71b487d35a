//! The request, independent of the provider.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{AttachedFile, Error, FileBytes, ModelName, ModelParameters, meter::Meter};

/// A request for one answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The model that should answer.
    pub model: ModelName,
    /// Instructions that apply to the whole conversation.
    pub system: Option<String>,
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// Limit of the answer's length, that of `parameters` included. The default is the provider's limit.
    pub max_output_tokens: Option<u32>,
    /// The parameters that the caller chose.
    pub parameters: ModelParameters,
    /// The JSON Schema of the answer, if it has to be JSON. It is sent to servers with a mode for it. Not all of them keep to
    /// it, so the instructions should state it, too, and the answer has to be checked.
    pub output_schema: Option<Value>,
    /// Tools that the model may call.
    pub tools: Vec<ToolSpec>,
    /// The model must call one of the tools. Not every server enforces this, and a model that is forced does not reason.
    pub must_call: bool,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Message {
    pub role: Role,
    pub parts: Vec<Part>,
}

/// The author of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A person who talks to the model.
    User,
    /// The model itself, in an earlier answer.
    Assistant,
    /// A message with results of tools.
    Tool,
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part {
    #[expect(missing_docs, reason = "plain data")]
    Text { text: String },
    /// Reasoning of the model; in assistant messages, at its place among the other parts.
    Reasoning(Reasoning),
    /// A call that the model made; in assistant messages.
    ToolCall(ToolCall),
    /// The result of a call; in tool messages.
    ToolResult(ToolResult),
    /// A file that a person attached; in user messages.
    File(AttachedFile),
}

/// Reasoning that a model has written. Only the same model gets it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reasoning {
    /// The text. It may be empty, because some reasoning is nothing but data.
    pub text: String,
    #[expect(missing_docs, reason = "plain data")]
    pub origin: Origin,
}

/// The model that wrote a part of a message, and the data that its provider sent with the part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    #[expect(missing_docs, reason = "plain data")]
    pub model: ModelName,
    /// The data as [`Chunk::ProviderData`](crate::Chunk::ProviderData) had it, if there was any.
    pub data: Option<String>,
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The id that the result refers to.
    pub id: String,
    /// The name of the tool.
    pub name: String,
    /// The arguments as JSON text.
    pub arguments: String,
    /// The origin of a call of the same run. Its data goes back to the model that made the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// The result of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolResult {
    /// The call's [`ToolCall::id`].
    pub call_id: String,
    /// The text for the model.
    pub content: String,
}

/// A tool that a model may call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// The name; the known providers accept `[a-zA-Z0-9_-]{1,64}`.
    pub name: String,
    /// The purpose of the tool, for the model.
    pub description: String,
    /// JSON Schema of the arguments.
    pub parameters: Value,
}

impl Part {
    /// Returns the words of the part. Those of a file are its description.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text { text } => Some(text),
            Self::File(file) => Some(&file.description),
            _ => None,
        }
    }

    /// Returns the file, if the model can be shown its bytes.
    pub(crate) fn shown_file(&self) -> Option<&AttachedFile> {
        match self {
            Self::File(file) if file.bytes.is_some() => Some(file),
            _ => None,
        }
    }

    pub(crate) fn tool_call(&self) -> Option<&ToolCall> {
        match self {
            Self::ToolCall(call) => Some(call),
            _ => None,
        }
    }

    pub(crate) fn tool_result(&self) -> Option<&ToolResult> {
        match self {
            Self::ToolResult(result) => Some(result),
            _ => None,
        }
    }
}

impl Origin {
    /// Returns `true` if `model` wrote the part. A name with its provider and one without are the same.
    pub(crate) fn is(&self, model: &ModelName) -> bool {
        self.model.split() == model.split()
    }
}

impl ToolCall {
    /// Creates a call without data of a provider.
    pub fn new(id: impl Into<String>, name: impl Into<String>, arguments: impl Into<String>) -> Self {
        Self { id: id.into(), name: name.into(), arguments: arguments.into(), origin: None }
    }
}

impl Message {
    /// Creates a message of a person.
    pub fn user(text: impl Into<String>) -> Self {
        Self::text(Role::User, text)
    }

    /// Creates an earlier answer of the model.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::text(Role::Assistant, text)
    }

    /// Creates a message with the result of a tool.
    pub fn tool_result(call_id: impl Into<String>, content: impl Into<String>) -> Self {
        let result = ToolResult { call_id: call_id.into(), content: content.into() };
        Self { role: Role::Tool, parts: vec![Part::ToolResult(result)] }
    }

    fn text(role: Role, text: impl Into<String>) -> Self {
        let part = Part::Text { text: text.into() };
        Self { role, parts: vec![part] }
    }

    /// Returns every text of the message that counts as input.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|part| match part {
            Part::Text { text } | Part::Reasoning(Reasoning { text, .. }) => text.as_str(),
            Part::ToolCall(call) => call.arguments.as_str(),
            Part::ToolResult(result) => result.content.as_str(),
            Part::File(file) => file.description.as_str(),
        })
    }
}

impl Request {
    const MAX_BYTES: usize = 8 << 20;
    const MAX_MESSAGES: usize = 4096;
    const MAX_TOOLS: usize = 128;

    /// Creates a request without instructions, tools and limits.
    pub fn new(model: ModelName, messages: Vec<Message>) -> Self {
        Self {
            model,
            system: None,
            messages,
            max_output_tokens: None,
            parameters: ModelParameters::default(),
            output_schema: None,
            tools: Vec::new(),
            must_call: false,
        }
    }

    /// Estimates the tokens of the input, tools included.
    #[must_use]
    pub fn input_tokens(&self) -> u64 {
        Meter::new(self).usage().input_tokens
    }

    /// Returns every text that counts as input, except the tools.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        let messages = self.messages.iter().flat_map(Message::texts);
        self.system.as_deref().into_iter().chain(messages)
    }

    /// Returns the bytes of the files that the model is shown.
    pub(crate) fn files(&self) -> impl Iterator<Item = &FileBytes> {
        let parts = self.messages.iter().flat_map(|message| &message.parts);
        parts.filter_map(Part::shown_file).filter_map(|file| file.bytes.as_ref())
    }

    /// Refuses a request that no provider accepts, before it is sent.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let refuse = |problem: &str| Err(Error::BadRequest(problem.into()));
        if self.messages.is_empty() {
            return refuse("the conversation must contain a message");
        }
        if self.messages.len() > Self::MAX_MESSAGES {
            return refuse("the conversation has too many messages");
        }
        if self.tools.len() > Self::MAX_TOOLS {
            return refuse("the request has too many tools");
        }
        if self.texts().map(str::len).sum::<usize>() > Self::MAX_BYTES {
            return refuse("the conversation is too long");
        }
        if self.max_output_tokens == Some(0) {
            return refuse("max_output_tokens must be at least 1");
        }
        Ok(())
    }
}
