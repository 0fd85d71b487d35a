//! `POST /api/runs/{id}/replay`: running a run again.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use sequent_agent::kept_events;
use sequent_attachments::MessageContent;
use sequent_conversation::{
    Continues, Destination, OnConflict, OpeningRequest, Prompt, ReplayedRun, Run, RunChoices, RunOptions,
    RunRequest,
};
use sequent_core::{ProjectId, RunId};
use sequent_definitions::AgentReference;
use sequent_event::Seq;
use sequent_http::{Caller, Json, Path, Problem, idempotency::IdempotencyKey, openapi::Problems};
use sequent_model::{ModelName, ModelParameters};
use sequent_runlog::LogKey;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{App, create::submit};

/// The changes of a run that is run again.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayRun {
    /// The `seq` of an event of the run after which its model was about to be asked: what the run did up to there is kept, and
    /// the model is asked from there. Everything is done again if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    from: Option<Seq>,
    /// The conversation in which the run is run again, if a fork shares the run. That of the run if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project_id: Option<ProjectId>,
    /// The task. That of the run if it is absent.
    #[serde(default)]
    input: Option<MessageContent>,
    /// The agent that does the task, as in `POST /api/runs`. What the request does not say is then as this agent says. The same
    /// version of the run's agent, with all options of the run, if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent: Option<AgentReference>,
    /// The values of variables in the instructions of `agent`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    variables: Map<String, Value>,
    /// The model. That of the run, or of `agent`, if it is absent.
    #[serde(default)]
    model: Option<ModelName>,
    /// The parameters of the run's model calls. Those of the run if they are absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parameters: Option<ModelParameters>,
    /// The policy for a project that has a live run.
    #[serde(default)]
    on_conflict: OnConflict,
}

/// Replay a run.
///
/// Starts a run beside it, in a branch of its own: with the same task, model, parameters, tools and limits, as far as the
/// request does not change them. The new run has the scopes of its caller. It becomes the head of the project.
///
/// With `from`, the log of the new run begins with copies of what the run did up to that event: responses, calls of tools with
/// their results, questions with their answers. Nothing of it is done or charged for again. The positions are the start of the
/// run, the results of all calls of a response, and messages that the model has not read. Any other is refused with 422, and
/// the member `nearest` names the positions before and after it.
#[utoipa::path(
    post,
    path = "/api/runs/{id}/replay",
    operation_id = "replay_run",
    tag = "runs",
    params(("id" = RunId, Path, description = "The run."), IdempotencyKey),
    request_body = ReplayRun,
    responses(
        (status = 202, description = "The new run, which is executed as soon as possible.", body = Run,
         headers(("Location" = String, description = "The address of the run."))),
        (status = 404, description = "The tenant has no such run."),
        Problems
    ),
)]
pub(crate) async fn replay(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<RunId>,
    key: Option<IdempotencyKey>,
    Json(body): Json<ReplayRun>,
) -> Result<Response, Problem> {
    let path = format!("/api/runs/{id}/replay");
    let idempotency = IdempotencyKey::of_run(key, caller.tenant, "runs.replay", &path, &body)?;
    let run = app.runs_of(&caller).get_for_caller(id).await?;
    let log = LogKey { tenant: caller.tenant, run: id };
    let opening = OpeningRequest::read(app.store().storage(), log).await?;
    if opening.options.evaluation.is_some() {
        return Err(Problem::invalid(
            "An evaluation is not replayed. Start another one with `POST /api/evaluations`.",
        ));
    }
    if body.agent.is_none() && !body.variables.is_empty() {
        let problem = Problem::invalid(
            "The run is replayed with the values that it had. Name an agent to change them.",
        );
        return Err(problem.at("/variables", "must not be set without `agent`"));
    }
    let setup = if body.agent.is_some() {
        let choices = RunChoices {
            agent: body.agent,
            variables: body.variables,
            model: body.model,
            parameters: body.parameters.unwrap_or_default(),
            ..RunChoices::default()
        };
        app.starter.set_up(&caller, choices, idempotency.as_ref()).await?
    } else {
        let model = match body.model {
            Some(model) => Some(model),
            None => run.model.as_deref().map(str::parse).transpose().map_err(Problem::internal)?,
        };
        let parameters = body.parameters.unwrap_or(opening.options.parameters);
        let options = RunOptions { parameters, ..opening.options };
        app.starter.set_up_again(&caller, model, options).await?
    };
    let kept = match body.from {
        Some(from) => {
            let events = Box::pin(kept_events(app.store().storage(), log, from)).await?;
            ReplayedRun::after(id, &events, setup.model.as_ref().map(ModelName::as_str))?
        }
        None => ReplayedRun::from_start(id),
    };
    let prompt = match body.input {
        Some(input) => app.accept(&caller, input, setup.model.as_ref(), "/input").await?,
        None => Prompt::try_from(opening.content)
            .map_err(|error| Problem::invalid(format!("The task of the run {error}.")))?,
    };
    let request = RunRequest {
        prompt,
        project: Destination::Project(body.project_id.unwrap_or(run.project_id)),
        setup,
        on_conflict: body.on_conflict,
        continues: Continues::Beside(id),
        replay: Some(Arc::new(kept)),
        idempotency,
        caller,
    };
    submit(&app, &request).await
}
