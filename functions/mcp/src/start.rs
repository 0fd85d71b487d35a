//! Starting a run for another agent.

use http::HeaderValue;
use sequent_conversation::{
    Continues, Destination, Error, OnConflict, Prompt, RunChoices, RunRequest, StartedRun,
};
use sequent_core::{Code, Principal, ProjectId, RunId, Scope};
use sequent_http::{Problem, idempotency::IdempotencyKey};
use sequent_tables::idempotency;
use serde::Serialize;

use crate::App;

/// A run to start.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Task {
    pub(crate) input: Prompt,
    pub(crate) project_id: Option<ProjectId>,
    pub(crate) choices: RunChoices,
    /// The run waits for the live run of the project. Otherwise it is refused.
    pub(crate) waits: bool,
}

/// The result of a call that starts a run.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Started {
    run_id: RunId,
    project_id: ProjectId,
}

/// Starts the run that an earlier call with the same key has not started; a worker executes it.
pub(crate) async fn start(
    app: &App,
    caller: &Principal,
    task: Task,
    key: Option<String>,
) -> Result<Started, Problem> {
    caller.require(Scope::Chat)?;
    let idempotency = key.map(|key| keyed(caller, &key, &task)).transpose()?.flatten();
    let setup = app.starter.set_up(caller, task.choices, idempotency.as_ref()).await.map_err(for_model)?;
    let request = RunRequest {
        caller: caller.clone(),
        project: Destination::or_new(task.project_id),
        prompt: task.input,
        setup,
        on_conflict: if task.waits { OnConflict::Enqueue } else { OnConflict::Reject },
        continues: Continues::Head,
        replay: None,
        idempotency,
    };
    match Box::pin(app.starter.submit(&request)).await {
        Ok(StartedRun { run, project, .. }) => Ok(Started { run_id: run, project_id: project }),
        Err(error) => Err(for_model(error)),
    }
}

fn keyed(caller: &Principal, text: &str, task: &Task) -> Result<Option<idempotency::Request>, Problem> {
    let invalid = || Problem::invalid("The idempotency key must have 1 to 255 visible ASCII characters.");
    let key = HeaderValue::from_str(text).map_err(|_| invalid())?;
    let key = IdempotencyKey::parse(&key).map_err(|_| invalid())?;
    IdempotencyKey::of_run(Some(key), caller.tenant, "mcp.start", "/mcp", task)
}

/// Explains an error to a model, which calls tools and knows nothing of HTTP.
pub(crate) fn for_model(error: Error) -> Problem {
    match error {
        Error::RunNotFound => Problem::not_found(
            "There is no run with this id. Use a run_id that start_run or send_message returned.",
        ),
        Error::ProjectNotFound => {
            Problem::not_found("There is no project with this id. Omit project_id to create a new one.")
        }
        Error::Busy(run) => {
            let detail = format!(
                "{run} is active in the project. Call get_run until it has ended, or use send_message, which waits for it."
            );
            Problem::new(Code::RunInProgress, detail).with("run_id", run.to_string())
        }
        error => error.into(),
    }
}
