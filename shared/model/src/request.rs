//! What a model is asked, in terms that every provider can serve.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, ModelName};

/// One request for one answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Who shall answer.
    pub model: ModelName,
    /// Instructions that stand above the conversation.
    pub system: Option<String>,
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// Upper limit of the answer's length; the provider's own if absent.
    pub max_output_tokens: Option<u32>,
    /// Randomness, 0 to 2; the provider's own if absent.
    pub temperature: Option<f64>,
    /// Tools that the model may call.
    pub tools: Vec<ToolSpec>,
    /// Whether it has to call one of them. Not every server holds to it.
    pub must_call: bool,
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Whose turn.
    pub role: Role,
    /// What it holds, in order.
    pub parts: Vec<Part>,
}

/// Whose turn a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The person.
    User,
    /// The model.
    Assistant,
    /// Results of tools.
    Tool,
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// A call that the model made; in assistant messages.
    ToolCall(ToolCall),
    /// What a call gave; in tool messages.
    ToolResult(ToolResult),
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Names the call.
    pub id: String,
    /// Name of the tool.
    pub name: String,
    /// The arguments as JSON text.
    pub arguments: String,
}

/// The result of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolResult {
    /// The call's [`ToolCall::id`].
    pub call_id: String,
    /// What the model gets to read.
    pub content: String,
}

/// A tool that a model may call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// Name, `[a-zA-Z0-9_-]{1,64}` at the known providers.
    pub name: String,
    /// What it does and when to use it, for the model.
    pub description: String,
    /// JSON Schema of the arguments.
    pub parameters: Value,
}

impl Message {
    /// What the person said.
    pub fn user(text: impl Into<String>) -> Self {
        Self::text(Role::User, text)
    }

    /// What the model said earlier.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::text(Role::Assistant, text)
    }

    /// What a tool gave.
    pub fn tool_result(call_id: impl Into<String>, content: impl Into<String>) -> Self {
        let result = ToolResult { call_id: call_id.into(), content: content.into() };
        Self { role: Role::Tool, parts: vec![Part::ToolResult(result)] }
    }

    fn text(role: Role, text: impl Into<String>) -> Self {
        let part = Part::Text { text: text.into() };
        Self { role, parts: vec![part] }
    }

    /// Every text of the message that counts as input.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|part| match part {
            Part::Text { text } => text.as_str(),
            Part::ToolCall(call) => call.arguments.as_str(),
            Part::ToolResult(result) => result.content.as_str(),
        })
    }
}

impl Request {
    const MAX_BYTES: usize = 8 << 20;
    const MAX_MESSAGES: usize = 4096;
    const MAX_TOOLS: usize = 128;

    /// A plain question.
    pub fn new(model: ModelName, messages: Vec<Message>) -> Self {
        Self {
            model,
            system: None,
            messages,
            max_output_tokens: None,
            temperature: None,
            tools: Vec::new(),
            must_call: false,
        }
    }

    /// Every text that counts as input, except the tools.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        let messages = self.messages.iter().flat_map(Message::texts);
        self.system.as_deref().into_iter().chain(messages)
    }

    /// What no provider could serve, said before anything is sent.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let refuse = |why: &str| Err(Error::BadRequest(why.into()));
        if self.messages.is_empty() {
            return refuse("there is no message");
        }
        if self.messages.len() > Self::MAX_MESSAGES {
            return refuse("there are too many messages");
        }
        if self.tools.len() > Self::MAX_TOOLS {
            return refuse("there are too many tools");
        }
        if self.texts().map(str::len).sum::<usize>() > Self::MAX_BYTES {
            return refuse("the conversation is too long");
        }
        if self.max_output_tokens == Some(0) {
            return refuse("max_output_tokens must be at least 1");
        }
        if self.temperature.is_some_and(|t| !(0.0..=2.0).contains(&t)) {
            return refuse("temperature must be between 0 and 2");
        }
        Ok(())
    }
}
