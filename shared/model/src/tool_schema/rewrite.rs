//! Rewrites a schema and all that it contains: references are replaced by what they refer to, and only known keywords are
//! kept.

use serde_json::{Value, json};

use super::{SchemaObject, list, merge, types};

/// Subschemas within each other at most. The arguments of a deeper one are not described.
const MAX_DEPTH: usize = 48;
/// Bytes of a schema at most, about. A document of a few lines can refer to one definition very often.
const MAX_BYTES: usize = 64 << 10;
/// The largest number: Bedrock reads the limits of a schema as 32-bit integers.
const MAX_NUMBER: f64 = i32::MAX as f64;
/// The formats that say something to a model. Some servers refuse a format that they do not know.
const FORMATS: [&str; 10] =
    ["date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"];

/// Rewrites the subschemas of one document.
pub(super) struct Rewriter<'a> {
    root: &'a Value,
    /// The references that have led to the subschema at hand. Another one to the same place is recursive.
    followed: Vec<String>,
    depth: usize,
    /// The bytes that are left of [`MAX_BYTES`].
    left: usize,
}

impl<'a> Rewriter<'a> {
    pub(super) fn new(root: &'a Value) -> Self {
        Self { root, followed: vec!["#".to_owned()], depth: 0, left: MAX_BYTES }
    }

    /// Returns the document. Returns `None` if it is no object.
    pub(super) fn of_root(mut self) -> Option<SchemaObject> {
        Some(self.resolved(self.root.as_object()?))
    }

    /// Returns a subschema. What describes nothing, such as `true`, is empty.
    fn subschema(&mut self, schema: &Value) -> SchemaObject {
        match schema.as_object() {
            Some(keywords) if self.depth < MAX_DEPTH && self.left > 0 => {
                self.depth += 1;
                let rewritten = self.resolved(keywords);
                self.depth -= 1;
                rewritten
            }
            _ => SchemaObject::new(),
        }
    }

    /// Returns the keywords, together with those that their reference leads to.
    fn resolved(&mut self, keywords: &SchemaObject) -> SchemaObject {
        let mut rewritten = self.keywords(keywords);
        let Some(Value::String(reference)) = keywords.get("$ref") else { return rewritten };
        let root = self.root;
        let pointer = reference.strip_prefix('#');
        let Some(target) = pointer.and_then(|pointer| root.pointer(pointer)) else { return rewritten };
        if self.followed.contains(reference) {
            // The inner levels of a recursive value are described by their type alone.
            if let Some(kind) = target.get("type").filter(|kind| kind.is_string()) {
                rewritten.entry("type").or_insert_with(|| kind.clone());
            }
        } else {
            self.followed.push(reference.clone());
            merge::add(&mut rewritten, self.subschema(target));
            self.followed.pop();
        }
        types::complete(&mut rewritten);
        rewritten
    }

    fn keywords(&mut self, keywords: &SchemaObject) -> SchemaObject {
        let mut rewritten = SchemaObject::new();
        for (name, value) in keywords {
            if let Some(value) = self.keyword(name, value) {
                let name = if name == "const" { "enum" } else { name.as_str() };
                rewritten.entry(name).or_insert(value);
            }
        }
        for branch in list(keywords, "allOf") {
            merge::add(&mut rewritten, self.subschema(branch));
        }
        for name in ["anyOf", "oneOf"] {
            let branches = list(keywords, name).iter().map(|branch| self.subschema(branch));
            let branches = branches.collect();
            merge::add_alternatives(&mut rewritten, branches);
        }
        types::split(&mut rewritten, list(keywords, "type"));
        types::complete(&mut rewritten);
        rewritten
    }

    /// Returns the value of a keyword. Returns `None` if it is left out: what is not known, is of another draft, or
    /// cannot be said to every server.
    fn keyword(&mut self, name: &str, value: &Value) -> Option<Value> {
        let kept = match (name, value) {
            ("properties", Value::Object(named)) => return Some(self.properties(named)),
            ("items" | "additionalProperties", Value::Object(_)) => {
                return Some(Value::Object(self.subschema(value)));
            }
            ("additionalProperties" | "uniqueItems", Value::Bool(_)) => value.clone(),
            ("type", Value::String(kind)) if types::ALL.contains(&kind.as_str()) => value.clone(),
            ("format", Value::String(format)) if FORMATS.contains(&format.as_str()) => value.clone(),
            ("title" | "description" | "pattern", Value::String(_)) | ("default", _) => value.clone(),
            ("enum" | "examples", Value::Array(values)) if !values.is_empty() => value.clone(),
            ("const", _) => json!([value]),
            ("required", Value::Array(names)) => {
                names.iter().filter(|name| name.is_string()).cloned().collect()
            }
            ("minLength" | "maxLength" | "minItems" | "maxItems", Value::Number(limit))
                if limit.is_u64() && is_small(value) =>
            {
                value.clone()
            }
            (
                "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf",
                Value::Number(_),
            ) if is_small(value) => value.clone(),
            _ => return None,
        };
        self.left = self.left.saturating_sub(16 + kept.to_string().len());
        Some(kept)
    }

    /// Returns the properties that are described by a schema. Some servers have other members among them.
    fn properties(&mut self, named: &SchemaObject) -> Value {
        let schemas = named.iter().filter(|(_, schema)| schema.is_object() || schema.is_boolean());
        let rewritten = schemas.map(|(name, schema)| (name.clone(), Value::Object(self.subschema(schema))));
        Value::Object(rewritten.collect())
    }
}

fn is_small(number: &Value) -> bool {
    number.as_f64().is_some_and(|number| number.abs() <= MAX_NUMBER)
}
