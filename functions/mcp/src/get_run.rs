//! The state of a run, for another agent.

use sequent_conversation::{RunCost, RunFailure, RunQuestion, RunStatus, Runs, TokenUsage};
use sequent_core::{Principal, ProjectId, RunId, Scope};
use sequent_event::State;
use sequent_http::Problem;
use sequent_runlog::{LogKey, read_all};
use serde::Serialize;

use crate::{App, start::for_model};

/// The state of a run.
#[derive(Debug, Serialize)]
pub(crate) struct RunReport {
    run_id: RunId,
    project_id: ProjectId,
    status: RunStatus,
    /// The text of the run, once it has ended or asks.
    answer: Option<String>,
    /// The questions that the run asks people.
    interrupts: Vec<RunQuestion>,
    usage: TokenUsage,
    cost: RunCost,
    error: Option<RunFailure>,
}

/// Reads the row of the run, and its answer from its log.
pub(crate) async fn get_run(app: &App, caller: &Principal, run: RunId) -> Result<RunReport, Problem> {
    caller.require(Scope::RunsRead)?;
    let store = app.starter.runs();
    let row = Runs::new(store.tables(), caller.tenant).get_for_caller(run).await.map_err(for_model)?;
    let answer = match row.status {
        RunStatus::Pending | RunStatus::Running => None,
        RunStatus::Interrupted | RunStatus::Success | RunStatus::Error | RunStatus::Cancelled => {
            let key = LogKey { tenant: caller.tenant, run };
            let log = read_all(store.storage(), key).await.map_err(Problem::unavailable)?;
            let events: Vec<_> = log.iter().flat_map(|segment| segment.events()).collect();
            let text = State::of(&events).map_err(Problem::internal)?.answer_text();
            (!text.is_empty()).then_some(text)
        }
    };
    Ok(RunReport {
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
