//! The texts of messages, calls and results, in the form of the conventions for generative AI.

use serde_json::{Value, json};

/// Bytes of a text at most. The run's log has all of it.
const MAX_TEXT: usize = 16_000;
/// Messages of an attribute at most; the latest are kept.
const MAX_MESSAGES: usize = 50;

/// A call as the model has written it.
#[derive(Debug, Clone, Default)]
pub(crate) struct WrittenCall {
    pub(crate) name: String,
    pub(crate) arguments: String,
}

/// The message of a person.
pub(crate) fn user(text: &str) -> Value {
    json!({"role": "user", "parts": [{"type": "text", "content": cut(text)}]})
}

/// The result of a call as the model reads it.
pub(crate) fn tool_result(call: &str, result: &str) -> Value {
    json!({"role": "tool", "parts": [{"type": "tool_call_response", "id": call, "response": cut(result)}]})
}

/// The response of a model.
pub(crate) fn response<'a>(
    text: &str,
    calls: impl IntoIterator<Item = (&'a str, &'a WrittenCall)>,
    finish_reason: &str,
) -> Value {
    let text = Some(text).filter(|text| !text.is_empty());
    let text = text.map(|text| json!({"type": "text", "content": cut(text)}));
    let calls = calls.into_iter().map(|(id, WrittenCall { name, arguments })| {
        let parsed = serde_json::from_str(arguments).ok().filter(|_| arguments.len() <= MAX_TEXT);
        let arguments: Value = parsed.unwrap_or_else(|| cut(arguments).into());
        json!({"type": "tool_call", "id": id, "name": name, "arguments": arguments})
    });
    let parts: Vec<Value> = text.into_iter().chain(calls).collect();
    json!({"role": "assistant", "parts": parts, "finish_reason": finish_reason})
}

/// Returns the text of an attribute with these messages.
pub(crate) fn attribute(messages: &[Value]) -> String {
    let from = messages.len().saturating_sub(MAX_MESSAGES);
    Value::from(&messages[from..]).to_string()
}

/// Returns the beginning of a text, marked if it is not all.
pub(crate) fn cut(text: &str) -> String {
    match text.floor_char_boundary(MAX_TEXT) {
        all if all == text.len() => text.to_owned(),
        part => format!("{}…", &text[..part]),
    }
}
