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
