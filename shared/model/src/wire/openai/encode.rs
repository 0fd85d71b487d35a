//! Requests for chat completions.

use reqwest::header::{AUTHORIZATION, HeaderMap};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{
    Error, Request, ToolCall, ToolSpec,
    config::Endpoint,
    wire::{
        HttpCall, secret_header,
        turns::{self, WireTurn},
    },
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
    let instructions = request.system.iter().filter(|text| !text.trim().is_empty());
    let system = instructions.map(|text| json!({"role": "system", "content": text}));
    let messages: Vec<Value> =
        system.chain(turns::of(&request.messages).into_iter().flat_map(messages)).collect();
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
    Ok(HttpCall { path: "chat/completions".into(), headers: headers(endpoint)?, body })
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

/// Encodes a turn. Each result of a tool is a message of its own.
fn messages(turn: WireTurn) -> Vec<Value> {
    match turn {
        WireTurn::User { results, text } => {
            let results = results.into_iter().map(
                |result| json!({"role": "tool", "tool_call_id": result.call_id, "content": result.content}),
            );
            let said = (!text.is_empty()).then(|| json!({"role": "user", "content": text}));
            results.chain(said).collect()
        }
        WireTurn::Assistant { text, calls } if calls.is_empty() => {
            vec![json!({"role": "assistant", "content": text})]
        }
        WireTurn::Assistant { text, calls } => {
            let content = if text.is_empty() { Value::Null } else { text.into() };
            let calls: Vec<Value> = calls.iter().map(call).collect();
            vec![json!({"role": "assistant", "content": content, "tool_calls": calls})]
        }
    }
}

fn call(call: &ToolCall) -> Value {
    let function = json!({"name": call.name, "arguments": call.arguments});
    json!({"id": call.id, "type": "function", "function": function})
}

fn tool(spec: &ToolSpec) -> Value {
    let function = json!({"name": spec.name, "description": spec.description, "parameters": spec.parameters});
    json!({"type": "function", "function": function})
}
