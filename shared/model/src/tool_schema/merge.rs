//! Merges schemas: those that all have to be met, and alternatives.

use serde_json::{Value, json};

use super::{SchemaObject, list, object, objects, types};

/// Returns `true` if the schema is about objects, or about anything.
pub(super) fn is_of_objects(schema: &SchemaObject) -> bool {
    match schema.get("type") {
        Some(kind) => kind == "object",
        None => !schema.contains_key("anyOf"),
    }
}

/// Adds a schema that has to be met, too. Where both say something, the first one counts.
pub(super) fn add(base: &mut SchemaObject, other: SchemaObject) {
    for (name, value) in other {
        match value {
            Value::Object(properties) if name == "properties" => {
                if let Value::Object(known) = base.entry(name).or_insert_with(|| json!({})) {
                    for (name, schema) in properties {
                        known.entry(name).or_insert(schema);
                    }
                }
            }
            Value::Array(names) if name == "required" => require(base, names),
            Value::Array(branches) if name == "anyOf" => add_alternatives(base, objects(branches)),
            value => {
                base.entry(name).or_insert(value);
            }
        }
    }
    if ["type", "properties", "required"].iter().any(|name| base.contains_key(*name))
        && let Some(Value::Array(branches)) = base.remove("anyOf")
    {
        add_alternatives(base, objects(branches));
    }
}

fn require(base: &mut SchemaObject, names: Vec<Value>) {
    if let Value::Array(required) = base.entry("required").or_insert_with(|| json!([])) {
        for name in names {
            if !required.contains(&name) {
                required.push(name);
            }
        }
    }
}

/// Adds alternatives. Those of objects become one object, because a type beside alternatives is refused.
pub(super) fn add_alternatives(base: &mut SchemaObject, branches: Vec<SchemaObject>) {
    let mut branches = flat(branches);
    if branches.is_empty() || base.contains_key("anyOf") {
        return;
    }
    if branches.len() == 1 {
        branches.into_iter().for_each(|only| add(base, only));
        return;
    }
    let names_properties = ["properties", "required"].iter().any(|name| base.contains_key(*name));
    if names_properties || base.get("type").is_some_and(|kind| kind == "object") {
        branches.retain(is_of_objects);
        return either(base, branches);
    }
    let allows_anything = |branch: &SchemaObject| branch.keys().all(|name| types::is_annotation(name));
    if branches.iter().any(allows_anything) {
        return;
    }
    let Some(kind) = base.get("type").cloned() else {
        base.insert("anyOf".to_owned(), branches.into_iter().map(Value::Object).collect());
        return;
    };
    branches
        .retain(|branch| branch.get("type").is_none_or(|own| *own == kind) && !branch.contains_key("anyOf"));
    if let [only] = &branches[..] {
        add(base, only.clone());
    } else if !branches.is_empty() {
        base.remove("type");
        let typed = branches.into_iter().map(|mut branch| {
            branch.entry("type").or_insert_with(|| kind.clone());
            Value::Object(branch)
        });
        let typed = typed.collect();
        base.insert("anyOf".to_owned(), typed);
    }
}

/// Returns the branches, with the alternatives of one that has nothing else in its place.
fn flat(branches: Vec<SchemaObject>) -> Vec<SchemaObject> {
    let mut all = Vec::new();
    for mut branch in branches {
        let inner = match branch.get("anyOf") {
            Some(_) if branch.keys().all(|name| name == "anyOf" || types::is_annotation(name)) => {
                branch.remove("anyOf")
            }
            _ => None,
        };
        let expanded = match inner {
            Some(Value::Array(inner)) => objects(inner),
            _ => vec![branch],
        };
        for branch in expanded {
            if !all.contains(&branch) {
                all.push(branch);
            }
        }
    }
    all
}

/// Makes alternatives of objects one object: with the properties of all, of which those are required that each of the
/// alternatives requires. The properties that `base` describes have to be as it says.
pub(super) fn either(base: &mut SchemaObject, branches: Vec<SchemaObject>) {
    let mut required = branches.first().map(|first| list(first, "required").to_vec()).unwrap_or_default();
    required.retain(|name| branches.iter().all(|branch| list(branch, "required").contains(name)));
    // An object without other properties in each alternative has no property besides those of all.
    let is_closed = !branches.is_empty() && branches.iter().all(is_closed);
    if branches.iter().any(|branch| branch.contains_key("properties")) {
        base.remove("additionalProperties"); // what one alternative forbids, another may allow
    }
    let mut all = SchemaObject::new();
    for branch in branches {
        for (name, schema) in branch.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let known = all.entry(name).or_insert_with(|| schema.clone());
            if known != schema {
                *known = widened(known, schema);
            }
        }
    }
    let mut properties = base.remove("properties").and_then(object).unwrap_or_default();
    for (name, schema) in all {
        properties.entry(name).or_insert(schema);
    }
    base.insert("properties".to_owned(), properties.into());
    if is_closed {
        base.insert("additionalProperties".to_owned(), false.into());
    }
    require(base, required);
    types::complete(base);
}

fn is_closed(schema: &SchemaObject) -> bool {
    schema.get("additionalProperties") == Some(&Value::Bool(false))
}

/// Returns a schema that allows the values of both: what they have in common, and the listed values of both. One that says
/// nothing is that of a property that is only required.
fn widened<'a>(one: &'a Value, other: &'a Value) -> Value {
    let said = |schema: &'a Value| schema.as_object().filter(|keywords| !keywords.is_empty());
    let Some(one) = said(one) else { return other.clone() };
    let Some(other) = said(other) else { return Value::Object(one.clone()) };
    let mut both = SchemaObject::new();
    for (name, value) in one {
        match (name.as_str(), other.get(name)) {
            ("enum", Some(Value::Array(more))) => {
                let mut values = list(one, "enum").to_vec();
                values.extend(more.iter().filter(|value| !list(one, "enum").contains(value)).cloned());
                both.insert(name.clone(), values.into());
            }
            (_, Some(same)) if same == value => {
                both.insert(name.clone(), value.clone());
            }
            ("title" | "description", _) => {
                both.insert(name.clone(), value.clone());
            }
            _ => {}
        }
    }
    if !both.contains_key("properties") {
        both.remove("required");
    }
    types::complete(&mut both);
    Value::Object(both)
}
