//! Requests for chat completions.

use reqwest::header::{AUTHORIZATION, HeaderMap};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{
    Error, Message, Part, Request, Role, ToolCall, ToolSpec,
    config::Endpoint,
    wire::{HttpCall, secret_header},
};

/// Encodes `request`. See <https://platform.openai.com/docs/api-reference/chat/create>.
///
/// # Errors
/// If the key cannot be sent in a header.
pub(in crate::wire) fn encode(
    endpoint: &Endpoint,
    model: &str,
    request: &Request,
) -> Result<HttpCall, Error> {
    let system = request.system.iter().map(|text| json!({"role": "system", "content": text}));
    let messages: Vec<Value> = system.chain(request.messages.iter().flat_map(message)).collect();
    let mut body = json!({
        "model": model,
        "messages": messages,
        "stream": true,
        // Without it, there is no usage.
        "stream_options": {"include_usage": true},
    });
    if let Some(limit) = request.max_output_tokens {
        // OpenAI's reasoning models refuse the older name, and few other servers know the newer one.
        let name = if is_openai(endpoint) { "max_completion_tokens" } else { "max_tokens" };
        body[name] = limit.into();
    }
    if let Some(temperature) = request.temperature {
        body["temperature"] = temperature.into();
    }
    if !request.tools.is_empty() {
        body["tools"] = request.tools.iter().map(tool).collect();
        if request.must_call {
            body["tool_choice"] = "required".into();
        }
    }
    Ok(HttpCall { path: "chat/completions", headers: headers(endpoint)?, body })
}

fn headers(endpoint: &Endpoint) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    let Some(key) = &endpoint.key else { return Ok(headers) };
    let key = key.expose_secret();
    if is_azure(endpoint) {
        headers.insert("api-key", secret_header(key)?);
    } else {
        headers.insert(AUTHORIZATION, secret_header(&format!("Bearer {key}"))?);
    }
    Ok(headers)
}

fn is_azure(endpoint: &Endpoint) -> bool {
    endpoint.is_at(&["openai.azure.com", "cognitiveservices.azure.com", "services.ai.azure.com"])
}

fn is_openai(endpoint: &Endpoint) -> bool {
    endpoint.is_at(&["api.openai.com"]) || is_azure(endpoint)
}

/// Encodes a message. Each result of a tool is a message of its own.
fn message(message: &Message) -> Vec<Value> {
    if message.role == Role::Tool {
        return message.parts.iter().filter_map(result).collect();
    }
    let texts: Vec<&str> = message.parts.iter().filter_map(Part::text).collect();
    let text = texts.join("\n\n");
    let calls: Vec<Value> = message.parts.iter().filter_map(Part::tool_call).map(call).collect();
    let role = if message.role == Role::User { "user" } else { "assistant" };
    let mut encoded = json!({"role": role, "content": text});
    if !calls.is_empty() {
        if text.is_empty() {
            encoded["content"] = Value::Null;
        }
        encoded["tool_calls"] = calls.into();
    }
    vec![encoded]
}

fn result(part: &Part) -> Option<Value> {
    let Part::ToolResult(result) = part else { return None };
    Some(json!({"role": "tool", "tool_call_id": result.call_id, "content": result.content}))
}

fn call(call: &ToolCall) -> Value {
    let function = json!({"name": call.name, "arguments": call.arguments});
    json!({"id": call.id, "type": "function", "function": function})
}

fn tool(spec: &ToolSpec) -> Value {
    let function = json!({"name": spec.name, "description": spec.description, "parameters": spec.parameters});
    json!({"type": "function", "function": function})
}
