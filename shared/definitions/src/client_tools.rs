//! The tools of the client in an agent's definition, beside those of a request.

use sequent_event::ClientTool;
use sequent_tool::ClientTools;

use crate::{AgentDefinition, Error};

impl AgentDefinition {
    /// Returns the tools of the client that a run of the agent has: those of the agent, and those that the request declares.
    ///
    /// # Errors
    /// [`Error::ClientToolTaken`], or [`Error::TooManyClientTools`] if all together are more than a run may have.
    pub fn with_client_tools(&self, requested: Vec<ClientTool>) -> Result<Vec<ClientTool>, Error> {
        let mut tools: Vec<ClientTool> = self.client_tools.clone().into();
        if tools.is_empty() && self.tools.is_none() {
            return Ok(requested);
        }
        for tool in requested {
            let is_taken = self.names_tool(&tool.name) || tools.iter().any(|own| own.name == tool.name);
            if is_taken {
                return Err(Error::ClientToolTaken(tool.name));
            }
            tools.push(tool);
        }
        let bytes = serde_json::to_string(&tools).map_err(Error::Malformed)?.len();
        let fits = tools.len() <= ClientTools::MAX && bytes <= ClientTools::MAX_BYTES;
        if fits { Ok(tools) } else { Err(Error::TooManyClientTools) }
    }

    /// Returns `true` if the agent names a tool that is not the client's with this name.
    pub(crate) fn names_tool(&self, name: &str) -> bool {
        self.tools.iter().flatten().any(|tool| tool.name == name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn declared(names: &[&str]) -> Value {
        let tool =
            |name: &&str| json!({"name": name, "description": "Does.", "input_schema": {"type": "object"}});
        names.iter().map(tool).collect()
    }

    fn agent(client_tools: &[&str]) -> AgentDefinition {
        let definition = json!({"client_tools": declared(client_tools), "tools": [{"name": "find_order"}]});
        serde_json::from_value(definition).unwrap()
    }

    fn requested(names: &[&str]) -> Vec<ClientTool> {
        serde_json::from_value::<ClientTools>(declared(names)).unwrap().into()
    }

    #[test]
    fn a_run_has_the_tools_of_its_agent_and_of_its_request_which_have_different_names() {
        let names = |tools: Vec<ClientTool>| tools.into_iter().map(|tool| tool.name).collect::<Vec<_>>();
        let both = agent(&["locate"]).with_client_tools(requested(&["measure"])).unwrap();
        assert_eq!(names(both), ["locate", "measure"]);
        assert_eq!(names(agent(&["locate"]).with_client_tools(Vec::new()).unwrap()), ["locate"]);
        for taken in ["locate", "find_order"] {
            let refused = agent(&["locate"]).with_client_tools(requested(&[taken])).unwrap_err();
            assert!(matches!(&refused, Error::ClientToolTaken(name) if name == taken), "{refused:?}");
        }
        let many: Vec<String> = (0..ClientTools::MAX).map(|n| format!("tool{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let refused = agent(&["locate"]).with_client_tools(requested(&many)).unwrap_err();
        assert!(matches!(refused, Error::TooManyClientTools));
    }

    #[test]
    fn a_definition_whose_client_has_the_name_of_another_tool_is_refused() {
        for (name, whose) in [("find_order", "one of `tools`"), ("web_fetch", "a tool of the deployment")] {
            let Err(Error::Invalid(fields)) = crate::check::check(&agent(&["locate", name])) else {
                panic!("{name}")
            };
            assert_eq!(fields.len(), 1);
            assert_eq!(fields[0].pointer, "/definition/client_tools");
            assert!(fields[0].detail.contains(name) && fields[0].detail.contains(whose), "{fields:?}");
        }
        assert!(crate::check::check(&agent(&["locate"])).is_ok());
    }
}
