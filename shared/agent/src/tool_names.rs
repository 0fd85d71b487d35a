//! The names that the tools of a client must not have.

use sequent_core::{ApiError, Code, ErrorDetails};
use sequent_event::ClientTool;
use sequent_tool::{ClientTools, names};

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

/// Checks the names of a client's tools against those of the deployment.
///
/// # Errors
/// If another tool has one of the names.
pub fn accept_client_tools(tools: ClientTools) -> Result<Vec<ClientTool>, ToolNameTaken> {
    let taken = tools.names().find(|name| names::is_of_deployment(name)).map(str::to_owned);
    match taken {
        Some(taken) => Err(ToolNameTaken(taken)),
        None => Ok(tools.into()),
    }
}

#[cfg(test)]
mod tests {
    use sequent_deliverables::tool_name;
    use sequent_documents::DocumentKind;

    use super::*;
    use crate::{planning, transcript::DELEGATION};

    #[test]
    fn the_names_of_all_tools_of_the_deployment_are_taken() {
        let documents = DocumentKind::ALL.into_iter().map(tool_name);
        for name in
            documents.chain(sequent_memory::TOOL_NAMES).chain([planning::NAME, DELEGATION, "save_artifact"])
        {
            assert!(names::is_of_deployment(name), "{name}");
        }
    }
}
