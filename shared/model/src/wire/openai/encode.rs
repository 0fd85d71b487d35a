//! Requests for chat completions.

use reqwest::header::{AUTHORIZATION, HeaderMap};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{
    AttachedFile, Error, FileType, ModelParameters, Request, ToolSpec,
    config::Endpoint,
    tool_schema::Dialect,
    wire::{
        HttpCall, Omitted, Parameter,
        openai::kept,
        schema, secret_header,
        tool_names::nine_characters,
        turns::{self, WireCall, WirePart, WireTurn},
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
    omitted: &Omitted,
) -> Result<HttpCall, Error> {
    let instructions = request.system.iter().filter(|text| !text.trim().is_empty());
    let system = instructions.map(|text| json!({"role": "system", "content": text}));
    let mut turns = turns::of(request, omitted);
    if endpoint.is_at(&["mistral.ai"]) {
        turns::map_ids(&mut turns, |id| *id = nine_characters(id));
    }
    let messages: Vec<Value> = system.chain(turns.into_iter().flat_map(messages)).collect();
    let mut body = json!({"model": model, "messages": messages, "stream": true});
    if !omitted.has(Parameter::StreamOptions) {
        body["stream_options"] = json!({"include_usage": true}); // without it, there is no usage
    }
    if let Some(limit) = request.max_output_tokens {
        // OpenAI's reasoning models refuse the older name, and few other servers know the newer one.
        let is_newer = is_openai(endpoint) != omitted.has(Parameter::LimitName);
        body[if is_newer { "max_completion_tokens" } else { "max_tokens" }] = limit.into();
    }
    add_parameters(&mut body, request, omitted);
    if let Some(schema) = request.output_schema.as_ref().filter(|_| !omitted.has(Parameter::OutputFormat)) {
        // A strict schema would have to be of a dialect that few schemas are of.
        let format = json!({"name": "answer", "schema": schema, "strict": false});
        body["response_format"] = json!({"type": "json_schema", "json_schema": format});
    }
    // Google refuses most keywords, and names none of the tools.
    let dialect = if endpoint.is_at(&["googleapis.com"]) { Dialect::Plain } else { Dialect::of(omitted) };
    let tools: Vec<Value> = schema::tools(request, omitted, dialect).map(tool).collect();
    if !tools.is_empty() {
        body["tools"] = tools.into();
        if request.must_call && !omitted.has(Parameter::ForcedCall) {
            body["tool_choice"] = "required".into();
        }
    }
    Ok(HttpCall { path: "chat/completions".into(), headers: headers(endpoint)?, body })
}

fn add_parameters(body: &mut Value, request: &Request, omitted: &Omitted) {
    let ModelParameters { temperature, top_p, stop, reasoning_effort, seed, .. } = &request.parameters;
    let stop = (!stop.is_empty()).then(|| stop.as_slice());
    let chosen = [
        (Parameter::Temperature, "temperature", temperature.map(|temperature| json!(temperature))),
        (Parameter::TopP, "top_p", top_p.map(|top_p| json!(top_p))),
        (Parameter::Stop, "stop", stop.map(|texts| json!(texts))),
        (Parameter::ReasoningEffort, "reasoning_effort", reasoning_effort.map(|effort| json!(effort))),
        (Parameter::Seed, "seed", seed.map(|seed| json!(seed))),
    ];
    for (parameter, name, value) in chosen {
        if let Some(value) = value.filter(|_| !omitted.has(parameter)) {
            body[name] = value;
        }
    }
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
        WireTurn::User { results, files, text } => {
            let results = results.into_iter().map(
                |result| json!({"role": "tool", "tool_call_id": result.call_id, "content": result.content}),
            );
            let said = content(&files, &text).map(|content| json!({"role": "user", "content": content}));
            results.chain(said).collect()
        }
        WireTurn::Assistant(parts) => vec![response(&parts)],
    }
}

/// Returns the content of a person's message: a text alone, which every server accepts, or a list of parts. Returns `None`
/// if there is none.
fn content(files: &[AttachedFile], text: &str) -> Option<Value> {
    let said = (!text.is_empty()).then(|| json!({"type": "text", "text": text}));
    if files.is_empty() {
        return said.map(|_| text.into());
    }
    Some(files.iter().filter_map(file).chain(said).collect())
}

/// Encodes a file. See <https://platform.openai.com/docs/guides/images-vision> and
/// <https://platform.openai.com/docs/guides/pdf-files>.
fn file(file: &AttachedFile) -> Option<Value> {
    let bytes = file.bytes.as_ref()?;
    let url = format!("data:{};base64,{}", bytes.file_type.media_type(), bytes.base64());
    Some(match bytes.file_type {
        FileType::Pdf => json!({"type": "file", "file": {"filename": file.file_name(), "file_data": url}}),
        FileType::Png | FileType::Jpeg | FileType::Gif | FileType::Webp => {
            json!({"type": "image_url", "image_url": {"url": url}})
        }
    })
}

fn response(parts: &[WirePart]) -> Value {
    let text: String = parts.iter().filter_map(WirePart::text).collect();
    let calls: Vec<Value> = parts.iter().filter_map(WirePart::call).map(call).collect();
    let content = if text.trim().is_empty() { Value::Null } else { text.into() };
    let mut message = json!({"role": "assistant", "content": content});
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    kept::restore(parts, &mut message);
    message
}

fn call(call: &WireCall) -> Value {
    let function = json!({"name": call.name, "arguments": call.input_text()});
    let mut encoded = json!({"id": call.id, "type": "function", "function": function});
    kept::restore_call(call, &mut encoded);
    encoded
}

fn tool((spec, schema): (&ToolSpec, Value)) -> Value {
    let function = json!({"name": spec.name, "description": spec.description, "parameters": schema});
    json!({"type": "function", "function": function})
}
