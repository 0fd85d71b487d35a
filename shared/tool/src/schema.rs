//! JSON Schemas: derived from types, compiled once, with errors worded for a model.
//!
//! A schema may come from a caller, from a tenant's server or from the model itself. It cannot make the process read a file
//! or an address. The work of a check is counted before it is done, because a check of a schema that branches on purpose
//! would block the only thread of the process until it is killed.

mod document;
mod stack;
mod work;

use std::fmt;

use boon::{CompileError, Compiler, ErrorKind, SchemaIndex, Schemas, UrlLoader, ValidationError};
use schemars::{
    JsonSchema,
    generate::SchemaSettings,
    transform::{RecursiveTransform, Transform},
};
use serde_json::Value;

use document::SchemaDocument;
use stack::with_stack;

/// A compiled schema of draft 4 to 2020-12, without `$schema` the newest. Formats are checked.
pub struct Schema {
    document: SchemaDocument,
    schemas: Schemas,
    index: SchemaIndex,
}

/// The reason why a document cannot be used as a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a usable JSON Schema: {0}")]
pub struct Unusable(String);

/// A loader that follows no reference. The default loader of `boon` would open `file:` addresses.
struct NoReferences;

impl UrlLoader for NoReferences {
    fn load(&self, _url: &str) -> Result<Value, Box<dyn std::error::Error>> {
        Err("references to other documents are not followed".into())
    }
}

/// The JSON Schema of a tool's arguments, derived from their type: doc comments of fields become
/// descriptions.
///
/// It contains only what a model needs, in the subset that model providers accept: no references, no titles,
/// and no formats for the widths of numbers.
#[must_use]
pub fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.meta_schema = None;
        settings.inline_subschemas = true;
    });
    let mut simplify = RecursiveTransform(|schema: &mut schemars::Schema| {
        if schema.get("type").is_some_and(|kind| kind == "integer" || kind == "number") {
            schema.remove("format");
        }
        if schema.get("default").is_some_and(Value::is_null) {
            schema.remove("default");
        }
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    simplify.transform(&mut schema);
    schema.remove("title");
    schema.remove("description");
    schema.into()
}

impl Schema {
    /// The base of the schema's own references: a name that no other document can have.
    const LOCATION: &str = "https://schema.invalid/tool";
    /// A model needs a few hints to correct its call, not all of them.
    const MAX_ERRORS: usize = 8;
    /// Bytes of a hint at most.
    const MAX_ERROR: usize = 1_000;

    /// Compiles `document`.
    ///
    /// # Errors
    /// If it is not a schema, refers to other documents, or makes more work than the rules allow.
    pub fn new(document: &Value) -> Result<Self, Unusable> {
        // Before the compiler, which parses patterns again and again.
        let accepted = SchemaDocument::new(document).map_err(Unusable)?;
        // The compiler checks the document against the schema of schemas, which has several subschemas for each level.
        let compiled = with_stack(accepted.levels() * 8, || compile(document));
        let (schemas, index) = compiled.map_err(Unusable)?;
        Ok(Self { document: accepted, schemas, index })
    }

    /// Checks `value`.
    ///
    /// # Errors
    /// A text for a model: where the value does not match, and why. A value whose check takes too much work does not match.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        let depth = work::count(&self.document, value).map_err(|error| error.to_string())?;
        with_stack(depth, || {
            let Err(error) = self.schemas.validate(value, self.index) else { return Ok(()) };
            let mut errors = Vec::new();
            collect(&error, &mut errors);
            Err(errors.join("; "))
        })
    }
}

fn compile(document: &Value) -> Result<(Schemas, SchemaIndex), String> {
    let text = |error: CompileError| error.to_string();
    let mut compiler = Compiler::new();
    compiler.use_loader(Box::new(NoReferences));
    compiler.enable_format_assertions();
    compiler.add_resource(Schema::LOCATION, document.clone()).map_err(text)?;
    let mut schemas = Schemas::new();
    let index = compiler.compile(Schema::LOCATION, &mut schemas).map_err(text)?;
    Ok((schemas, index))
}

/// Collects the first leaves of the tree of errors. The nodes above them only report that a leaf failed.
fn collect(error: &ValidationError<'_, '_>, errors: &mut Vec<String>) {
    if errors.len() == Schema::MAX_ERRORS {
        return;
    }
    if !error.causes.is_empty() {
        error.causes.iter().for_each(|cause| collect(cause, errors));
        return;
    }
    let location = error.instance_location.to_string();
    let prefix = if location.is_empty() { location } else { format!("at {location}: ") };
    let problem = match &error.kind {
        ErrorKind::AdditionalProperties { got } => format!("unknown properties {}", quoted(got)),
        ErrorKind::Required { want } => format!("missing properties {}", quoted(want)),
        kind => kind.to_string(),
    };
    let mut text = prefix + &problem;
    text.truncate(text.floor_char_boundary(Schema::MAX_ERROR));
    if !errors.contains(&text) {
        errors.push(text);
    }
}

fn quoted(names: &[impl AsRef<str>]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    names.join(", ")
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Schema(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_error_states_the_location_and_the_problem() {
        let schema = Schema::new(&json!({
            "type": "object", "required": ["url"], "additionalProperties": false,
            "properties": {
                "url": {"type": "string", "format": "uri"},
                "max": {"type": "integer", "minimum": 1},
                "mode": {"enum": ["fast", "slow"]},
            },
        }))
        .unwrap();
        let error = |value| schema.check(&value).unwrap_err();
        assert_eq!(schema.check(&json!({"url": "https://a.test/", "max": 3, "mode": "slow"})), Ok(()));
        assert_eq!(error(json!({})), "missing properties `url`");
        assert_eq!(error(json!({"url": "https://a.test/", "x": 1})), "unknown properties `x`");
        assert_eq!(error(json!({"url": 7})), "at /url: want string, but got number");
        assert!(error(json!({"url": "no address"})).starts_with("at /url: 'no address' is not valid uri"));
        let both = error(json!({"url": "https://a.test/", "max": 0, "mode": "x"}));
        assert!(both.contains("at /max: ") && both.contains("'fast', 'slow'"), "{both}");
        assert_eq!(error(json!([])), "want object, but got array");
    }

    #[test]
    fn a_schema_reads_no_file_and_no_address() {
        for reference in ["file:///etc/hostname", "https://example.com/schema.json", "other.json"] {
            let error = Schema::new(&json!({"$ref": reference})).unwrap_err();
            assert!(error.to_string().contains("not a usable"), "{error}");
        }
        assert!(Schema::new(&json!({"$schema": "https://example.com/meta"})).is_err());
        let own = Schema::new(&json!({"$defs": {"n": {"type": "integer"}}, "$ref": "#/$defs/n"})).unwrap();
        assert!(own.check(&json!(1)).is_ok() && own.check(&json!("1")).is_err());
        let draft7 = json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "null"});
        assert!(Schema::new(&draft7).unwrap().check(&json!(null)).is_ok());
    }

    #[test]
    fn a_document_that_is_not_a_schema_is_refused() {
        for document in
            [json!({"type": "strnig"}), json!({"pattern": "("}), json!({"$ref": "#/none"}), json!(7)]
        {
            assert!(Schema::new(&document).is_err(), "{document}");
        }
    }

    #[test]
    fn a_check_that_would_take_for_ever_ends() {
        let branch = json!({"properties": {"a": {"$ref": "#"}}});
        let schema = Schema::new(&json!({"anyOf": [branch, branch], "required": ["b"]})).unwrap();
        let nested = |levels| (0..levels).fold(json!({}), |inner, _| json!({"a": inner}));
        assert_eq!(
            schema.check(&nested(1)),
            Err("missing properties `b`; at /a: missing properties `b`".into())
        );
        assert!(schema.check(&nested(100)).unwrap_err().contains("too much work"));
        let escapes = json!(r"\w".repeat(32_000));
        assert!(Schema::new(&json!({"format": "regex"})).unwrap().check(&escapes).is_err());
        assert!(Schema::new(&json!({"pattern": escapes})).is_err(), "nor does the compiler take so long");
    }

    #[test]
    fn a_check_at_the_limit_of_the_depth_has_enough_stack() {
        let schema = Schema::new(&json!({"items": {"allOf": [{"$ref": "#"}]}})).unwrap();
        let nested = (0..84).fold(json!([]), |inner, _| json!([inner]));
        assert_eq!(schema.check(&nested), Ok(()));
        let deep = (0..30).fold(json!({}), |inner, _| json!({"properties": {"a": inner}}));
        assert!(Schema::new(&deep).is_ok());
        let deep = (0..63).fold(json!({}), |inner, _| json!({"not": inner}));
        assert!(Schema::new(&deep).is_ok());
    }

    #[test]
    fn a_pattern_takes_linear_time() {
        let schema = Schema::new(&json!({"pattern": "^(a+)+$"})).unwrap();
        // A backtracking engine would need 2^50000 steps.
        assert!(schema.check(&json!("a".repeat(50_000) + "b")).is_err());
    }
}
