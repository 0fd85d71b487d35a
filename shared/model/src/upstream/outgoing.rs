//! Converts a request to the types of the crate `genai`.

use genai::chat::{
    ChatMessage, ChatRequest, ChatRole, ContentPart, MessageContent, Tool, ToolCall, ToolResponse,
};
use serde_json::Value;

use crate::{Message, Part, Request, Role, ToolSpec};

pub(super) fn chat_request(request: &Request) -> ChatRequest {
    let tools: Vec<Tool> = request.tools.iter().map(tool).collect();
    ChatRequest {
        system: request.system.clone(),
        messages: request.messages.iter().map(message).collect(),
        tools: (!tools.is_empty()).then_some(tools),
        ..ChatRequest::default()
    }
}

fn message(message: &Message) -> ChatMessage {
    let role = match message.role {
        Role::User => ChatRole::User,
        Role::Assistant => ChatRole::Assistant,
        Role::Tool => ChatRole::Tool,
    };
    let parts: Vec<ContentPart> = message.parts.iter().map(part).collect();
    ChatMessage::new(role, MessageContent::from_parts(parts))
}

fn part(part: &Part) -> ContentPart {
    match part {
        Part::Text { text } => ContentPart::Text(text.clone()),
        Part::ToolCall(call) => ContentPart::ToolCall(ToolCall {
            call_id: call.id.clone(),
            fn_name: call.name.clone(),
            // The arguments may be invalid JSON. The model must still see its own call.
            fn_arguments: serde_json::from_str(&call.arguments)
                .unwrap_or_else(|_| Value::Object(Default::default())),
            thought_signatures: None,
        }),
        Part::ToolResult(result) => {
            ContentPart::ToolResponse(ToolResponse::new(result.call_id.as_str(), result.content.as_str()))
        }
    }
}

fn tool(spec: &ToolSpec) -> Tool {
    Tool::new(spec.name.as_str())
        .with_description(spec.description.as_str())
        .with_schema(spec.parameters.clone())
}
