//! Encodes requests for messages of Anthropic.

use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{
    AttachedFile, Error, FileType, ModelParameters, Request, ToolResult, ToolSpec,
    config::Endpoint,
    tool_schema::Dialect,
    wire::{
        HttpCall, Omitted, Parameter,
        anthropic::{cache, output, reasoning},
        blocks::{REDACTED, SIGNATURE},
        cache_points, schema, secret_header,
        turns::{self, WireCall, WirePart, WireReasoning, WireTurn},
    },
};

/// The limit of the output if the request has none. The API requires one, and all models of today accept this one.
pub(in crate::wire) const DEFAULT_OUTPUT: u32 = 8192;

/// Encodes `request`. See <https://docs.anthropic.com/en/api/messages>.
///
/// # Errors
/// If the key cannot be sent in a header.
pub(in crate::wire) fn encode(
    endpoint: &Endpoint,
    model: &str,
    request: &Request,
    omitted: &Omitted,
) -> Result<HttpCall, Error> {
    let turns = turns::of(request, omitted);
    let continues = cache_points::continues(&turns, request);
    let messages: Vec<Value> = turns.into_iter().map(message).collect();
    let max_tokens = request.max_output_tokens.unwrap_or(DEFAULT_OUTPUT);
    let mut body = json!({"model": model, "messages": messages, "max_tokens": max_tokens, "stream": true});
    if let Some(system) = request.system.as_ref().filter(|text| !text.trim().is_empty()) {
        body["system"] = json!([{"type": "text", "text": system}]);
    }
    let tools: Vec<Value> = schema::tools(request, omitted, Dialect::of(omitted)).map(tool).collect();
    let is_forced = request.must_call && !tools.is_empty() && !omitted.has(Parameter::ForcedCall);
    if !tools.is_empty() {
        body["tools"] = tools.into();
        if is_forced {
            body["tool_choice"] = json!({"type": "any"});
        }
    }
    // The API refuses a forced call of a model that reasons.
    let effort = request.parameters.reasoning_effort.filter(|_| !omitted.has(Parameter::ReasoningEffort));
    let reasons = effort
        .filter(|_| !is_forced)
        .is_some_and(|effort| reasoning::add(&mut body, model, effort, max_tokens));
    add_parameters(&mut body, request, omitted, reasons);
    let has_mode = omitted.sends(Parameter::OutputFormat, output::has_mode(model));
    if let Some(schema) = request.output_schema.as_ref().filter(|_| has_mode) {
        output::add(&mut body, schema);
    }
    if !omitted.has(Parameter::CachePoints) {
        cache::add_points(&mut body, continues);
    }
    Ok(HttpCall { path: "messages".into(), headers: headers(endpoint)?, body })
}

/// Adds the parameters that the API has. While a model reasons, it takes no temperature and hardly any `top_p`; and its
/// newer models take only one of the two.
fn add_parameters(body: &mut Value, request: &Request, omitted: &Omitted, reasons: bool) {
    let ModelParameters { temperature, top_p, stop, .. } = &request.parameters;
    let temperature = temperature.map(f64::from).filter(|_| !reasons && !omitted.has(Parameter::Temperature));
    if let Some(temperature) = temperature {
        body["temperature"] = temperature.min(1.0).into();
    } else if let Some(top_p) = top_p.map(f64::from).filter(|_| !reasons && !omitted.has(Parameter::TopP)) {
        body["top_p"] = top_p.into();
    }
    // Blank texts are refused.
    let stop: Vec<&String> = stop.as_slice().iter().filter(|text| !text.trim().is_empty()).collect();
    if !stop.is_empty() && !omitted.has(Parameter::Stop) {
        body["stop_sequences"] = json!(stop);
    }
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
    json!({"type": "tool_use", "id": call.id, "name": call.name, "input": call.input()})
}

fn tool((spec, schema): (&ToolSpec, Value)) -> Value {
    json!({"name": spec.name, "description": spec.description, "input_schema": schema})
}
