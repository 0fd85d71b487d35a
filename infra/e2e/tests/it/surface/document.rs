//! The operations of the served OpenAPI document.

use std::collections::BTreeSet;

use serde_json::Value;

/// Access requirement of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// A credential is required.
    Required,
    /// The deployment's admin key is required.
    Operator,
    /// A credential is read, but may be missing or invalid.
    Optional,
    /// No credential is read.
    Public,
}

/// An operation of the document.
#[derive(Debug)]
pub(super) struct Route {
    /// Method and path, as in `GET /path`.
    pub(super) name: String,
    pub(super) access: Access,
    /// Names of the parameters and of all members of the body at any depth.
    pub(super) names: BTreeSet<String>,
}

/// Returns all operations of a document.
pub(super) fn routes(document: &Value) -> Vec<Route> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, item)| {
        item.as_object().unwrap().iter().map(move |(method, operation)| (path, method, operation))
    });
    operations
        .map(|(path, method, operation)| Route {
            name: format!("{} {path}", method.to_uppercase()),
            access: access(document, operation),
            names: names(document, operation),
        })
        .collect()
}

fn access(document: &Value, operation: &Value) -> Access {
    let security = operation.get("security").unwrap_or(&document["security"]);
    let ways =
        security.as_array().expect("every operation has a security requirement, its own or the global");
    let open = ways.iter().filter(|way| way.as_object().unwrap().is_empty()).count();
    if !ways.is_empty() && ways.iter().all(|way| way.get("adminKey").is_some()) {
        return Access::Operator;
    }
    match (open, ways.len() - open) {
        (0, 1..) => Access::Required,
        (_, 0) => Access::Public,
        _ => Access::Optional,
    }
}

fn names(document: &Value, operation: &Value) -> BTreeSet<String> {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let mut names: BTreeSet<_> =
        parameters.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect();
    for content in operation["requestBody"]["content"].as_object().into_iter().flat_map(|all| all.values()) {
        members(document, &content["schema"], &mut BTreeSet::new(), &mut names);
    }
    names
}

/// Adds the names of all properties in and below a schema.
fn members<'a>(
    document: &'a Value,
    schema: &'a Value,
    seen: &mut BTreeSet<&'a str>,
    names: &mut BTreeSet<String>,
) {
    match schema {
        Value::Object(fields) => {
            if let Some(reference) = fields.get("$ref").and_then(Value::as_str)
                && seen.insert(reference)
            {
                let target = document.pointer(reference.trim_start_matches('#'));
                members(document, target.expect("every reference has a target"), seen, names);
            }
            if let Some(Value::Object(properties)) = fields.get("properties") {
                names.extend(properties.keys().cloned());
                properties.values().for_each(|property| members(document, property, seen, names));
            }
            let others = fields.iter().filter(|(name, _)| *name != "properties");
            others.for_each(|(_, inner)| members(document, inner, seen, names));
        }
        Value::Array(schemas) => schemas.iter().for_each(|inner| members(document, inner, seen, names)),
        _ => {}
    }
}
