//! Encodes requests for messages of Anthropic.

use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{
    Error, Request, ToolCall, ToolResult, ToolSpec,
    config::Endpoint,
    wire::{
        HttpCall, secret_header,
        turns::{self, WireTurn},
    },
};

/// The limit of the output if the request has none. The API requires one, and all models of today accept this one.
const DEFAULT_OUTPUT: u32 = 8192;

/// Encodes `request`. See <https://docs.anthropic.com/en/api/messages>.
///
/// # Errors
/// If the key cannot be sent in a header.
pub(in crate::wire) fn encode(
    endpoint: &Endpoint,
    model: &str,
    request: &Request,
) -> Result<HttpCall, Error> {
    let messages: Vec<Value> = turns::of(&request.messages).into_iter().map(message).collect();
    let mut body = json!({
        "model": model,
        "messages": messages,
        "max_tokens": request.max_output_tokens.unwrap_or(DEFAULT_OUTPUT),
        "stream": true,
    });
    if let Some(system) = request.system.as_ref().filter(|text| !text.trim().is_empty()) {
        body["system"] = system.as_str().into();
    }
    if let Some(temperature) = request.temperature {
        body["temperature"] = temperature.into();
    }
    if !request.tools.is_empty() {
        body["tools"] = request.tools.iter().map(tool).collect();
        if request.must_call {
            body["tool_choice"] = json!({"type": "any"});
        }
    }
    Ok(HttpCall { path: "messages".into(), headers: headers(endpoint)?, body })
}

fn headers(endpoint: &Endpoint) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
    if let Some(key) = &endpoint.key {
        headers.insert("x-api-key", secret_header(key.expose_secret())?);
    }
    Ok(headers)
}

fn message(turn: WireTurn) -> Value {
    match turn {
        WireTurn::User { results, text } if results.is_empty() => json!({"role": "user", "content": text}),
        WireTurn::User { results, text } => {
            let blocks = results.iter().map(result).chain(text_block(&text));
            json!({"role": "user", "content": blocks.collect::<Value>()})
        }
        WireTurn::Assistant { text, calls } => {
            let blocks = text_block(&text).into_iter().chain(calls.iter().map(call));
            json!({"role": "assistant", "content": blocks.collect::<Value>()})
        }
    }
}

/// Returns the block of a text, or `None` for an empty one, which the API refuses.
fn text_block(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| json!({"type": "text", "text": text}))
}

fn result(result: &ToolResult) -> Value {
    json!({"type": "tool_result", "tool_use_id": result.call_id, "content": result.content})
}

fn call(call: &ToolCall) -> Value {
    // The API accepts nothing but an object. The model must still see its own call.
    let input: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
    let input = if input.is_object() { input } else { json!({"invalid_arguments": call.arguments}) };
    json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input})
}

fn tool(spec: &ToolSpec) -> Value {
    json!({"name": spec.name, "description": spec.description, "input_schema": spec.parameters})
}
