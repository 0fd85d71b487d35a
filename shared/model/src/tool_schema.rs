//! Schemas of tools as models are offered them.
//!
//! Model servers take different parts of JSON Schema, and refuse a whole request for one schema that they do not understand:
//! one tool would make every conversation fail. A schema is therefore offered in a form that all of them take. It may allow
//! more than the tool's own schema, by which calls are checked.
//!
//! Public reports say what is refused: alternatives, `enum` or `not` at the top, or a top that is no object (OpenAI,
//! Anthropic, Bedrock); names of parameters with other characters, references, and keywords of older drafts (Anthropic);
//! arrays without `items` (OpenAI, Google); numbers beyond 32 bits (Bedrock); a type beside alternatives (Moonshot);
//! alternatives within alternatives (xAI); lists of types, `const`, and required parameters that are not described (Google).

mod merge;
mod plain;
mod rewrite;
mod types;

use serde_json::{Map, Value, json};

use crate::ToolSpec;
use rewrite::Rewriter;

/// The keywords of a schema that is an object.
type SchemaObject = Map<String, Value>;

/// The parts of JSON Schema in which a schema is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The parts that none of the known servers refuses, with all limits and formats that a model can use.
    Common,
    /// Types, descriptions, properties, items and lists of texts alone.
    Plain,
}

/// The reason why models are not offered a tool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOffered {
    /// The arguments of a call are always an object.
    #[error("its parameters are not a JSON object")]
    NotAnObject,
    /// The parameter cannot be left out, and providers refuse its name.
    #[error(
        "model providers refuse the name of the required parameter `{0}`; a name has 1 to 64 letters, digits, `_`, `.` or `-`"
    )]
    Name(String),
}

impl ToolSpec {
    /// Returns the schema of the arguments as models are offered it.
    ///
    /// # Errors
    /// If no schema that providers take allows the calls of the tool.
    pub fn offered_parameters(&self) -> Result<Value, NotOffered> {
        offered(&self.parameters, Dialect::Common)
    }
}

/// Returns a schema of arguments in a dialect.
///
/// # Errors
/// If no schema of the dialect allows the calls of the tool.
pub(crate) fn offered(schema: &Value, dialect: Dialect) -> Result<Value, NotOffered> {
    let mut top = Rewriter::new(schema).of_root().ok_or(NotOffered::NotAnObject)?;
    if let Some(Value::Array(branches)) = top.remove("anyOf") {
        let mut branches = objects(branches);
        branches.retain(merge::is_of_objects);
        if branches.is_empty() {
            return Err(NotOffered::NotAnObject);
        }
        merge::either(&mut top, branches);
    }
    if top.get("type").is_some_and(|kind| kind != "object") {
        return Err(NotOffered::NotAnObject);
    }
    top.retain(|name, _| {
        matches!(name.as_str(), "type" | "description" | "properties" | "required" | "additionalProperties")
    });
    top.insert("type".to_owned(), "object".into());
    top.entry("properties").or_insert_with(|| json!({}));
    leave_out_refused_names(&mut top)?;
    Ok(Value::Object(if dialect == Dialect::Plain { plain::of(top) } else { top }))
}

/// Leaves out the optional parameters whose names Anthropic refuses.
fn leave_out_refused_names(top: &mut SchemaObject) -> Result<(), NotOffered> {
    let required = top.get("required").and_then(Value::as_array).into_iter().flatten();
    if let Some(name) = required.filter_map(Value::as_str).find(|name| !is_plain(name)) {
        return Err(NotOffered::Name(name.to_owned()));
    }
    if let Some(Value::Object(properties)) = top.get_mut("properties") {
        properties.retain(|name, _| is_plain(name));
    }
    Ok(())
}

fn is_plain(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(is_plain)
}

fn object(value: Value) -> Option<SchemaObject> {
    match value {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

fn objects(values: Vec<Value>) -> Vec<SchemaObject> {
    values.into_iter().filter_map(object).collect()
}

/// The values of a list, or none if the keyword is absent or of another type.
fn list<'a>(keywords: &'a SchemaObject, name: &str) -> &'a [Value] {
    keywords.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests;
