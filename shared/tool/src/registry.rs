//! The registry: the tools of a run, by name.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use sequent_model::{NotOffered, ToolSpec};
use serde_json::Value;

use crate::{
    Error, Schema, Tool, ToolPolicy, ToolRule,
    names::{is_of_deployment, is_tool_name},
    schema,
};

/// Tools by name, with their compiled schemas. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    /// Sorted by name, so that equal sets of tools give equal requests: providers cache by prefix.
    tools: BTreeMap<String, Arc<RegisteredTool>>,
}

#[derive(Debug)]
struct RegisteredTool {
    tool: Tool,
    /// Compiled at the first call of a built-in tool, and at once for any other.
    schema: Arc<OnceLock<Result<Schema, schema::Unusable>>>,
}

/// The reason why a tool cannot be registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The name is not `[a-zA-Z0-9_-]{1,64}`, which is what the known model providers accept.
    #[error("the tool name `{0}` is not valid: use 1 to 64 letters, digits, `_` or `-`")]
    Name(String),
    /// Another tool has this name.
    #[error("there are two tools with the name `{0}`")]
    Twice(String),
    /// The name of a tool of the deployment is not in the list of these names.
    #[error("the tool name `{0}` is not in the list in shared/tool/src/names.rs: add it there")]
    Unlisted(String),
    /// The schema of the arguments cannot be used.
    #[error("the tool `{name}` has a bad schema: {why}")]
    Schema {
        /// The name of the tool.
        name: String,
        /// The fault of the schema.
        why: schema::Unusable,
    },
    /// No model could be offered the tool.
    #[error("the tool `{name}` cannot be offered to models: {why}")]
    NotOffered {
        /// The name of the tool.
        name: String,
        /// The fault of the schema.
        why: NotOffered,
    },
}

impl Registry {
    /// Creates a registry of `tools`.
    ///
    /// # Errors
    /// As [`Registry::add`].
    pub fn new(tools: impl IntoIterator<Item = Tool>) -> Result<Self, Invalid> {
        let mut registry = Self::default();
        tools.into_iter().try_for_each(|tool| registry.add(tool))?;
        Ok(registry)
    }

    /// Adds a tool with an untrusted schema.
    ///
    /// # Errors
    /// If the name is not valid or not unique, or the schema is not usable or cannot be offered to models.
    pub fn add(&mut self, tool: Tool) -> Result<(), Invalid> {
        if let Err(why) = tool.spec.offered_parameters() {
            return Err(Invalid::NotOffered { name: tool.spec.name, why });
        }
        match Schema::new(&tool.spec.parameters) {
            Ok(schema) => self.insert(tool, OnceLock::from(Ok(schema))),
            Err(why) => Err(Invalid::Schema { name: tool.spec.name, why }),
        }
    }

    /// As [`Registry::add`], in place of another tool with the name.
    ///
    /// # Errors
    /// If the name is not valid, or the schema is not usable.
    pub fn replace(&mut self, tool: Tool) -> Result<(), Invalid> {
        self.tools.remove(&tool.spec.name);
        self.add(tool)
    }

    /// Adds a built-in tool, whose schema is known to be valid. The schema is compiled at the first call:
    /// compiling all schemas would slow every cold start, and most invocations call no tool.
    ///
    /// # Errors
    /// If the name is not one of [`names`](crate::names), which clients' and tenants' tools are checked against, or not unique.
    pub fn add_built_in(&mut self, tool: Tool) -> Result<(), Invalid> {
        if !is_of_deployment(&tool.spec.name) {
            return Err(Invalid::Unlisted(tool.spec.name));
        }
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
        if !is_tool_name(&name) {
            return Err(Invalid::Name(name));
        }
        if self.tools.contains_key(&name) {
            return Err(Invalid::Twice(name));
        }
        self.tools.insert(name, Arc::new(RegisteredTool { tool, schema: Arc::new(schema) }));
        Ok(())
    }

    /// The tools as the model sees them: all, or the allowed ones. Unknown names in `allowed` are ignored.
    #[must_use]
    pub fn specs(&self, allowed: Option<&[String]>) -> Vec<ToolSpec> {
        let tools = self.tools.values().map(|entry| &entry.tool.spec);
        tools.filter(|spec| allowed.is_none_or(|allowed| allowed.contains(&spec.name))).cloned().collect()
    }

    /// Returns the tools, of which a person must approve each call of the `named` ones.
    #[must_use]
    pub fn with_approval(&self, named: &[&str]) -> Self {
        let mut registry = self.clone();
        for name in named {
            registry.change(name, |tool| tool.needs_approval = true);
        }
        registry
    }

    /// Applies a rule of the tenant to the tool that it names, if there is one.
    pub fn restrict(&mut self, rule: &ToolRule) {
        let Some(tool) = self.get(&rule.tool) else { return };
        let own = if tool.needs_approval { ToolPolicy::Ask } else { ToolPolicy::Always };
        let policy = ToolPolicy::strictest([own].into_iter().chain(rule.policy));
        if policy == ToolPolicy::Never {
            self.tools.remove(&rule.tool);
        } else {
            self.change(&rule.tool, |tool| {
                tool.needs_approval = policy == ToolPolicy::Ask;
                tool.limits = rule.limits();
            });
        }
    }

    /// Changes how a tool is treated. Its name and its parameters stay.
    fn change(&mut self, name: &str, change: impl FnOnce(&mut Tool)) {
        if let Some(entry) = self.tools.get_mut(name) {
            let mut tool = entry.tool.clone();
            change(&mut tool);
            *entry = Arc::new(RegisteredTool { tool, schema: Arc::clone(&entry.schema) });
        }
    }

    /// Returns the tool with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Tool> {
        self.tools.get(name).map(|entry| &entry.tool)
    }

    /// Iterates over the tools, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Tool> {
        self.tools.values().map(|entry| &entry.tool)
    }

    /// Parses the arguments of a call and checks them against the tool's schema.
    ///
    /// # Errors
    /// [`Error::Refused`] with a text that helps the model to correct the call.
    pub fn check(&self, name: &str, arguments: &str) -> Result<Value, Error> {
        let Some(entry) = self.tools.get(name) else {
            return Err(Error::Refused(format!("There is no tool `{name}`.")));
        };
        // Some models send an empty text for a call without arguments.
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
                Err(Error::Refused(format!("The arguments of `{name}` do not match its parameters: {why}.")))
            }
        }
    }
}

#[cfg(test)]
mod tests;
