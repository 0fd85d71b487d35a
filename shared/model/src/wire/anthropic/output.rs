//! The mode in which Anthropic's models answer with JSON of a schema.
//!
//! Models since version 4.5 have it, for schemas whose objects allow no other properties. Other requests rely on the
//! instructions. See <https://docs.anthropic.com/en/docs/build-with-claude/structured-outputs>.

use serde_json::{Value, json};

use super::reasoning::is_since;

/// Keywords that the mode refuses.
const REFUSED: [&str; 10] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "patternProperties",
    "not",
];

/// Returns `true` if the name of the model tells that it has the mode.
pub(super) fn has_mode(model: &str) -> bool {
    is_since(model, 4, 5)
}

/// Adds the mode to the request, if it takes the schema.
pub(super) fn add(body: &mut Value, schema: &Value) {
    if is_taken(schema) {
        body["output_config"]["format"] = json!({"type": "json_schema", "schema": schema});
    }
}

fn is_taken(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => {
            let is_object = fields.get("type").is_some_and(|kind| kind == "object");
            let is_closed = fields.get("additionalProperties") == Some(&Value::Bool(false));
            let is_refused = REFUSED.iter().any(|name| fields.contains_key(*name));
            let is_plain = || fields.iter().all(|(name, value)| is_keyword_taken(name, value));
            (!is_object || is_closed) && !is_refused && is_plain()
        }
        Value::Array(list) => list.iter().all(is_taken),
        _ => true,
    }
}

fn is_keyword_taken(name: &str, value: &Value) -> bool {
    match (name, value) {
        // The names in these are the author's own.
        ("properties" | "$defs" | "definitions", Value::Object(schemas)) => schemas.values().all(is_taken),
        ("enum" | "const" | "default" | "examples", _) => true,
        ("minItems", _) => value.as_u64().is_some_and(|least| least <= 1),
        _ => is_taken(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_closed_schemas_are_sent_and_only_to_models_with_the_mode() {
        let closed =
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false});
        let open = json!({"type": "object", "properties": {"a": {"type": "string"}}});
        let limited = json!({"type": "array", "items": {"type": "integer", "minimum": 1}});
        let non_empty = json!({"type": "array", "items": {}, "minItems": 1});
        let pair = json!({"type": "array", "items": {}, "minItems": 2});
        let named = json!({"type": "object", "properties": {"not": {"type": "string"}, "maximum": {"enum": [{"minimum": 1}]}},
            "additionalProperties": false});
        let nested =
            json!({"type": "object", "properties": {"not": {"not": {}}}, "additionalProperties": false});
        for (schema, is_sent) in [
            (&closed, true),
            (&open, false),
            (&limited, false),
            (&non_empty, true),
            (&pair, false),
            (&named, true),
            (&nested, false),
        ] {
            let mut body = json!({"output_config": {"effort": "low"}});
            add(&mut body, schema);
            assert_eq!(body["output_config"].get("format").is_some(), is_sent, "{schema}");
            assert_eq!(body["output_config"]["effort"], "low");
        }
        for (model, has_it) in [
            ("claude-sonnet-4-5-20250929", true),
            ("claude-opus-5-5", true),
            ("claude-sonnet-4-20250514", false),
        ] {
            assert_eq!(has_mode(model), has_it, "{model}");
        }
    }
}
