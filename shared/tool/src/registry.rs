//! The tools of a run, by name.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use sequent_model::ToolSpec;
use serde_json::Value;

use crate::{Error, Schema, Tool, schema};

/// Tools by name, with their schemas. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    /// In the order of names, so that equal sets give equal requests: providers cache by prefix.
    tools: BTreeMap<String, Arc<Entry>>,
}

#[derive(Debug)]
struct Entry {
    tool: Tool,
    /// Compiled at the first call where it is our own, at once where it is somebody else's.
    schema: OnceLock<Result<Schema, schema::Unusable>>,
}

/// A tool that cannot be registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The known model providers take `[a-zA-Z0-9_-]{1,64}`.
    #[error("`{0}` is no name for a tool")]
    Name(String),
    /// The name is taken.
    #[error("there are two tools `{0}`")]
    Twice(String),
    /// The schema of the arguments.
    #[error("the tool `{name}`: {why}")]
    Schema {
        /// The tool.
        name: String,
        /// What is wrong.
        why: schema::Unusable,
    },
}

impl Registry {
    /// A registry of `tools`.
    pub fn new(tools: impl IntoIterator<Item = Tool>) -> Result<Self, Invalid> {
        let mut registry = Self::default();
        tools.into_iter().try_for_each(|tool| registry.add(tool))?;
        Ok(registry)
    }

    /// Adds a tool whose schema may be anything.
    pub fn add(&mut self, tool: Tool) -> Result<(), Invalid> {
        match Schema::new(&tool.spec.parameters) {
            Ok(schema) => self.insert(tool, OnceLock::from(Ok(schema))),
            Err(why) => Err(Invalid::Schema { name: tool.spec.name, why }),
        }
    }

    /// Adds a tool of our own, whose schema is known to be one: it is compiled at its first call, because compiling all of
    /// them weighs in a cold start, and most invocations call none.
    pub fn add_built_in(&mut self, tool: Tool) -> Result<(), Invalid> {
        debug_assert_eq!(
            Schema::new(&tool.spec.parameters).err(),
            None,
            "the schema of `{}`",
            tool.spec.name
        );
        self.insert(tool, OnceLock::new())
    }

    fn insert(
        &mut self,
        tool: Tool,
        schema: OnceLock<Result<Schema, schema::Unusable>>,
    ) -> Result<(), Invalid> {
        let name = tool.spec.name.clone();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if !(1..=64).contains(&name.len()) || !name.chars().all(plain) {
            return Err(Invalid::Name(name));
        }
        if self.tools.contains_key(&name) {
            return Err(Invalid::Twice(name));
        }
        self.tools.insert(name, Arc::new(Entry { tool, schema }));
        Ok(())
    }

    /// What the model is told: all tools, or the allowed ones. A name in `allowed` that no tool has is passed over.
    #[must_use]
    pub fn specs(&self, allowed: Option<&[String]>) -> Vec<ToolSpec> {
        let tools = self.tools.values().map(|entry| &entry.tool.spec);
        tools.filter(|spec| allowed.is_none_or(|allowed| allowed.contains(&spec.name))).cloned().collect()
    }

    /// The tool with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Tool> {
        self.tools.get(name).map(|entry| &entry.tool)
    }

    /// The arguments of a call as the model wrote them, parsed and checked against the tool's schema.
    ///
    /// # Errors
    /// [`Error::Refused`] with a text that lets the model do better.
    pub fn check(&self, name: &str, arguments: &str) -> Result<Value, Error> {
        let Some(entry) = self.tools.get(name) else {
            return Err(Error::Refused(format!("There is no tool `{name}`.")));
        };
        // A model that calls without arguments may write nothing at all.
        let text = if arguments.trim().is_empty() { "{}" } else { arguments };
        let value: Value = serde_json::from_str(text).map_err(|error| {
            Error::Refused(format!("The arguments of `{name}` are not valid JSON: {error}."))
        })?;
        if !value.is_object() {
            return Err(Error::Refused(format!("The arguments of `{name}` must be a JSON object.")));
        }
        let schema = entry.schema.get_or_init(|| Schema::new(&entry.tool.spec.parameters));
        let schema =
            schema.as_ref().map_err(|why| Error::Refused(format!("`{name}` cannot be called: {why}.")))?;
        match schema.check(&value) {
            Ok(()) => Ok(value),
            Err(why) => {
                Err(Error::Refused(format!("The arguments of `{name}` do not fit its parameters: {why}.")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Guard, Kind};
    use serde_json::json;

    fn tool(name: &str, parameters: Value) -> Tool {
        Tool::new(name, "Does.", parameters, Kind::AsksPerson)
    }

    #[test]
    fn the_built_in_tools_fit_every_provider() {
        let mut registry = Registry::default();
        crate::built_in(&Guard::default())
            .into_iter()
            .try_for_each(|tool| registry.add_built_in(tool))
            .unwrap();
        assert!(registry.check("web_fetch", "{}").is_err(), "a schema compiled late holds");
        let names: Vec<_> = registry.specs(None).into_iter().map(|spec| spec.name).collect();
        assert_eq!(names, ["ask_user", "cite_source", "web_fetch"]);
        assert!(registry.get("ask_user").unwrap().asks());
        assert!(registry.get("web_fetch").unwrap().idempotent);
        for spec in registry.specs(None) {
            assert_eq!(spec.parameters["type"], "object", "{}", spec.name);
            assert_eq!(spec.parameters["additionalProperties"], false, "{}", spec.name);
        }
    }

    #[test]
    fn a_run_sees_what_it_is_allowed() {
        let registry = Registry::new([tool("b", json!({})), tool("a", json!({}))]).unwrap();
        let names = |allowed: Option<&[String]>| {
            registry.specs(allowed).into_iter().map(|spec| spec.name).collect::<Vec<_>>()
        };
        assert_eq!(names(None), ["a", "b"]);
        assert_eq!(names(Some(&["b".into(), "c".into()])), ["b"]);
        assert!(names(Some(&[])).is_empty());
    }

    #[test]
    fn arguments_are_parsed_and_checked() {
        let parameters = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
        let registry = Registry::new([tool("count", parameters)]).unwrap();
        let refused = |name, text| match registry.check(name, text) {
            Err(Error::Refused(why)) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(registry.check("count", r#"{"n": 3}"#).unwrap(), json!({"n": 3}));
        assert_eq!(registry.check("count", " ").unwrap(), json!({}));
        assert_eq!(refused("sum", "{}"), "There is no tool `sum`.");
        assert!(refused("count", r#"{"n": "#).contains("not valid JSON: EOF"));
        assert!(refused("count", "[]").contains("must be a JSON object"));
        assert!(refused("count", r#"{"n": "3"}"#).contains("at /n: want integer, but got string"));
        let deep = "[".repeat(100_000);
        assert!(refused("count", &deep).contains("recursion limit"));
    }

    #[test]
    fn only_usable_tools_are_taken() {
        assert!(matches!(Registry::new([tool("a b", json!({}))]), Err(Invalid::Name(_))));
        assert!(matches!(Registry::new([tool(&"a".repeat(65), json!({}))]), Err(Invalid::Name(_))));
        let twice = Registry::new([tool("a", json!({})), tool("a", json!({}))]);
        assert_eq!(twice.unwrap_err(), Invalid::Twice("a".into()));
        let broken = Registry::new([tool("a", json!({"type": "strnig"}))]).unwrap_err();
        assert!(matches!(broken, Invalid::Schema { name, .. } if name == "a"));
    }
}
