//! The definitions of a server's tools, each read for itself: one that is malformed says nothing about the others.

use rmcp::model::JsonObject;
use serde::Serialize;
use serde_json::{Value, json};

use crate::pages::Listed;

/// Bytes of a tool's name at most. A row contains the names of a server's tools.
const MAX_NAME: usize = 256;

/// A tool as its server defines it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ToolDefinition {
    pub(crate) name: String,
    pub(crate) title: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) input_schema: JsonObject,
    pub(crate) annotations: Option<JsonObject>,
    /// Members that have another type than they should. They are ignored.
    pub(crate) ignored: Vec<&'static str>,
    pub(crate) action: Action,
}

/// The request that a call makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// `tools/call`, with the name of the tool.
    CallTool,
    /// `resources/read`, or a list of the resources.
    ReadResource,
    /// `prompts/get`, or a list of the prompts.
    GetPrompt,
}

/// An entry in a server's list of tools that is not the definition of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MalformedTool {
    /// The place in the server's list, from 0.
    pub position: usize,
    /// The name that the server uses, if there is one.
    pub name: Option<String>,
    /// The reason why it is left out.
    #[cfg_attr(feature = "openapi", schema(example = "`inputSchema` is null"))]
    pub problem: String,
}

/// The tools that a server has listed.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Definitions {
    /// No two have one name.
    pub(crate) tools: Vec<ToolDefinition>,
    pub(crate) malformed: Vec<MalformedTool>,
    /// The reason why there may be more tools.
    pub(crate) incomplete: Option<String>,
}

impl Definitions {
    /// Reads the entries of a list. Of several tools with one name, the first counts.
    pub(crate) fn of(listed: Listed) -> Self {
        let mut all = Self { incomplete: listed.incomplete, ..Self::default() };
        for (position, entry) in listed.entries.iter().enumerate() {
            let problem = match ToolDefinition::read(entry) {
                Ok(tool) if all.has(&tool.name) => "another tool before it has this name".to_owned(),
                Ok(tool) => {
                    all.tools.push(tool);
                    continue;
                }
                Err(problem) => problem,
            };
            all.malformed.push(MalformedTool { position, name: name_of(entry), problem });
        }
        all
    }

    fn has(&self, name: &str) -> bool {
        self.tools.iter().any(|tool| tool.name == name)
    }

    /// Adds a tool of ours, unless the server has one with its name.
    pub(crate) fn add(&mut self, tool: ToolDefinition) {
        if !self.has(&tool.name) {
            self.tools.push(tool);
        }
    }
}

impl ToolDefinition {
    fn read(entry: &Value) -> Result<Self, String> {
        let entry = entry.as_object().ok_or_else(|| format!("it is {}, not an object", kind(Some(entry))))?;
        let name = match entry.get("name") {
            Some(Value::String(name)) if name.is_empty() => return Err("`name` is empty".to_owned()),
            Some(Value::String(name)) if name.len() > MAX_NAME => {
                return Err(format!("`name` has more than {MAX_NAME} bytes"));
            }
            Some(Value::String(name)) => name.clone(),
            other => return Err(format!("`name` is {}", kind(other))),
        };
        let input_schema = match entry.get("inputSchema") {
            Some(Value::Object(schema)) => schema.clone(),
            other => return Err(format!("`inputSchema` is {}", kind(other))),
        };
        let mut ignored = Vec::new();
        let mut optional = |name: &'static str, is_right: fn(&Value) -> bool| {
            let value = entry.get(name).filter(|value| !value.is_null())?;
            if !is_right(value) {
                ignored.push(name);
                return None;
            }
            Some(value.clone())
        };
        let title = optional("title", Value::is_string).and_then(|value| value.as_str().map(str::to_owned));
        let description =
            optional("description", Value::is_string).and_then(|value| value.as_str().map(str::to_owned));
        let annotations =
            optional("annotations", Value::is_object).and_then(|value| value.as_object().cloned());
        Ok(Self { name, title, description, input_schema, annotations, ignored, action: Action::CallTool })
    }

    /// Everything of the definition that a model, a person or a policy reads. That of a tool of ours is its name, so that a
    /// better description does not disable the tool.
    pub(crate) fn pinned(&self) -> Value {
        match self.action {
            Action::CallTool => json!({
                "name": self.name,
                "title": self.title,
                "description": self.description,
                "input_schema": self.input_schema,
                "annotations": self.annotations,
            }),
            Action::ReadResource | Action::GetPrompt => json!({"built_in": self.name}),
        }
    }

    /// Returns a hint about the tool. One that is not a truth value is not given.
    pub(crate) fn hint(&self, name: &str) -> Option<bool> {
        self.annotations.as_ref()?.get(name)?.as_bool()
    }
}

/// Returns the beginning of the name, if there is one.
fn name_of(entry: &Value) -> Option<String> {
    let mut name = entry.get("name")?.as_str()?.to_owned();
    name.truncate(name.floor_char_boundary(MAX_NAME));
    Some(name)
}

fn kind(value: Option<&Value>) -> &'static str {
    match value {
        None => "missing",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "a truth value",
        Some(Value::Number(_)) => "a number",
        Some(Value::String(_)) => "a text",
        Some(Value::Array(_)) => "a list",
        Some(Value::Object(_)) => "an object",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn tool(definition: &Value) -> ToolDefinition {
        ToolDefinition::read(definition).unwrap()
    }

    #[test]
    fn one_malformed_tool_hides_none_of_the_others() {
        let good = |name: &str| json!({"name": name, "inputSchema": {"type": "object"}});
        let cases = [
            (json!({"name": "a", "inputSchema": null}), "`inputSchema` is null"),
            (json!({"name": "b"}), "`inputSchema` is missing"),
            (json!({"name": "c", "inputSchema": []}), "`inputSchema` is a list"),
            (json!({"name": "d", "inputSchema": "{}"}), "`inputSchema` is a text"),
            (json!({"inputSchema": {}}), "`name` is missing"),
            (json!({"name": 7, "inputSchema": {}}), "`name` is a number"),
            (json!({"name": "", "inputSchema": {}}), "`name` is empty"),
            (json!({"name": "x".repeat(257), "inputSchema": {}}), "`name` has more than 256 bytes"),
            (json!({"name": "one", "inputSchema": {}}), "another tool before it has this name"),
            (json!(null), "it is null, not an object"),
            (json!("tool"), "it is a text, not an object"),
        ];
        for (malformed, problem) in cases {
            let entries = vec![good("one"), good("two"), malformed.clone(), good("three")];
            let read = Definitions::of(Listed { entries, ..Listed::default() });
            let names: Vec<_> = read.tools.iter().map(|tool| tool.name.as_str()).collect();
            assert_eq!(names, ["one", "two", "three"], "{malformed}");
            let [left_out] = &read.malformed[..] else { panic!("{malformed}") };
            assert_eq!((left_out.position, left_out.problem.as_str()), (2, problem));
            assert_eq!(left_out.name.is_some(), malformed["name"].is_string(), "{malformed}");
        }
    }

    #[test]
    fn optional_members_of_another_type_and_unknown_ones_are_ignored() {
        let odd = json!({"name": "a", "inputSchema": {}, "title": {}, "description": 7, "annotations": ["x"], "icons": 9,
            "outputSchema": null, "execution": "?", "_meta": 1});
        let tool = super::tests::tool(&odd);
        assert_eq!(tool.ignored, ["title", "description", "annotations"]);
        assert_eq!((tool.title, tool.description, tool.annotations), (None, None, None));
        let hinted = json!({"name": "a", "inputSchema": {}, "annotations": {"readOnlyHint": "yes", "destructiveHint": false}});
        let tool = super::tests::tool(&hinted);
        assert_eq!((tool.hint("readOnlyHint"), tool.hint("destructiveHint")), (None, Some(false)));
        assert!(tool.ignored.is_empty());
    }
}
