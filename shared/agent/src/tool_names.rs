//! The names that the tools of a client must not have.

use sequent_core::{ApiError, Code, ErrorDetails};
use sequent_deliverables::tool_name;
use sequent_documents::DocumentKind;
use sequent_event::ClientTool;
use sequent_tool::{ClientTools, Registry, web_fetch};

use crate::{planning, transcript::DELEGATION};

/// The tools that every deployment has, besides those with a constant for their name.
const BUILT_IN: [&str; 3] = ["ask_user", "cite_source", "save_artifact"];

/// A tool of the client has the name of another tool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the deployment has a tool with the name `{0}`")]
pub struct ToolNameTaken(String);

impl ApiError for ToolNameTaken {
    fn details(&self) -> ErrorDetails {
        let detail = format!(
            "The deployment has a tool with the name `{}`. Give the client's tool another one.",
            self.0
        );
        let rule = format!("must have no tool with the name `{}`", self.0);
        ErrorDetails::new(Code::ValidationFailed, detail).at("/client_tools", rule)
    }
}

/// Checks the names of a client's tools against those of the deployment, and of `deployed`, the tools that this process knows.
///
/// # Errors
/// If another tool has one of the names.
pub fn accept_client_tools(
    tools: ClientTools,
    deployed: Option<&Registry>,
) -> Result<Vec<ClientTool>, ToolNameTaken> {
    let has = |name: &str| deployed.is_some_and(|deployed| deployed.get(name).is_some());
    let taken = tools.names().find(|name| is_reserved(name) || has(name)).map(str::to_owned);
    match taken {
        Some(taken) => Err(ToolNameTaken(taken)),
        None => Ok(tools.into()),
    }
}

fn is_reserved(name: &str) -> bool {
    BUILT_IN.contains(&name)
        || [web_fetch::NAME, planning::NAME, DELEGATION].contains(&name)
        || DocumentKind::ALL.into_iter().any(|kind| tool_name(kind) == name)
}

#[cfg(test)]
mod tests {
    use sequent_tool::Guard;

    use super::*;

    #[test]
    fn the_names_of_all_tools_of_the_deployment_are_taken() {
        for tool in sequent_tool::built_in(&Guard::default()) {
            assert!(is_reserved(&tool.spec.name), "{}", tool.spec.name);
        }
        assert!(is_reserved("write_plan") && is_reserved("write_report") && !is_reserved("get_location"));
    }
}
