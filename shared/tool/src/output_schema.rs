//! The schema of an answer, as a caller of the API gives it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Schema;

/// A JSON Schema that answers can be checked against.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct OutputSchema(Value);

impl OutputSchema {
    /// Bytes of a schema at most. It is stored with the run, and sent with each of its model calls.
    pub const MAX_BYTES: usize = 16_000;
}

impl TryFrom<Value> for OutputSchema {
    type Error = String;

    fn try_from(document: Value) -> Result<Self, String> {
        if !document.is_object() || document.to_string().len() > Self::MAX_BYTES {
            return Err(format!("must be a JSON Schema of at most {} bytes", Self::MAX_BYTES));
        }
        Schema::new(&document).map_err(|error| format!("is {error}"))?;
        Ok(Self(document))
    }
}

impl From<OutputSchema> for Value {
    fn from(schema: OutputSchema) -> Self {
        schema.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Bytes that make checks take 2^60 steps, if they were done.
    fn bomb() -> Value {
        let twice = |level: usize| {
            let next = json!({"$ref": format!("#/$defs/a{}", level + 1)});
            (format!("a{level}"), json!({"allOf": [next, next]}))
        };
        let definitions: serde_json::Map<String, Value> =
            (0..60).map(twice).chain([("a60".into(), json!({}))]).collect();
        json!({"$defs": definitions, "$ref": "#/$defs/a0"})
    }

    #[test]
    fn a_schema_whose_checks_would_take_for_ever_is_refused() {
        let refused = OutputSchema::try_from(bomb()).unwrap_err();
        assert!(refused.contains("more than 1000 subschemas for one value"), "{refused}");
    }

    #[test]
    fn only_schemas_that_answers_can_be_checked_against_are_taken() {
        assert!(OutputSchema::try_from(json!({"type": "object"})).is_ok());
        let long = json!({"description": "x".repeat(OutputSchema::MAX_BYTES)});
        for document in
            [json!(true), json!([]), json!({"type": "text"}), json!({"$ref": "https://a.example/"}), long]
        {
            assert!(OutputSchema::try_from(document.clone()).is_err(), "{document}");
        }
    }
}
