//! The document of a schema, with the rules that bound the work with it.
//!
//! `boon` evaluates a subschema as often as the document leads to it, and parses a pattern again for each of its escapes. So a
//! document of a few lines can take longer than the universe has existed. Documents come from callers, from the servers of
//! tenants and from models. Only those are accepted whose work can be counted before it is done.

use std::collections::BTreeMap;

use regex::RegexBuilder;
use serde_json::{Map, Value};

/// The members of a JSON object that is a schema.
pub(super) type Keywords = Map<String, Value>;

/// Objects in a document at most. The time to compile grows with the square of their number.
const MAX_OBJECTS: usize = 1_000;
/// Levels of a document at most. The compiler recurses through them.
const MAX_LEVELS: usize = 64;
/// Subschemas that apply to one value at most, as often as the document leads to them.
const MAX_IN_PLACE: usize = 1_000;
/// Subschemas that lead to each other at most without a step into the value.
const MAX_CHAIN: usize = 100;
/// Patterns of a document at most. Each may take memory of its own while it matches.
const MAX_PATTERNS: usize = 64;
/// Bytes of a pattern at most.
const MAX_PATTERN: usize = 1_000;
/// Escapes of a pattern at most that are translated to the syntax of our engine, one after the other.
const MAX_TRANSLATED: usize = 50;
/// The steps in which the sizes of compiled patterns are measured, in KiB. The last is the limit.
const PATTERN_SIZES: [usize; 6] = [2, 8, 32, 128, 512, 2_048];
/// KiB of all compiled patterns of a document together at most.
const MAX_PATTERN_SIZES: usize = 4_096;

/// A document that was accepted.
pub(super) struct SchemaDocument {
    root: Value,
    levels: usize,
    /// The sizes of the compiled patterns in KiB. A text that is no pattern has none: examples may have a member of this name.
    patterns: BTreeMap<String, Option<usize>>,
}

impl SchemaDocument {
    /// Accepts `root` if the work with it is bounded.
    ///
    /// # Errors
    /// A text that says what is wrong with it.
    pub(super) fn new(root: &Value) -> Result<Self, String> {
        let mut document = Self { root: root.clone(), levels: 0, patterns: BTreeMap::new() };
        let id = if is_draft_4(root) { "id" } else { "$id" };
        let mut objects = 0;
        let mut values = vec![(root, 0)];
        while let Some((value, level)) = values.pop() {
            if level > MAX_LEVELS {
                return Err(format!("it has more than {MAX_LEVELS} levels"));
            }
            document.levels = document.levels.max(level);
            match value {
                Value::Array(items) => values.extend(items.iter().map(|item| (item, level + 1))),
                Value::Object(keywords) => {
                    objects += 1;
                    document.accept(keywords, (level > 0).then_some(id))?;
                    values.extend(keywords.values().map(|value| (value, level + 1)));
                }
                _ => {}
            }
            if objects > MAX_OBJECTS {
                return Err(format!("it has more than {MAX_OBJECTS} subschemas"));
            }
        }
        Ok(document)
    }

    pub(super) fn root(&self) -> &Value {
        &self.root
    }

    pub(super) fn levels(&self) -> usize {
        self.levels
    }

    /// Accepts an object of the document. One that is not the root must not have the keyword `id`: references in it would mean
    /// something else.
    fn accept(&mut self, keywords: &Keywords, id: Option<&str>) -> Result<(), String> {
        let text = |keyword: &str| keywords.get(keyword).and_then(Value::as_str);
        if let Some(keyword) = ["$dynamicRef", "$recursiveRef"].into_iter().find(|name| text(name).is_some())
        {
            return Err(format!("`{keyword}` is not supported: use `$ref`"));
        }
        if id.and_then(text).is_some_and(|id| !id.starts_with('#')) {
            return Err("only the whole document may have an identifier".to_owned());
        }
        if let Some(reference) = text("$ref")
            && self.resolve(reference).is_none()
        {
            return Err(format!(
                "`$ref` must be `#` or a JSON pointer into the document: {reference:?} is not"
            ));
        }
        let named = keywords.get("patternProperties").and_then(Value::as_object);
        for pattern in
            text("pattern").into_iter().chain(named.into_iter().flat_map(Map::keys).map(String::as_str))
        {
            self.add_pattern(pattern)?;
        }
        self.count_in_place(keywords, 0, &mut 0)
    }

    /// Returns the subschema that a reference refers to. References to other documents and to anchors have none.
    fn resolve(&self, reference: &str) -> Option<&Value> {
        self.root.pointer(&percent_decoded(reference.strip_prefix('#')?)?)
    }

    /// The subschemas that apply to the same value as the one with these keywords.
    pub(super) fn in_place<'a>(&'a self, keywords: &'a Keywords) -> Vec<&'a Value> {
        let mut subschemas = Vec::new();
        for (keyword, value) in keywords {
            match (keyword.as_str(), value) {
                ("$ref", Value::String(reference)) => subschemas.extend(self.resolve(reference)),
                ("allOf" | "anyOf" | "oneOf", Value::Array(list)) => subschemas.extend(list),
                ("not" | "if" | "then" | "else", subschema) => subschemas.push(subschema),
                ("dependentSchemas" | "dependencies", Value::Object(named)) => {
                    subschemas.extend(named.values())
                }
                _ => {}
            }
        }
        subschemas
    }

    /// Counts the subschemas that apply to one value. A cycle of them has no end.
    fn count_in_place(&self, keywords: &Keywords, chain: usize, count: &mut usize) -> Result<(), String> {
        *count += 1;
        if chain > MAX_CHAIN || *count > MAX_IN_PLACE {
            return Err(format!(
                "references lead to more than {MAX_IN_PLACE} subschemas for one value, or to more than {MAX_CHAIN} one after \
                 the other"
            ));
        }
        let mut subschemas = self.in_place(keywords).into_iter().filter_map(Value::as_object);
        subschemas.try_for_each(|keywords| self.count_in_place(keywords, chain + 1, count))
    }

    fn add_pattern(&mut self, pattern: &str) -> Result<(), String> {
        if self.patterns.contains_key(pattern) {
            return Ok(());
        }
        let is_long = pattern.len() > MAX_PATTERN || self.patterns.len() == MAX_PATTERNS;
        let translated = translated(pattern).filter(|_| !is_long).ok_or_else(|| {
            format!(
                "it may have {MAX_PATTERNS} patterns, each of at most {MAX_PATTERN} bytes and {MAX_TRANSLATED} classes such as \
                 `\\d`"
            )
        })?;
        let built =
            PATTERN_SIZES.into_iter().map(|size| built(&translated, size)).find(|built| !is_too_big(built));
        let others: usize = self.patterns.values().flatten().sum();
        let size = match built {
            Some(Ok(size)) if others + size <= MAX_PATTERN_SIZES => Some(size),
            Some(Err(_)) => None,
            Some(Ok(_)) | None => {
                return Err(format!("the pattern {pattern:?} is too large: repeat less in it"));
            }
        };
        self.patterns.insert(pattern.to_owned(), size);
        Ok(())
    }

    /// The steps of matching a pattern with a text of this many bytes. Returns `None` if it is not known.
    pub(super) fn steps_to_match(&self, pattern: &str, bytes: usize) -> Option<usize> {
        let size = self.patterns.get(pattern).copied().flatten()?;
        Some(2 + bytes.saturating_mul(size) / 8)
    }
}

fn is_draft_4(root: &Value) -> bool {
    root.get("$schema").and_then(Value::as_str).is_some_and(|draft| draft.contains("draft-04"))
}

/// Compiles a pattern to at most this many KiB.
fn built(pattern: &str, size: usize) -> Result<usize, regex::Error> {
    RegexBuilder::new(pattern).size_limit(size * 1_024).build().map(|_| size)
}

fn is_too_big(built: &Result<usize, regex::Error>) -> bool {
    matches!(built, Err(regex::Error::CompiledTooBig(_)))
}

/// Translates the escapes of ECMA patterns as `boon` does, so that the sizes are those of its patterns. Returns `None` if there
/// are too many of them.
fn translated(pattern: &str) -> Option<String> {
    let mut text = String::with_capacity(pattern.len());
    let mut count = 0;
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        let escaped = if character == '\\' { characters.next() } else { None };
        let class = escaped.and_then(|escaped| match escaped {
            'd' | 'D' => Some("[0-9]"),
            'w' | 'W' => Some("[A-Za-z0-9_]"),
            's' | 'S' => Some(r"[ \t\n\r]"),
            'c' => characters.next().map(|_| "[a-z]"),
            _ => None,
        });
        match class {
            Some(class) => {
                text.push_str(class);
                count += 1;
            }
            None => text.extend([character].into_iter().chain(escaped)),
        }
    }
    (count <= MAX_TRANSLATED).then_some(text)
}

/// Decodes the fragment of an address. Returns `None` if it is not UTF-8.
fn percent_decoded(fragment: &str) -> Option<String> {
    let mut parts = fragment.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(&part.as_bytes()[2..]);
            }
            None => {
                bytes.push(b'%');
                bytes.extend_from_slice(part.as_bytes());
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(document: Value) -> String {
        SchemaDocument::new(&document).err().unwrap_or_else(|| panic!("accepted: {document}"))
    }

    /// A document in which each of `levels` subschemas has the next one twice.
    fn doubling(levels: usize) -> Value {
        let twice = |level: usize| {
            let next = json!({"$ref": format!("#/$defs/a{}", level + 1)});
            (format!("a{level}"), json!({"allOf": [next, next]}))
        };
        let mut definitions: Map<String, Value> = (0..levels).map(twice).collect();
        definitions.insert(format!("a{levels}"), json!({}));
        json!({"$defs": definitions, "$ref": "#/$defs/a0"})
    }

    #[test]
    fn a_document_that_doubles_the_work_at_each_reference_is_refused() {
        assert!(SchemaDocument::new(&doubling(6)).is_ok());
        let bomb = doubling(60);
        assert!(bomb.to_string().len() < 4_096);
        assert!(refused(bomb).contains("for one value"));
    }

    #[test]
    fn a_cycle_without_a_step_into_the_value_is_refused() {
        for cycle in [
            json!({"$ref": "#"}),
            json!({"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"not": {"$ref": "#/$defs/a"}}}}),
            json!({"if": {"dependentSchemas": {"a": {"$ref": "#"}}}}),
        ] {
            assert!(refused(cycle).contains("one after the other"));
        }
    }

    #[test]
    fn recursion_with_a_step_into_the_value_is_accepted() {
        for recursive in [
            json!({"type": "array", "items": {"$ref": "#"}}),
            json!({"$defs": {"node": {"properties": {"left": {"$ref": "#/$defs/node"}, "right": {"$ref": "#/$defs/node"}}}},
                "$ref": "#/$defs/node"}),
            json!({"$id": "https://a.example/tree", "additionalProperties": {"$ref": "#/%24defs/t"}, "$defs": {"t": {"$ref": "#"}}}),
        ] {
            assert!(SchemaDocument::new(&recursive).is_ok(), "{recursive}");
        }
    }

    #[test]
    fn references_have_one_meaning() {
        for reference in
            ["", "#a", "other.json", "https://schema.invalid/tool#/$defs/a", "#/$defs/b", "#/allOf/+0"]
        {
            let document =
                json!({"$defs": {"a": {"$anchor": "a"}}, "allOf": [{}], "not": {"$ref": reference}});
            assert!(refused(document).contains("JSON pointer"), "{reference}");
        }
        for keyword in ["$dynamicRef", "$recursiveRef"] {
            assert!(refused(json!({"items": {keyword: "#"}})).contains(keyword));
        }
        assert!(refused(json!({"$defs": {"a": {"$id": "other"}}})).contains("identifier"));
        let draft4 =
            json!({"$schema": "http://json-schema.org/draft-04/schema#", "definitions": {"a": {"id": "b"}}});
        assert!(refused(draft4).contains("identifier"));
        let named = json!({"properties": {"$id": {"type": "string"}, "$ref": {"type": "string"}, "pattern": {}},
            "examples": [{"id": "a", "pattern": "*.rs"}]});
        assert!(SchemaDocument::new(&named).is_ok(), "properties have any name, and examples any value");
    }

    #[test]
    fn patterns_are_limited_in_number_length_and_size() {
        let of = |pattern: &str| json!({"properties": {"a": {"patternProperties": {pattern: {}}}}});
        for pattern in [r"^[\w.+-]{1,64}@[\w-]{1,255}(\.[\w-]+)+$", "^.{0,500}$", r"^\p{L}+$", r"\\d\cA"] {
            assert!(SchemaDocument::new(&of(pattern)).is_ok(), "{pattern}");
        }
        assert!(refused(of(&"a".repeat(1_001))).contains("1000 bytes"));
        assert!(refused(of(&r"\d".repeat(51))).contains("50 classes"));
        assert!(refused(of("(a{1000}){1000}")).contains("too large"));
        assert!(refused(of(r"\p{L}{500}")).contains("too large"));
        let many: Map<String, Value> =
            (0..65).map(|n| (format!("a{n}"), json!({"pattern": format!("^{n}$")}))).collect();
        assert!(refused(json!({"properties": many})).contains("64 patterns"));
    }

    #[test]
    fn documents_are_limited_in_size_and_depth() {
        let wide = json!({"anyOf": vec![json!({}); 1_000]});
        assert!(refused(wide).contains("subschemas"));
        let deep = (0..70).fold(json!({}), |inner, _| json!({"items": inner}));
        assert!(refused(deep).contains("levels"));
    }
}
