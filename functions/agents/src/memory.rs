//! The notes that an agent keeps about the caller.

use axum::{extract::State, response::IntoResponse};
use http::StatusCode;
use sequent_core::{NoteId, Principal};
use sequent_definitions::AgentKey;
use sequent_http::{Caller, Json, Path, Problem, openapi::Problems};
use sequent_memory::{MemoryKey, Note};
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;

/// The notes of an agent about a person.
#[derive(Serialize, ToSchema)]
pub(crate) struct AgentNotes {
    /// All notes, oldest first: at most 50.
    items: Vec<Note>,
}

/// List the notes of an agent about you.
///
/// An agent with a `memory` makes notes about each person for later conversations. Notes about other people are not shown.
#[utoipa::path(
    get,
    path = "/api/agents/{id}/memory",
    operation_id = "list_agent_notes",
    tag = "agents",
    params(("id" = String, Path, description = "The id or the name of the agent.")),
    responses(
        (status = 200, description = "The notes.", body = AgentNotes),
        (status = 404, description = "The tenant has no such agent (`agent_not_found`)."),
        Problems
    ),
)]
pub(crate) async fn list_notes(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(agent): Path<AgentKey>,
) -> Result<impl IntoResponse, Problem> {
    let of = memory_key(&app, &caller, &agent).await?;
    Ok(Json(AgentNotes { items: app.memory.notes(of).await? }))
}

/// Delete all notes of an agent about you.
///
/// Later runs do not see them. The logs of runs that have seen them keep them until their conversations are deleted.
#[utoipa::path(
    delete,
    path = "/api/agents/{id}/memory",
    operation_id = "delete_agent_notes",
    tag = "agents",
    params(("id" = String, Path, description = "The id or the name of the agent.")),
    responses(
        (status = 204, description = "The agent has no notes about you."),
        (status = 404, description = "The tenant has no such agent (`agent_not_found`)."),
        Problems
    ),
)]
pub(crate) async fn delete_notes(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(agent): Path<AgentKey>,
) -> Result<impl IntoResponse, Problem> {
    let of = memory_key(&app, &caller, &agent).await?;
    app.memory.clear(of).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delete a note of an agent about you.
#[utoipa::path(
    delete,
    path = "/api/agents/{id}/memory/{note}",
    operation_id = "delete_agent_note",
    tag = "agents",
    params(
        ("id" = String, Path, description = "The id or the name of the agent."),
        ("note" = NoteId, Path, description = "The note."),
    ),
    responses(
        (status = 204, description = "The note is deleted."),
        (status = 404, description = "The tenant has no such agent (`agent_not_found`), or it keeps no such note about you (`not_found`)."),
        Problems
    ),
)]
pub(crate) async fn delete_note(
    State(app): State<App>,
    Caller(caller): Caller,
    Path((agent, note)): Path<(AgentKey, NoteId)>,
) -> Result<impl IntoResponse, Problem> {
    let of = memory_key(&app, &caller, &agent).await?;
    app.memory.delete(of, note).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The place of an agent's notes about the caller.
async fn memory_key(app: &App, caller: &Principal, agent: &AgentKey) -> Result<MemoryKey, Problem> {
    let agent = app.agents.get(caller.tenant, agent).await?.id;
    Ok(MemoryKey { tenant: caller.tenant, agent, user: caller.user })
}
