//! Points of a request up to which Anthropic caches it. The API caches nothing without them.
//!
//! The first is behind the tools and the instructions, which are the same for all requests of a kind. Two more are at the ends
//! of the last turns of people and tools: the next request begins with these turns, or, if the last one was only for this
//! request, with those before it. See <https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching>.

use serde_json::{Value, json};

/// Turns of people and tools that end with a point.
const TURNS: usize = 2;

/// Adds the points. `continues` says that a request with the same beginning is likely: writing to the cache costs more than
/// it saves otherwise.
pub(super) fn add_points(body: &mut Value, continues: bool) {
    let instructions = if body["system"].is_array() { "system" } else { "tools" };
    if let Some(last) = body[instructions].as_array_mut().and_then(|blocks| blocks.last_mut()) {
        mark(last);
    }
    if !continues {
        return;
    }
    let messages = body["messages"].as_array_mut().into_iter().flatten();
    let turns = messages.rev().filter(|message| message["role"] == "user");
    for message in turns.take(TURNS) {
        mark_end(&mut message["content"]);
    }
}

fn mark_end(content: &mut Value) {
    if let Value::String(text) = content {
        *content = json!([{"type": "text", "text": text}]);
    }
    if let Some(last) = content.as_array_mut().and_then(|blocks| blocks.last_mut()) {
        mark(last);
    }
}

fn mark(block: &mut Value) {
    block["cache_control"] = json!({"type": "ephemeral"});
}
