//! Digests of definitions: a definition that differs in anything has another one.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Returns the SHA-256 of a definition in hexadecimal. The order of the members of objects does not count.
#[must_use]
pub fn definition_digest(definition: Value) -> String {
    hex::encode(Sha256::digest(canonical(definition).to_string().as_bytes()))
}

/// Sorts the members of all objects.
fn canonical(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<String, Value> =
                members.into_iter().map(|(name, member)| (name, canonical(member))).collect();
            Value::Object(sorted.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(canonical).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Tool, ToolKind};

    #[test]
    fn the_order_of_members_does_not_count() {
        let first = definition_digest(json!({"a": [{"b": 1, "c": 2}], "d": null}));
        assert_eq!(first, definition_digest(json!({"d": null, "a": [{"c": 2, "b": 1}]})));
        assert_ne!(first, definition_digest(json!({"a": [{"b": 1, "c": 3}], "d": null})));
        assert_eq!(first.len(), 64);
    }

    #[test]
    fn a_tool_with_another_description_schema_or_target_has_another_digest() {
        let tool = |description: &str, parameters: Value, target: &str| Tool {
            target: target.to_owned(),
            ..Tool::new("refund", description, parameters, ToolKind::AsksPerson)
        };
        let digest = tool("Refunds.", json!({"type": "object"}), "https://a.example").digest();
        assert_eq!(digest, tool("Refunds.", json!({"type": "object"}), "https://a.example").digest());
        for other in [
            tool("Pays.", json!({"type": "object"}), "https://a.example"),
            tool("Refunds.", json!({"type": "object", "required": ["id"]}), "https://a.example"),
            tool("Refunds.", json!({"type": "object"}), "https://b.example"),
        ] {
            assert_ne!(other.digest(), digest);
        }
    }
}
