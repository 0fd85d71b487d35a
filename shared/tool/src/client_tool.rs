//! Tools that the client of a run carries out, as requests and definitions declare them.

use std::collections::BTreeSet;

use sequent_event::ClientTool;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{OutputSchema, Schema, Tool, ToolKind, names};

/// A tool that the client of a run carries out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ClientToolDeclaration {
    /// 1 to 64 letters, digits, `_` or `-`, without `__`, and not the name of a tool of the deployment.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[a-zA-Z0-9_-]{1,64}$", example = "get_location"))]
    name: String,
    /// The description for the model: 1 to 2,000 characters.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 2000))]
    description: String,
    /// The JSON Schema of the arguments, with the type `object` and without `anyOf`, `oneOf`, `allOf` or `not` at its top.
    #[cfg_attr(feature = "openapi", schema(value_type = Object, example = json!({"type": "object"})))]
    input_schema: Value,
    /// The JSON Schema of the result, of at most 16,000 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    output_schema: Option<OutputSchema>,
    /// The time after which the run continues without a result, at most that of a question. That of a question if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    expires_in_seconds: Option<u32>,
}

/// The tools of a client: valid, with different names, and small enough for the log of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Vec<ClientToolDeclaration>", into = "Vec<ClientToolDeclaration>")]
pub struct ClientTools(Vec<ClientToolDeclaration>);

impl ClientTools {
    /// The number of tools at most.
    pub const MAX: usize = 32;
    /// Bytes of all declarations in JSON at most. They are stored with the run, and sent with each of its model calls.
    pub const MAX_BYTES: usize = 40_000;
    /// Characters of a description at most.
    pub const MAX_DESCRIPTION: usize = 2_000;

    /// Returns `true` if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of the tools.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|tool| tool.name.as_str())
    }
}

impl TryFrom<Vec<ClientToolDeclaration>> for ClientTools {
    type Error = String;

    fn try_from(tools: Vec<ClientToolDeclaration>) -> Result<Self, String> {
        if tools.len() > Self::MAX {
            return Err(format!("must have at most {} tools", Self::MAX));
        }
        if serde_json::to_vec(&tools).map_or(usize::MAX, |json| json.len()) > Self::MAX_BYTES {
            return Err(format!("must have at most {} bytes", Self::MAX_BYTES));
        }
        let mut names: BTreeSet<&str> = BTreeSet::new();
        for tool in &tools {
            tool.check().map_err(|problem| format!("has a tool `{}` whose {problem}", tool.name))?;
            if !names.insert(&tool.name) {
                return Err(format!("has two tools with the name `{}`", tool.name));
            }
        }
        Ok(Self(tools))
    }
}

impl From<ClientTools> for Vec<ClientToolDeclaration> {
    fn from(tools: ClientTools) -> Self {
        tools.0
    }
}

impl From<ClientTools> for Vec<ClientTool> {
    fn from(tools: ClientTools) -> Self {
        tools.0.into_iter().map(ClientTool::from).collect()
    }
}

impl ClientToolDeclaration {
    fn check(&self) -> Result<(), String> {
        if !names::is_own_name(&self.name) {
            return Err("name must be 1 to 64 letters, digits, `_` or `-`, without `__`".to_owned());
        }
        if !(1..=ClientTools::MAX_DESCRIPTION).contains(&self.description.chars().count()) {
            return Err(format!("description must have 1 to {} characters", ClientTools::MAX_DESCRIPTION));
        }
        // Providers refuse a request with any other schema.
        let combines =
            ["anyOf", "oneOf", "allOf", "not"].iter().any(|name| self.input_schema.get(name).is_some());
        if self.input_schema["type"] != "object" || combines {
            return Err(
                "input_schema must have the type `object`, and no `anyOf`, `oneOf`, `allOf` or `not` at its top"
                    .to_owned(),
            );
        }
        if self.expires_in_seconds == Some(0) {
            return Err("expires_in_seconds must be at least 1".to_owned());
        }
        let compiled = Schema::new(&self.input_schema);
        compiled.map(drop).map_err(|error| format!("input_schema is {error}"))
    }
}

impl From<ClientToolDeclaration> for ClientTool {
    fn from(declared: ClientToolDeclaration) -> Self {
        Self {
            name: declared.name,
            description: declared.description,
            input_schema: declared.input_schema,
            output_schema: declared.output_schema.map(Into::into),
            expires_in_seconds: declared.expires_in_seconds,
        }
    }
}

/// Returns the tool as the agent knows it. A call has no effect here, so it may be made again.
#[must_use]
pub fn tool(declared: &ClientTool) -> Tool {
    let ClientTool { name, description, input_schema, .. } = declared;
    let tool = Tool::new(name, description, input_schema.clone(), ToolKind::Client);
    Tool { idempotent: true, ..tool }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn declared(tools: Value) -> Result<ClientTools, String> {
        serde_json::from_value(tools).map_err(|error| error.to_string())
    }

    fn plain(name: &str) -> Value {
        json!({"name": name, "description": "Locates.", "input_schema": {"type": "object"}})
    }

    #[test]
    fn declarations_are_stored_as_they_were_sent() {
        let sent = json!([{
            "name": "get_location", "description": "Locates.", "input_schema": {"type": "object"},
            "output_schema": {"type": "string"}, "expires_in_seconds": 60
        }]);
        let tools = declared(sent.clone()).unwrap();
        assert_eq!(serde_json::to_value(&tools).unwrap(), sent);
        let [stored] = <Vec<ClientTool>>::from(tools).try_into().unwrap();
        assert_eq!(
            (stored.expires_in_seconds, stored.output_schema),
            (Some(60), Some(json!({"type": "string"})))
        );
    }

    #[test]
    fn declarations_that_no_model_or_log_can_take_are_refused() {
        let with = |name: &str, value: Value| {
            let mut tool = plain("a");
            tool[name] = value;
            json!([tool])
        };
        let many: Vec<Value> = (0..=ClientTools::MAX).map(|n| plain(&format!("t{n}"))).collect();
        let large: Vec<Value> = (0..30)
            .map(|n| {
                with("description", json!("x".repeat(1_990)))[0]
                    .clone()
                    .as_object()
                    .map(|tool| {
                        let mut tool = tool.clone();
                        tool.insert("name".into(), json!(format!("t{n}")));
                        Value::Object(tool)
                    })
                    .unwrap()
            })
            .collect();
        for (tools, problem) in [
            (json!([plain("a"), plain("a")]), "two tools"),
            (json!([plain("files__read")]), "without `__`"),
            (json!([plain("")]), "name must be"),
            (with("description", json!("")), "description must have"),
            (with("description", json!("x".repeat(2_001))), "description must have"),
            (with("input_schema", json!({"type": "string"})), "type `object`"),
            (with("input_schema", json!({"type": "object", "anyOf": [{}]})), "type `object`"),
            (with("input_schema", json!(null)), "type `object`"),
            (with("input_schema", json!({"type": "object", "properties": 1})), "not a usable JSON Schema"),
            (with("output_schema", json!({"type": "nothing"})), "not a usable JSON Schema"),
            (with("expires_in_seconds", json!(0)), "at least 1"),
            (with("execute", json!("code")), "unknown field"),
            (json!(many), "at most 32 tools"),
            (json!(large), "at most 40000 bytes"),
        ] {
            let refused = declared(tools.clone()).unwrap_err();
            assert!(refused.contains(problem), "{tools}: {refused}");
        }
    }
}
