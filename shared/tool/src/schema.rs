//! JSON Schemas, compiled once, with failures worded for a model.
//!
//! A schema may come from a tenant's server or from the model itself: it cannot make us read a file or an address, and
//! its patterns run in linear time. What it can do is branch: a schema made for it costs time exponential in the depth of
//! the value, and only the invocation's own deadline ends that.

use std::fmt;

use boon::{Compiler, ErrorKind, SchemaIndex, Schemas, UrlLoader, ValidationError};
use serde_json::Value;

/// A compiled schema. Drafts 4 to 2020-12; without `$schema` the newest. Formats are checked.
pub struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
}

/// The document is no schema we can use; says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a usable JSON Schema: {0}")]
pub struct Unusable(String);

/// References lead nowhere. The crate's own loader would open `file:` addresses.
struct Nowhere;

impl UrlLoader for Nowhere {
    fn load(&self, _url: &str) -> Result<Value, Box<dyn std::error::Error>> {
        Err("references to other documents are not followed".into())
    }
}

impl Schema {
    /// A base for the schema's own references, under a name that no document outside can have.
    const LOCATION: &str = "https://schema.invalid/tool";
    /// A model needs a few hints to do better, not all of them.
    const MAX_COMPLAINTS: usize = 8;

    /// Compiles `document`.
    pub fn new(document: &Value) -> Result<Self, Unusable> {
        let unusable = |error: boon::CompileError| Unusable(error.to_string());
        let mut compiler = Compiler::new();
        compiler.use_loader(Box::new(Nowhere));
        compiler.enable_format_assertions();
        compiler.add_resource(Self::LOCATION, document.clone()).map_err(unusable)?;
        let mut schemas = Schemas::new();
        let index = compiler.compile(Self::LOCATION, &mut schemas).map_err(unusable)?;
        Ok(Self { schemas, index })
    }

    /// Whether `value` fits; if not, says where and why.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        let Err(error) = self.schemas.validate(value, self.index) else { return Ok(()) };
        let mut complaints = Vec::new();
        collect(&error, &mut complaints);
        complaints.dedup();
        complaints.truncate(Self::MAX_COMPLAINTS);
        Err(complaints.join("; "))
    }
}

/// The leaves of the tree of failures: the nodes above only say that something below failed.
fn collect(error: &ValidationError<'_, '_>, complaints: &mut Vec<String>) {
    if !error.causes.is_empty() {
        error.causes.iter().for_each(|cause| collect(cause, complaints));
        return;
    }
    let place = error.instance_location.to_string();
    let place = if place.is_empty() { String::new() } else { format!("at {place}: ") };
    let what = match &error.kind {
        ErrorKind::AdditionalProperties { got } => format!("unknown properties {}", quoted(got)),
        ErrorKind::Required { want } => format!("missing properties {}", quoted(want)),
        kind => kind.to_string(),
    };
    complaints.push(place + &what);
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
    fn a_complaint_says_where_and_what() {
        let schema = Schema::new(&json!({
            "type": "object", "required": ["url"], "additionalProperties": false,
            "properties": {
                "url": {"type": "string", "format": "uri"},
                "max": {"type": "integer", "minimum": 1},
                "mode": {"enum": ["fast", "slow"]},
            },
        }))
        .unwrap();
        let complaint = |value| schema.check(&value).unwrap_err();
        assert_eq!(schema.check(&json!({"url": "https://a.test/", "max": 3, "mode": "slow"})), Ok(()));
        assert_eq!(complaint(json!({})), "missing properties `url`");
        assert_eq!(complaint(json!({"url": "https://a.test/", "x": 1})), "unknown properties `x`");
        assert_eq!(complaint(json!({"url": 7})), "at /url: want string, but got number");
        assert!(
            complaint(json!({"url": "no address"})).starts_with("at /url: 'no address' is not valid uri")
        );
        let both = complaint(json!({"url": "https://a.test/", "max": 0, "mode": "x"}));
        assert!(both.contains("at /max: ") && both.contains("'fast', 'slow'"), "{both}");
        assert_eq!(complaint(json!([])), "want object, but got array");
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
    fn what_is_no_schema_is_refused() {
        for document in
            [json!({"type": "strnig"}), json!({"pattern": "("}), json!({"$ref": "#/none"}), json!(7)]
        {
            assert!(Schema::new(&document).is_err(), "{document}");
        }
        let circle = Schema::new(&json!({"$ref": "#"})).unwrap().check(&json!(1)).unwrap_err();
        assert!(circle.contains("reference cycle"), "{circle}");
    }

    #[test]
    fn a_pattern_takes_linear_time() {
        let schema = Schema::new(&json!({"pattern": "^(a+)+$"})).unwrap();
        // A backtracking engine needs 2^50000 steps to see that this does not match.
        assert!(schema.check(&json!("a".repeat(50_000) + "b")).is_err());
    }
}
