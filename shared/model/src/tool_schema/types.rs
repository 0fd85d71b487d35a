//! Types of a schema: lists of them become alternatives, and absent ones are inferred.

use serde_json::{Value, json};

use super::{SchemaObject, list, merge};

/// The types of JSON Schema.
pub(super) const ALL: [&str; 7] = ["object", "array", "string", "integer", "number", "boolean", "null"];

/// Replaces a list of types by alternatives of one type each.
pub(super) fn split(schema: &mut SchemaObject, types: &[Value]) {
    let mut kinds: Vec<&str> =
        types.iter().filter_map(Value::as_str).filter(|kind| ALL.contains(kind)).collect();
    kinds.dedup();
    if kinds.is_empty() || schema.contains_key("anyOf") {
        return;
    }
    if let [kind] = kinds[..] {
        schema.insert("type".to_owned(), kind.into());
        return;
    }
    let whole = std::mem::take(schema);
    let branches = kinds.iter().filter_map(|kind| branch(&whole, kind)).collect();
    schema.extend(whole.into_iter().filter(|(name, _)| is_annotation(name)));
    merge::add_alternatives(schema, branches);
}

/// The keywords that limit nothing.
pub(super) fn is_annotation(name: &str) -> bool {
    matches!(name, "title" | "description" | "default" | "examples")
}

/// Returns the part of a schema that is about values of one type. Returns `None` if its list of values has none of them.
fn branch(whole: &SchemaObject, kind: &str) -> Option<SchemaObject> {
    let applies = |name: &str| match name {
        "pattern" | "format" | "minLength" | "maxLength" => kind == "string",
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => {
            matches!(kind, "integer" | "number")
        }
        "items" | "minItems" | "maxItems" | "uniqueItems" => kind == "array",
        "properties" | "required" | "additionalProperties" => kind == "object",
        _ => false,
    };
    let mut branch = SchemaObject::new();
    branch.insert("type".to_owned(), kind.into());
    branch.extend(
        whole.iter().filter(|(name, _)| applies(name)).map(|(name, value)| (name.clone(), value.clone())),
    );
    if whole.contains_key("enum") {
        let values: Vec<Value> =
            list(whole, "enum").iter().filter(|value| is_of(value, kind)).cloned().collect();
        if values.is_empty() {
            return None;
        }
        if kind != "null" {
            branch.insert("enum".to_owned(), values.into());
        }
    }
    complete(&mut branch);
    Some(branch)
}

fn is_of(value: &Value, kind: &str) -> bool {
    match value {
        Value::Object(_) => kind == "object",
        Value::Array(_) => kind == "array",
        Value::String(_) => kind == "string",
        Value::Number(number) => kind == "number" || (kind == "integer" && !number.is_f64()),
        Value::Bool(_) => kind == "boolean",
        Value::Null => kind == "null",
    }
}

/// Adds what servers want to be stated: the type, the items of an array, and the properties that are required.
pub(super) fn complete(schema: &mut SchemaObject) {
    if !schema.contains_key("type")
        && !schema.contains_key("anyOf")
        && let Some(kind) = inferred(schema)
    {
        schema.insert("type".to_owned(), kind.into());
    }
    if schema.get("type").is_some_and(|kind| kind == "array") {
        schema.entry("items").or_insert_with(|| json!({}));
    }
    let required: Vec<String> =
        list(schema, "required").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    if required.is_empty() {
        schema.remove("required");
        return;
    }
    if let Value::Object(properties) = schema.entry("properties").or_insert_with(|| json!({})) {
        for name in required {
            properties.entry(name).or_insert_with(|| json!({}));
        }
    }
}

/// Returns the type that a schema without one is about.
fn inferred(schema: &SchemaObject) -> Option<&'static str> {
    let has = |names: &[&str]| names.iter().any(|name| schema.contains_key(*name));
    if has(&["properties", "required"]) {
        return Some("object");
    }
    if has(&["items"]) {
        return Some("array");
    }
    let values = list(schema, "enum");
    let kinds = ["string", "integer", "number", "boolean"];
    kinds.into_iter().find(|kind| !values.is_empty() && values.iter().all(|value| is_of(value, kind)))
}
