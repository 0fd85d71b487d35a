//! The names that clients give to projects, such as the chat ids of a user interface.

use sequent_core::{ProjectId, TenantId};
use sequent_tables::{Error as TableError, Row, Store, Write, key};
use serde::{Deserialize, Serialize};

use crate::Error;

/// The row that maps a client's name to a project.
#[derive(Debug, Serialize, Deserialize)]
struct NamedProject {
    project_id: ProjectId,
}

/// Finds the project that a client has given the name. Returns `None` if the name is new.
///
/// # Errors
/// Fails if the table fails.
pub async fn named_project(store: &Store, tenant: TenantId, name: &str) -> Result<Option<ProjectId>, Error> {
    let named: Option<NamedProject> = store.get(&key::chat_name(tenant, name)).await?;
    Ok(named.map(|named| named.project_id))
}

/// Gives the name to a new project, if no other project has it.
pub(crate) fn name_claim(tenant: TenantId, name: &str, project: ProjectId) -> Result<Write, TableError> {
    let row = Row::new(&key::chat_name(tenant, name), &NamedProject { project_id: project })?;
    Ok(Write::insert(row))
}
