//! Cache points as Anthropic's messages have them: marks on blocks.

use serde_json::{Value, json};

use crate::wire::cache_points;

/// Adds the points. Those of the turns are only worth it if the conversation `continues`.
pub(super) fn add_points(body: &mut Value, continues: bool) {
    let instructions = if body["system"].is_array() { "system" } else { "tools" };
    if let Some(last) = body[instructions].as_array_mut().and_then(|blocks| blocks.last_mut()) {
        mark(last);
    }
    if continues {
        let messages = body["messages"].as_array_mut().into_iter().flatten();
        cache_points::ends(messages).for_each(mark_end);
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
