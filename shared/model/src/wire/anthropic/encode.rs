//! Encodes requests for messages of Anthropic.

use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{
    AttachedFile, Error, FileType, Request, ToolResult, ToolSpec,
    config::Endpoint,
    wire::{
        HttpCall,
        anthropic::{REDACTED, SIGNATURE},
        secret_header,
        turns::{self, WireCall, WirePart, WireReasoning, WireTurn},
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
    let messages: Vec<Value> = turns::of(request).into_iter().map(message).collect();
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
        WireTurn::User { results, files, text } if results.is_empty() && files.is_empty() => {
            json!({"role": "user", "content": text})
        }
        WireTurn::User { results, files, text } => {
            let blocks =
                results.iter().map(result).chain(files.iter().filter_map(file)).chain(text_block(&text));
            json!({"role": "user", "content": blocks.collect::<Value>()})
        }
        WireTurn::Assistant(parts) => {
            json!({"role": "assistant", "content": parts.iter().filter_map(block).collect::<Value>()})
        }
    }
}

fn block(part: &WirePart) -> Option<Value> {
    match part {
        WirePart::Text(text) => text_block(text),
        WirePart::Reasoning(reasoning) => reasoning_block(reasoning),
        WirePart::Call(made) => Some(call(made)),
    }
}

/// Returns the block of a text, or `None` for a blank one, which the API refuses.
fn text_block(text: &str) -> Option<Value> {
    (!text.trim().is_empty()).then(|| json!({"type": "text", "text": text}))
}

/// Returns a block of reasoning as the model wrote it. Its signature is of exactly these bytes.
fn reasoning_block(reasoning: &WireReasoning) -> Option<Value> {
    if let Some(data) = reasoning.data.get(REDACTED) {
        return Some(json!({"type": "redacted_thinking", "data": data}));
    }
    let signature = reasoning.data.get(SIGNATURE)?;
    Some(json!({"type": "thinking", "thinking": reasoning.text, "signature": signature}))
}

/// Encodes a file. See <https://docs.anthropic.com/en/docs/build-with-claude/vision> and
/// <https://docs.anthropic.com/en/docs/build-with-claude/pdf-support>.
fn file(file: &AttachedFile) -> Option<Value> {
    let bytes = file.bytes.as_ref()?;
    let media_type = bytes.file_type.media_type();
    let source = json!({"type": "base64", "media_type": media_type, "data": bytes.base64()});
    Some(match bytes.file_type {
        FileType::Pdf => json!({"type": "document", "source": source, "title": file.file_name()}),
        FileType::Png | FileType::Jpeg | FileType::Gif | FileType::Webp => {
            json!({"type": "image", "source": source})
        }
    })
}

fn result(result: &ToolResult) -> Value {
    json!({"type": "tool_result", "tool_use_id": result.call_id, "content": result.content})
}

fn call(call: &WireCall) -> Value {
    // The API accepts nothing but an object. The model must still see its own call.
    let input: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
    let input = if input.is_object() { input } else { json!({"invalid_arguments": call.arguments}) };
    json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input})
}

fn tool(spec: &ToolSpec) -> Value {
    json!({"name": spec.name, "description": spec.description, "input_schema": spec.parameters})
}
