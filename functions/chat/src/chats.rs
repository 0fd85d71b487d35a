//! The chat ids of the AI SDK: any text that a client chose, or the id of a project.

use sequent_conversation::{Destination, named_project};
use sequent_core::{Principal, ProjectId};
use sequent_http::Problem;

use crate::App;

/// Longest chat id, in bytes.
const LONGEST: usize = 200;

/// Finds the project of a chat id. Returns `None` if the client's name is new.
pub(crate) async fn find(app: &App, caller: &Principal, id: &str) -> Result<Option<ProjectId>, Problem> {
    check(id)?;
    if let Ok(project) = id.parse() {
        return Ok(Some(project));
    }
    Ok(named_project(app.engine.store(), caller.tenant, id).await?)
}

/// Finds the destination of a message for the chat: its project, or a new project to which the name is mapped.
pub(crate) async fn destination(app: &App, caller: &Principal, id: &str) -> Result<Destination, Problem> {
    if let Some(project) = find(app, caller, id).await? {
        return Ok(Destination::Project(project));
    }
    Ok(Destination::NewProject { id: ProjectId::new(), name: Some(id.to_owned()) })
}

fn check(id: &str) -> Result<(), Problem> {
    if id.is_empty() || id.len() > LONGEST || id.chars().any(char::is_control) {
        let problem = Problem::invalid("The chat id is not allowed.");
        return Err(problem.at("/id", "must have 1 to 200 bytes and no control characters"));
    }
    Ok(())
}
