//! The chat ids of the AI SDK: any text that a client chose, or the id of a project.

use sequent_conversation::Destination;
use sequent_core::{Principal, ProjectId};
use sequent_http::Problem;
use sequent_tables::{Row, key};
use serde::{Deserialize, Serialize};

use crate::App;

/// Longest chat id, in bytes.
const LONGEST: usize = 200;

/// The row that maps a client's name of a chat to its project.
#[derive(Debug, Serialize, Deserialize)]
struct ChatName {
    project_id: ProjectId,
}

/// Finds the project of a chat id. Returns `None` if the client's name is new.
pub(crate) async fn find(app: &App, caller: &Principal, id: &str) -> Result<Option<ProjectId>, Problem> {
    check(id)?;
    if let Ok(project) = id.parse() {
        return Ok(Some(project));
    }
    let named: Option<ChatName> = app.engine.store().get(&key::chat_name(caller.tenant, id)).await?;
    Ok(named.map(|name| name.project_id))
}

/// Finds the destination of a message for the chat: its project, or a new project to which the name is mapped.
pub(crate) async fn destination(app: &App, caller: &Principal, id: &str) -> Result<Destination, Problem> {
    if let Some(project) = find(app, caller, id).await? {
        return Ok(Destination::Project(project));
    }
    let project_id = ProjectId::new();
    let name = Row::new(&key::chat_name(caller.tenant, id), &ChatName { project_id })?;
    Ok(Destination::NewProject { id: project_id, rows: vec![name] })
}

fn check(id: &str) -> Result<(), Problem> {
    if id.is_empty() || id.len() > LONGEST || id.chars().any(char::is_control) {
        let problem = Problem::invalid("The chat id is not allowed.");
        return Err(problem.at("/id", "must have 1 to 200 bytes and no control characters"));
    }
    Ok(())
}
