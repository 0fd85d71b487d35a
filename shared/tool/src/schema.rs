//! JSON Schemas: derived from types, compiled once, with errors worded for a model.
//!
//! A schema may come from a tenant's server or from the model itself. It cannot make the process read a file
//! or an address, and its patterns run in linear time. But a schema that branches on purpose takes time
//! exponential in the depth of the value, and only the invocation's deadline stops that.

use std::fmt;

use boon::{Compiler, ErrorKind, SchemaIndex, Schemas, UrlLoader, ValidationError};
use schemars::{
    JsonSchema,
    generate::SchemaSettings,
    transform::{RecursiveTransform, Transform},
};
use serde_json::Value;

/// A compiled schema of draft 4 to 2020-12, without `$schema` the newest. Formats are checked.
pub struct Schema {
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

    /// Compiles `document`.
    ///
    /// # Errors
    /// If it is not a schema, or refers to other documents.
    pub fn new(document: &Value) -> Result<Self, Unusable> {
        let unusable = |error: boon::CompileError| Unusable(error.to_string());
        let mut compiler = Compiler::new();
        compiler.use_loader(Box::new(NoReferences));
        compiler.enable_format_assertions();
        compiler.add_resource(Self::LOCATION, document.clone()).map_err(unusable)?;
        let mut schemas = Schemas::new();
        let index = compiler.compile(Self::LOCATION, &mut schemas).map_err(unusable)?;
        Ok(Self { schemas, index })
    }

    /// Checks `value`.
    ///
    /// # Errors
    /// A text for a model: where the value does not match, and why.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        let Err(error) = self.schemas.validate(value, self.index) else { return Ok(()) };
        let mut errors = Vec::new();
        collect(&error, &mut errors);
        errors.dedup();
        errors.truncate(Self::MAX_ERRORS);
        Err(errors.join("; "))
    }
}

/// Collects the leaves of the tree of errors. The nodes above them only report that a leaf failed.
fn collect(error: &ValidationError<'_, '_>, errors: &mut Vec<String>) {
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
    errors.push(prefix + &problem);
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
        let cycle = Schema::new(&json!({"$ref": "#"})).unwrap().check(&json!(1)).unwrap_err();
        assert!(cycle.contains("reference cycle"), "{cycle}");
    }

    #[test]
    fn a_pattern_takes_linear_time() {
        let schema = Schema::new(&json!({"pattern": "^(a+)+$"})).unwrap();
        // A backtracking engine would need 2^50000 steps.
        assert!(schema.check(&json!("a".repeat(50_000) + "b")).is_err());
    }
}
