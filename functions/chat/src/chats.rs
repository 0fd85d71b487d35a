//! The AI SDK's chat ids: any text a client chose, or an id of ours.

use sequent_agent::Engine;
use sequent_core::{ProjectId, TenantId};
use sequent_http::{Principal, Problem};
use sequent_tables::{Row, key};
use serde::{Deserialize, Serialize};

use crate::begin::Place;

const LONGEST: usize = 200;

/// The row that gives a client's own name of a chat its project.
#[derive(Debug, Serialize, Deserialize)]
struct ChatName {
    project_id: ProjectId,
}

/// The project a chat id stands for.
pub(crate) async fn find(
    engine: &Engine,
    principal: &Principal,
    id: &str,
) -> Result<Option<ProjectId>, Problem> {
    check(id)?;
    if let Ok(project) = id.parse() {
        return Ok(Some(project));
    }
    let named: Option<ChatName> = engine.store().get(&key::chat_name(principal.tenant, id)).await?;
    Ok(named.map(|name| name.project_id))
}

/// Where a message for the chat goes: its project, or a new one called so by the client from now on.
pub(crate) async fn place(
    engine: &Engine,
    principal: &Principal,
    id: &str,
    new: ProjectId,
) -> Result<Place, Problem> {
    match find(engine, principal, id).await? {
        Some(project) => Ok(Place::Project(project)),
        None => Ok(Place::New(vec![name(principal.tenant, id, new)?])),
    }
}

fn name(tenant: TenantId, id: &str, project: ProjectId) -> Result<Row, Problem> {
    Ok(Row::new(&key::chat_name(tenant, id), &ChatName { project_id: project })?)
}

fn check(id: &str) -> Result<(), Problem> {
    if id.is_empty() || id.len() > LONGEST || id.chars().any(char::is_control) {
        let problem = Problem::invalid("The chat id is not acceptable.");
        return Err(problem.at("/id", "must have 1 to 200 bytes and no control characters"));
    }
    Ok(())
}
