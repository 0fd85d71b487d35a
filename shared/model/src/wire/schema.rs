//! Schemas of tools in the dialect that all providers take.
//!
//! Providers refuse a whole request for one schema with alternatives at the top, without a type, or with references that they
//! do not follow. Such a schema is rewritten to a wider one; the calls are checked by the tool's own schema anyway. A tool
//! whose arguments are no object is left out.

use serde_json::{Map, Value, json};

use super::json::Object;
use crate::{Request, ToolSpec};

/// Keywords of alternatives, which providers refuse at the top of a schema.
const ALTERNATIVES: [&str; 3] = ["anyOf", "oneOf", "allOf"];
/// Keywords that providers refuse at the top, or that nothing refers to any longer.
const REFUSED: [&str; 9] =
    ["$schema", "$id", "enum", "const", "not", "if", "then", "else", "dependentSchemas"];
/// References that are followed on the way to the top of a schema.
const MAX_REFERENCES: usize = 8;

/// Returns the tools of a request whose schemas can be sent.
pub(super) fn tools(request: &Request) -> impl Iterator<Item = (&ToolSpec, Value)> {
    request.tools.iter().filter_map(|spec| {
        let schema = of(&spec.parameters);
        if schema.is_none() {
            tracing::warn!(
                tool = spec.name,
                "no provider takes the schema of the tool; the model is not offered it"
            );
        }
        Some((spec, schema?))
    })
}

/// Returns the schema in the common dialect, or `None` if no provider takes it.
fn of(schema: &Value) -> Option<Value> {
    let mut top = resolved(schema.as_object()?, schema)?;
    for name in REFUSED {
        top.remove(name);
    }
    for name in ALTERNATIVES {
        if let Some(Value::Array(options)) = top.remove(name) {
            let options = options.iter().filter_map(|option| resolved(option.as_object()?, schema));
            merge(&mut top, &options.collect::<Vec<_>>(), name == "allOf");
        }
    }
    let is_object = match top.get("type") {
        None => true,
        Some(Value::Array(types)) => types.contains(&"object".into()),
        Some(kind) => kind == "object",
    };
    if !is_object {
        return None;
    }
    top.insert("type".to_owned(), "object".into());
    let properties = top.entry("properties").or_insert_with(|| json!({}));
    let names = properties.as_object()?.keys();
    names.into_iter().all(|name| is_plain(name)).then_some(Value::Object(top))
}

/// Returns `true` for the names of properties that Anthropic takes.
fn is_plain(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(is_plain)
}

/// Returns a schema, or the one that its reference leads to, with the definitions of the whole. Returns `None` if the
/// reference leads nowhere.
fn resolved(schema: &Object, root: &Value) -> Option<Object> {
    let mut current = schema.clone();
    for _ in 0..MAX_REFERENCES {
        let Some(Value::String(reference)) = current.remove("$ref") else { return Some(current) };
        let target = match reference.strip_prefix('#')? {
            "" => return None, // a schema that consists of itself
            pointer => root.pointer(pointer)?.as_object()?.clone(),
        };
        let definitions =
            ["$defs", "definitions"].into_iter().filter_map(|name| Some((name, root.get(name)?)));
        let definitions = definitions.map(|(name, value)| (name.to_owned(), value.clone()));
        current = definitions.chain(target).chain(current).collect();
    }
    None
}

/// Adds the properties of the options. Those that `all` options have to meet are required; of alternatives, only those that
/// each of them requires.
fn merge(top: &mut Object, options: &[Object], all: bool) {
    let empty = Map::new();
    let required_of = |option: &Object| -> Vec<Value> {
        option.get("required").and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let mut properties = top.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    for (name, value) in options
        .iter()
        .flat_map(|option| option.get("properties").and_then(Value::as_object).unwrap_or(&empty))
    {
        match properties.get_mut(name) {
            // Alternatives with a property in two forms allow any.
            Some(known) if !all && known != value => *known = json!({}),
            Some(_) => {}
            None => {
                properties.insert(name.clone(), value.clone());
            }
        }
    }
    let mut required = required_of(top);
    let lists: Vec<Vec<Value>> = options.iter().map(required_of).collect();
    for name in lists.iter().flatten() {
        let is_required = all || lists.iter().all(|list| list.contains(name));
        if is_required && !required.contains(name) {
            required.push(name.clone());
        }
    }
    // What one option forbids, another may allow.
    if options.iter().any(|option| option.contains_key("properties")) {
        top.remove("additionalProperties");
    }
    if top.get("type").is_none() {
        let kinds = options.iter().filter_map(|option| option.get("type"));
        top.extend(kinds.map(|kind| ("type".to_owned(), kind.clone())).take(1));
    }
    top.insert("properties".to_owned(), Value::Object(properties));
    if !required.is_empty() {
        top.insert("required".to_owned(), required.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_schema_stays_as_it_is() {
        let plain = json!({"type": "object", "properties": {"q": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
            "required": ["q"], "additionalProperties": false});
        assert_eq!(of(&plain), Some(plain.clone()));
        assert_eq!(of(&json!({})), Some(json!({"type": "object", "properties": {}})));
    }

    #[test]
    fn alternatives_at_the_top_become_one_object() {
        let by_id = json!({"type": "object", "properties": {"id": {"type": "string"}, "deep": {"type": "boolean"}},
            "required": ["id", "deep"], "additionalProperties": false});
        let by_name = json!({"type": "object", "properties": {"name": {"type": "string"}, "deep": {"type": "boolean"}},
            "required": ["name", "deep"]});
        let properties =
            json!({"id": {"type": "string"}, "deep": {"type": "boolean"}, "name": {"type": "string"}});
        for name in ["anyOf", "oneOf"] {
            let expected = json!({"type": "object", "properties": properties, "required": ["deep"]});
            assert_eq!(of(&json!({name: [by_id, by_name]})), Some(expected), "{name}");
        }
        let expected =
            json!({"type": "object", "properties": properties, "required": ["id", "deep", "name"]});
        assert_eq!(of(&json!({"allOf": [by_id, by_name]})), Some(expected));
    }

    #[test]
    fn references_at_the_top_are_followed() {
        let defs = json!({"Args": {"type": "object", "properties": {"at": {"$ref": "#/$defs/Point"}}},
            "Point": {"type": "object"}});
        let schema = of(&json!({"$ref": "#/$defs/Args", "$defs": defs})).unwrap();
        assert_eq!(schema["properties"], json!({"at": {"$ref": "#/$defs/Point"}}));
        assert_eq!(schema["$defs"], defs, "what is below the top still refers to it");
        for circular in
            [json!({"$ref": "#"}), json!({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}})]
        {
            assert_eq!(of(&circular), None, "{circular}");
        }
    }

    #[test]
    fn a_schema_without_an_object_or_with_names_that_are_refused_is_left_out() {
        let odd = json!({"type": "object", "properties": {"größe": {}}});
        for schema in
            [json!({"type": "string"}), json!({"type": ["array", "null"]}), json!([]), json!(true), odd]
        {
            assert_eq!(of(&schema), None, "{schema}");
        }
    }
}
