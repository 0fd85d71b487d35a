//! Counts the work of a check before it is done.
//!
//! The subschemas that apply to a value are those that `boon` evaluates, at most. They are visited without evaluating anything, and
//! the visit ends at a limit. So the result is the same in each process, and no value holds one longer than a moment.

use serde_json::{Map, Value};

use super::document::{Keywords, SchemaDocument};

/// Steps of a check at most. A step takes some ten nanoseconds, or some tens of bytes for the errors that it may find.
const MAX_STEPS: usize = 2_000_000;
/// Steps of a visit, without its share of the place in the value, which an error has to name.
const VISIT: usize = 4;
/// Subschemas on the way to a visit at most. Each is some levels of the stack.
const MAX_DEPTH: usize = 256;
/// Items that are compared in pairs at most, if all have to differ. More of them are hashed.
const MAX_PAIRED: usize = 20;

/// A check takes too many steps, or too many levels of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it takes too much work to be checked: make it smaller, or nest it less")]
pub(super) struct TooMuchWork;

/// Counts the work of checking `value`. Returns the number of subschemas on the longest way to a visit.
///
/// # Errors
/// If it is too much.
pub(super) fn count(document: &SchemaDocument, value: &Value) -> Result<usize, TooMuchWork> {
    let mut work = Work { document, left: MAX_STEPS, deepest: 0 };
    work.visit(document.root(), value, Depth { subschemas: 0, value: 0 })?;
    Ok(work.deepest)
}

/// The position of a visit.
#[derive(Debug, Clone, Copy)]
struct Depth {
    subschemas: usize,
    value: usize,
}

impl Depth {
    /// The depth of a subschema for the same value.
    fn in_place(self) -> Self {
        Self { subschemas: self.subschemas + 1, ..self }
    }

    /// The depth of a subschema for a part of the value.
    fn below(self) -> Self {
        Self { subschemas: self.subschemas + 1, value: self.value + 1 }
    }
}

struct Work<'d> {
    document: &'d SchemaDocument,
    /// The steps that are left.
    left: usize,
    deepest: usize,
}

impl<'d> Work<'d> {
    fn spend(&mut self, steps: usize) -> Result<(), TooMuchWork> {
        self.left = self.left.checked_sub(steps).ok_or(TooMuchWork)?;
        Ok(())
    }

    fn visit(&mut self, schema: &'d Value, value: &Value, at: Depth) -> Result<(), TooMuchWork> {
        self.spend(VISIT + at.value)?;
        if at.subschemas > MAX_DEPTH {
            return Err(TooMuchWork);
        }
        self.deepest = self.deepest.max(at.subschemas);
        let Value::Object(keywords) = schema else { return Ok(()) };
        // Each keyword is looked at, also an unknown one.
        self.spend(keywords.len())?;
        let compared =
            ["const", "enum", "required", "dependentRequired"].map(|keyword| keywords.get(keyword));
        self.spend(compared.into_iter().flatten().map(size).sum())?;
        if !may_have_type(keywords, value) {
            return Ok(());
        }
        for subschema in self.document.in_place(keywords) {
            self.visit(subschema, value, at.in_place())?;
        }
        match value {
            Value::Object(members) => self.visit_members(keywords, members, at.below()),
            Value::Array(items) => self.visit_items(keywords, items, at.below()),
            Value::String(text) => self.match_text(keywords, text),
            _ => Ok(()),
        }
    }

    fn visit_members(
        &mut self,
        keywords: &'d Keywords,
        members: &Map<String, Value>,
        at: Depth,
    ) -> Result<(), TooMuchWork> {
        self.spend(members.len())?;
        let named = object(keywords, "properties");
        let patterns = object(keywords, "patternProperties");
        let others = ["additionalProperties", "unevaluatedProperties"].map(|keyword| keywords.get(keyword));
        for (name, value) in members {
            let own = named.and_then(|named| named.get(name));
            let others = others.into_iter().flatten().filter(|_| own.is_none());
            for subschema in own.into_iter().chain(others) {
                self.visit(subschema, value, at)?;
            }
            for (pattern, subschema) in patterns.into_iter().flatten() {
                self.match_pattern(pattern, name)?;
                self.visit(subschema, value, at)?;
            }
            if let Some(subschema) = keywords.get("propertyNames") {
                self.visit(subschema, &Value::String(name.clone()), at)?;
            }
        }
        Ok(())
    }

    fn visit_items(&mut self, keywords: &'d Keywords, items: &[Value], at: Depth) -> Result<(), TooMuchWork> {
        self.spend(items.len())?;
        if keywords.get("uniqueItems") == Some(&Value::Bool(true)) {
            self.spend(steps_to_compare(items))?;
        }
        for list in ["prefixItems", "items"].iter().filter_map(|keyword| keywords.get(*keyword)?.as_array()) {
            for (subschema, item) in list.iter().zip(items) {
                self.visit(subschema, item, at)?;
            }
        }
        let each =
            ["items", "additionalItems", "contains", "unevaluatedItems"].map(|keyword| keywords.get(keyword));
        for subschema in each.into_iter().flatten().filter(|subschema| !subschema.is_array()) {
            for item in items {
                self.visit(subschema, item, at)?;
            }
        }
        Ok(())
    }

    fn match_text(&mut self, keywords: &Keywords, text: &str) -> Result<(), TooMuchWork> {
        if let Some(Value::String(pattern)) = keywords.get("pattern") {
            self.match_pattern(pattern, text)?;
        }
        match keywords.get("format").and_then(Value::as_str) {
            None => Ok(()),
            // It is parsed again for each of its escapes.
            Some("regex") => self.spend(text.len() * (1 + text.matches('\\').count())),
            Some(_) => self.spend(text.len()),
        }
    }

    fn match_pattern(&mut self, pattern: &str, text: &str) -> Result<(), TooMuchWork> {
        self.spend(self.document.steps_to_match(pattern, text.len()).ok_or(TooMuchWork)?)
    }
}

fn object<'a>(keywords: &'a Keywords, keyword: &str) -> Option<&'a Map<String, Value>> {
    keywords.get(keyword).and_then(Value::as_object)
}

/// Returns `false` if the type of the value ends its check. Up to draft 7, a reference makes its neighbours void.
fn may_have_type(keywords: &Keywords, value: &Value) -> bool {
    let is = |name: &Value| match value {
        Value::Null => name == "null",
        Value::Bool(_) => name == "boolean",
        Value::Number(_) => name == "number" || name == "integer",
        Value::String(_) => name == "string",
        Value::Array(_) => name == "array",
        Value::Object(_) => name == "object",
    };
    match keywords.get("type").filter(|_| !keywords.contains_key("$ref")) {
        None => true,
        Some(Value::Array(names)) => names.iter().any(is),
        Some(name) => is(name),
    }
}

/// The steps to find out that all items differ.
fn steps_to_compare(items: &[Value]) -> usize {
    let count = items.len();
    let sizes: usize = items.iter().map(size).sum();
    count.min(MAX_PAIRED) * sizes + count * count / 16
}

/// The steps to compare this value with another.
fn size(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(size).sum::<usize>(),
        Value::String(text) => 1 + text.len() / 64,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn counted(document: &Value, value: &Value) -> Result<(), TooMuchWork> {
        count(&SchemaDocument::new(document).unwrap(), value).map(|_| ())
    }

    /// The value, `levels` times inside of an array or an object with the member `a`.
    fn nested(levels: usize, is_array: bool) -> Value {
        (0..levels).fold(json!(1), |inner, _| if is_array { json!([inner]) } else { json!({"a": inner}) })
    }

    #[test]
    fn a_recursive_document_that_branches_is_bounded_behind_each_keyword() {
        let again = json!({"$ref": "#"});
        for (is_array, keywords) in [
            (true, json!({"items": again})),
            (true, json!({"items": [again]})),
            (true, json!({"items": [], "additionalItems": again})),
            (true, json!({"prefixItems": [again]})),
            (true, json!({"contains": again})),
            (true, json!({"unevaluatedItems": again})),
            (false, json!({"properties": {"a": again}})),
            (false, json!({"patternProperties": {"a": again}})),
            (false, json!({"additionalProperties": again})),
            (false, json!({"unevaluatedProperties": again})),
        ] {
            for branches in ["allOf", "anyOf", "oneOf"] {
                let document = json!({branches: [keywords, keywords]});
                assert_eq!(counted(&document, &nested(40, is_array)), Err(TooMuchWork), "{document}");
                assert_eq!(counted(&document, &nested(8, is_array)), Ok(()), "{document}");
            }
        }
    }

    #[test]
    fn ordinary_values_of_recursive_documents_are_checked() {
        let tree = json!({"type": "object", "properties": {
            "name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#"}},
        }});
        let deep =
            (0..50).fold(json!({"name": "leaf"}), |child, _| json!({"name": "node", "children": [child]}));
        assert_eq!(counted(&tree, &deep), Ok(()));
        let binary = |kind: &str| {
            let side = json!({"$ref": "#"});
            json!({"type": "object", "required": ["kind", "left", "right"],
                "properties": {"kind": {"const": kind}, "left": side, "right": side}})
        };
        let expression =
            json!({"anyOf": [{"type": "number"}, binary("add"), binary("multiply"), binary("divide")]});
        let deep = (0..7).fold(json!(1), |side, _| json!({"kind": "divide", "left": side, "right": 2}));
        assert_eq!(counted(&expression, &deep), Ok(()));
        let list = json!({"type": "array", "uniqueItems": true, "items": {"type": "object", "required": ["id"],
            "properties": {"id": {"type": "string", "format": "uuid"}, "kind": {"enum": ["a", "b", "c"]}}}});
        let items: Vec<Value> = (0..1_000)
            .map(|n| json!({"id": format!("00000000-0000-0000-0000-{n:012}"), "kind": "a"}))
            .collect();
        assert_eq!(counted(&list, &json!(items)), Ok(()));
    }

    #[test]
    fn the_stack_is_bounded() {
        let document = json!({"items": {"allOf": [{"allOf": [{"allOf": [{"$ref": "#"}]}]}]}});
        assert_eq!(counted(&document, &nested(40, true)), Ok(()));
        assert_eq!(counted(&document, &nested(100, true)), Err(TooMuchWork));
    }

    #[test]
    fn texts_are_bounded() {
        let regex = json!({"format": "regex"});
        assert_eq!(counted(&regex, &json!(r"\w".repeat(50))), Ok(()));
        assert_eq!(counted(&regex, &json!(r"\w".repeat(32_000))), Err(TooMuchWork));
        let pattern = json!({"items": {"pattern": "[01]*1[01]{500}"}});
        let texts = |count| json!(vec!["01".repeat(500); count]);
        assert_eq!(
            (counted(&pattern, &texts(2)), counted(&pattern, &texts(3_000))),
            (Ok(()), Err(TooMuchWork))
        );
        let unique = json!({"uniqueItems": true});
        assert_eq!(counted(&unique, &json!((0..10_000).collect::<Vec<_>>())), Err(TooMuchWork));
    }

    #[test]
    fn unknown_keywords_are_counted() {
        let unknown: Map<String, Value> = (0..1_000).map(|n| (format!("x{n}"), json!(1))).collect();
        let document = json!({"items": unknown});
        assert_eq!(counted(&document, &json!(vec![1; 100])), Ok(()));
        assert_eq!(counted(&document, &json!(vec![1; 3_000])), Err(TooMuchWork));
    }

    #[test]
    fn a_reference_of_an_old_draft_is_followed_whatever_is_beside_it() {
        let document = json!({"$schema": "http://json-schema.org/draft-07/schema#",
            "definitions": {"a": {"anyOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}]}},
            "$ref": "#/definitions/a", "type": "null"});
        assert_eq!(counted(&document, &nested(60, true)), Err(TooMuchWork));
    }
}
