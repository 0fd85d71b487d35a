//! The plain dialect, for servers that refuse parts of the common one.
//!
//! Google's schemas have neither formats nor limits nor lists of other values than texts, and nothing beside alternatives;
//! servers that compile schemas to grammars refuse some patterns. Every server takes what is left.

use serde_json::Value;

use super::{SchemaObject, list, object, objects};

/// Returns a schema of the common dialect in the plain one.
pub(super) fn of(schema: SchemaObject) -> SchemaObject {
    let mut plain = SchemaObject::new();
    if let Some(description) = schema.get("description") {
        plain.insert("description".to_owned(), description.clone());
    }
    if schema.contains_key("anyOf") {
        return alternatives(schema, plain);
    }
    let stated = schema.get("type").and_then(Value::as_str);
    if stated == Some("null") {
        plain.insert("nullable".to_owned(), true.into());
    }
    let kind = stated.filter(|kind| *kind != "null").unwrap_or("string").to_owned();
    plain.insert("type".to_owned(), kind.as_str().into());
    if kind == "string" && list(&schema, "enum").iter().all(Value::is_string) {
        plain.extend(schema.get_key_value("enum").map(|(name, value)| (name.clone(), value.clone())));
    }
    for (name, value) in schema {
        match (name.as_str(), kind.as_str(), value) {
            ("properties", "object", Value::Object(named)) => {
                let named = named.into_iter().filter_map(|(name, schema)| Some((name, object(schema)?)));
                let named = named.map(|(name, schema)| (name, Value::Object(of(schema))));
                plain.insert("properties".to_owned(), Value::Object(named.collect()));
            }
            ("items", "array", Value::Object(items)) => {
                plain.insert("items".to_owned(), Value::Object(of(items)));
            }
            ("required", "object", names) => {
                plain.insert("required".to_owned(), names);
            }
            _ => {}
        }
    }
    plain
}

/// Returns alternatives. One of them beside `null` is a schema that is nullable.
fn alternatives(mut schema: SchemaObject, mut plain: SchemaObject) -> SchemaObject {
    let Some(Value::Array(branches)) = schema.remove("anyOf") else { return plain };
    let all = branches.len();
    let mut branches = objects(branches);
    branches.retain(|branch| branch.get("type").is_none_or(|kind| kind != "null"));
    let is_nullable = branches.len() < all;
    let mut branches: Vec<SchemaObject> = branches.into_iter().map(of).collect();
    if branches.len() < 2 {
        let only = branches.pop().unwrap_or_else(|| of(SchemaObject::new()));
        for (name, value) in only {
            plain.entry(name).or_insert(value);
        }
        if is_nullable {
            plain.insert("nullable".to_owned(), true.into());
        }
        return plain;
    }
    if let Some(description) = plain.remove("description") {
        branches[0].entry("description").or_insert(description);
    }
    plain.insert("anyOf".to_owned(), branches.into_iter().map(Value::Object).collect());
    plain
}
