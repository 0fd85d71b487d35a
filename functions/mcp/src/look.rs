//! Where a run stands, for another agent.

use sequent_conversation::{Cost, Failure, Question, Runs, Status, Tokens};
use sequent_core::{ProjectId, RunId};
use sequent_event::State;
use sequent_http::{Problem, Scope};
use sequent_runlog::{LogKey, read_all};
use serde::Serialize;

use crate::{endpoint::Call, start::problem};

/// A run, as far as it matters to who asked for it.
#[derive(Debug, Serialize)]
pub(crate) struct Seen {
    run_id: RunId,
    project_id: ProjectId,
    status: Status,
    /// What it said, once it has ended or asks.
    answer: Option<String>,
    /// What it asks people.
    interrupts: Vec<Question>,
    usage: Tokens,
    cost: Cost,
    error: Option<Failure>,
}

/// The run, with what it said from its log.
pub(crate) async fn look(call: &Call, run: RunId) -> Result<Seen, Problem> {
    call.caller.require(Scope::RunsRead)?;
    let storage = &call.mcp.storage;
    let row = Runs::new(storage.store(), call.caller.tenant).get(run).await.map_err(problem)?;
    let answer = match row.status {
        Status::Pending | Status::Running => None,
        _ => {
            let key = LogKey { tenant: call.caller.tenant, run };
            let log = read_all(storage, key).await.map_err(Problem::unavailable)?;
            let events: Vec<_> = log.iter().flat_map(|segment| segment.events()).collect();
            let said = State::of(&events).map_err(Problem::internal)?.answer_text();
            (!said.is_empty()).then_some(said)
        }
    };
    Ok(Seen {
        run_id: row.id,
        project_id: row.project_id,
        status: row.status,
        answer,
        interrupts: row.interrupts,
        usage: row.usage,
        cost: row.cost,
        error: row.error,
    })
}
