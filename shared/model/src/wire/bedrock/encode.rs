//! Requests for conversations of Amazon Bedrock.

use std::{collections::BTreeSet, fmt::Write as _};

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::{
    AttachedFile, FileType, ModelParameters, Request, ToolResult, ToolSpec,
    tool_schema::Dialect,
    wire::{
        HttpCall, Omitted, Parameter,
        bedrock::{files, reasoning::ReasoningFields},
        blocks::{REDACTED, SIGNATURE},
        cache_points,
        json::Object,
        schema,
        tool_names::accepted_id,
        turns::{self, WireCall, WirePart, WireReasoning, WireTurn},
    },
};

/// Characters of the name of a document that are kept.
const MAX_DOCUMENT_NAME: usize = 64;
/// The result of a tool that returned nothing. Bedrock refuses blank texts.
const NOTHING: &str = "(The tool returned nothing.)";
/// The description of a tool that the conversation has calls of, and the request does not offer.
const NOT_OFFERED: &str = "Not available now. Do not call it.";

/// Encodes `request`. See <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html>.
pub(in crate::wire) fn encode(model: &str, request: &Request, omitted: &Omitted) -> HttpCall {
    let turns = turns::of(request, omitted);
    let caches = omitted.sends(Parameter::CachePoints, takes_cache_points(model));
    let continues = cache_points::continues(&turns, request);
    let mut body = Object::new();
    if let Some(tools) = tool_config(model, request, &turns, omitted) {
        body.insert("toolConfig".into(), tools);
    }
    let mut messages: Vec<Value> = turns.into_iter().map(message).collect();
    files::fit(&mut messages);
    if caches && continues {
        let ends = cache_points::ends(messages.iter_mut()).filter_map(Value::as_array_mut);
        ends.for_each(|blocks| blocks.push(cache_point()));
    }
    body.insert("messages".into(), messages.into());
    if let Some(system) = request.system.as_ref().filter(|text| !text.trim().is_empty()) {
        // What is before the point, which the tools are, too, is cached.
        let point = caches.then(cache_point);
        body.insert("system".into(), [json!({"text": system})].into_iter().chain(point).collect());
    }
    let reasoning = ReasoningFields::of(model, request, omitted);
    let inference = inference_config(request, omitted, &reasoning);
    if let Some(fields) = reasoning.fields {
        body.insert("additionalModelRequestFields".into(), fields);
    }
    if !inference.is_empty() {
        body.insert("inferenceConfig".into(), inference.into());
    }
    let is_streamed = !body.contains_key("toolConfig") || streams_calls(model);
    let operation = if is_streamed { "converse-stream" } else { "converse" };
    let path = format!("model/{}/{operation}", encoded(model));
    HttpCall { path: path.into(), headers: HeaderMap::new(), body: body.into() }
}

fn inference_config(request: &Request, omitted: &Omitted, reasoning: &ReasoningFields) -> Object {
    let ModelParameters { temperature, top_p, stop, .. } = &request.parameters;
    let stop: Vec<&String> = stop.as_slice().iter().filter(|text| !text.trim().is_empty()).collect();
    // Models of Anthropic take one of the two, and neither while they reason.
    let temperature = temperature.filter(|_| !reasoning.excludes_sampling);
    let top_p = top_p.filter(|_| temperature.is_none() && !reasoning.excludes_sampling);
    let limit = request.max_output_tokens.or(reasoning.needs_limit);
    let chosen = [
        (Parameter::LimitName, "maxTokens", limit.map(Value::from)),
        (Parameter::Temperature, "temperature", temperature.map(|number| f64::from(number).min(1.0).into())),
        (Parameter::TopP, "topP", top_p.map(|number| f64::from(number).into())),
        (Parameter::Stop, "stopSequences", (!stop.is_empty()).then(|| json!(stop))),
    ];
    let sent = chosen.into_iter().filter(|(parameter, ..)| !omitted.has(*parameter));
    sent.filter_map(|(_, name, value)| Some((name.to_owned(), value?))).collect()
}

/// Returns `true` if the model's requests can be cached. Bedrock refuses the points for others. See
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html>.
fn takes_cache_points(model: &str) -> bool {
    ["anthropic.claude", "amazon.nova"].iter().any(|family| model.contains(family))
}

fn cache_point() -> Value {
    json!({"cachePoint": {"type": "default"}})
}

/// Encodes the id of a model for a path. AWS's signature covers the path as the SDKs send it, with the colon encoded.
pub(super) fn encoded(model: &str) -> String {
    let mut path = String::new();
    for byte in model.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            let _ = write!(path, "%{byte:02X}"); // a text takes everything
        }
    }
    path
}

/// Encodes the tools. A conversation with calls is refused without any, so that those it has calls of are declared then.
fn tool_config(model: &str, request: &Request, turns: &[WireTurn], omitted: &Omitted) -> Option<Value> {
    let offered = schema::tools(request, omitted, Dialect::of(omitted));
    let mut tools: Vec<Value> = offered.map(|offered| tool(model, offered)).collect();
    let is_forced = request.must_call && !tools.is_empty();
    if tools.is_empty() {
        tools = called(turns).into_iter().map(stub).collect();
    }
    if tools.is_empty() {
        return None;
    }
    let mut config = json!({"tools": tools});
    if is_forced && omitted.sends(Parameter::ForcedCall, takes_choice(model)) {
        config["toolChoice"] = json!({"any": {}});
    }
    Some(config)
}

/// Returns `true` if the model accepts a forced call. Bedrock refuses the field for others. See
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolChoice.html>.
fn takes_choice(model: &str) -> bool {
    ["anthropic.claude", "amazon.nova", "mistral.mistral-large", "openai.gpt"]
        .iter()
        .any(|family| model.contains(family))
}

/// Returns `true` if the model streams answers to requests with tools. The others answer such a request as a whole. See
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-supported-models-features.html>.
fn streams_calls(model: &str) -> bool {
    !model.contains("meta.llama")
}

fn called(turns: &[WireTurn]) -> BTreeSet<&str> {
    let calls = turns.iter().filter_map(|turn| match turn {
        WireTurn::Assistant(parts) => Some(parts.iter().filter_map(WirePart::call)),
        WireTurn::User { .. } => None,
    });
    calls.flatten().map(|call| call.name.as_str()).collect()
}

fn tool(model: &str, offered: (&ToolSpec, Value)) -> Value {
    let (spec, mut schema) = offered;
    if let Some(top) = schema.as_object_mut().filter(|_| model.contains("amazon.nova")) {
        // The only members that Nova takes. See <https://docs.aws.amazon.com/nova/latest/userguide/tool-use-definition.html>.
        top.retain(|name, _| matches!(name.as_str(), "type" | "properties" | "required"));
    }
    let mut tool = json!({"name": spec.name, "inputSchema": {"json": schema}});
    if !spec.description.trim().is_empty() {
        tool["description"] = spec.description.as_str().into();
    }
    json!({"toolSpec": tool})
}

fn stub(name: &str) -> Value {
    let schema = json!({"json": {"type": "object"}});
    json!({"toolSpec": {"name": name, "description": NOT_OFFERED, "inputSchema": schema}})
}

fn message(turn: WireTurn) -> Value {
    match turn {
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

/// Returns the block of a text, or `None` for a blank one, which Bedrock refuses.
fn text_block(text: &str) -> Option<Value> {
    (!text.trim().is_empty()).then(|| json!({"text": text}))
}

/// Returns a block of reasoning as the model wrote it.
fn reasoning_block(reasoning: &WireReasoning) -> Option<Value> {
    if let Some(data) = reasoning.data.get(REDACTED) {
        return Some(json!({"reasoningContent": {"redactedContent": data}}));
    }
    let signature = reasoning.data.get(SIGNATURE)?;
    let mut text = json!({"text": reasoning.text});
    if *signature != "" {
        text["signature"] = signature.clone();
    }
    Some(json!({"reasoningContent": {"reasoningText": text}}))
}

/// Encodes a file. See <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ImageBlock.html> and
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html>.
fn file(file: &AttachedFile) -> Option<Value> {
    let bytes = file.bytes.as_ref()?;
    let source = json!({"bytes": bytes.base64()});
    let image = |format: &str| json!({"image": {"format": format, "source": source}});
    Some(match bytes.file_type {
        FileType::Png => image("png"),
        FileType::Jpeg => image("jpeg"),
        FileType::Gif => image("gif"),
        FileType::Webp => image("webp"),
        FileType::Pdf => {
            let name = document_name(file.file_name());
            json!({"document": {"format": "pdf", "name": name, "source": source}})
        }
    })
}

/// Returns a name that Bedrock accepts: letters, digits, hyphens, brackets and single blanks.
fn document_name(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "-()[]".contains(c) { c } else { ' ' };
    let words: String = name.chars().take(MAX_DOCUMENT_NAME).map(allowed).collect();
    let name = words.split_whitespace().collect::<Vec<_>>().join(" ");
    if name.is_empty() { "document".to_owned() } else { name }
}

fn result(result: &ToolResult) -> Value {
    let said = if result.content.trim().is_empty() { NOTHING } else { result.content.as_str() };
    json!({"toolResult": {"toolUseId": accepted_id(&result.call_id), "content": [{"text": said}]}})
}

fn call(call: &WireCall) -> Value {
    let input = call.input();
    json!({"toolUse": {"toolUseId": accepted_id(&call.id), "name": call.name, "input": input}})
}
