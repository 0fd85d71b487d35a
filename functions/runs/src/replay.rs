//! `POST /api/runs/{id}/replay`: running a run again.

use axum::{extract::State, response::Response};
use sequent_attachments::MessageContent;
use sequent_conversation::{
    Continues, Destination, OnConflict, Prompt, Run, RunOptions, RunRequest, opening_message,
};
use sequent_core::{RunId, Scope};
use sequent_http::{Caller, Json, Path, Problem, idempotency::IdempotencyKey, openapi::Problems};
use sequent_model::ModelName;
use sequent_runlog::LogKey;
use sequent_tables::idempotency::PayloadHash;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{App, create::submit};

/// The changes of a run that is run again.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayRun {
    /// The task. That of the run if it is absent.
    #[serde(default)]
    input: Option<MessageContent>,
    /// The model. That of the run if it is absent.
    #[serde(default)]
    model: Option<ModelName>,
    /// The policy for a project that has a live run.
    #[serde(default)]
    on_conflict: OnConflict,
}

/// Replay a run.
///
/// Starts a run beside it, in a branch of its own: with the same task, model, tools and limits, as far as the request does not
/// change them. The new run has the scopes of its caller. It becomes the head of the project.
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
    let payload = serde_json::to_vec(&body).map_err(Problem::internal)?;
    let payload = PayloadHash::of("POST", &format!("/api/runs/{id}/replay"), &payload);
    let run = app.runs_of(&caller).get_for_caller(id).await?;
    if run.options.deliverable_type.is_some() {
        caller.require(Scope::ArtifactsWrite)?;
    }
    let prompt = match body.input {
        Some(input) => app.accept(&caller, input, body.model.as_ref(), "/input").await?,
        None => {
            let content =
                opening_message(app.store().storage(), LogKey { tenant: caller.tenant, run: id }).await?;
            Prompt::try_from(content)
                .map_err(|error| Problem::invalid(format!("The task of the run {error}.")))?
        }
    };
    let model = match body.model {
        Some(model) => Some(model),
        None => run.model.as_deref().map(str::parse).transpose().map_err(Problem::internal)?,
    };
    let request = RunRequest {
        caller: caller.clone(),
        project: Destination::Project(run.project_id),
        prompt,
        model,
        options: RunOptions { scopes: None, ..run.options },
        on_conflict: body.on_conflict,
        continues: Continues::Beside(id),
        idempotency: key.map(|key| key.request(caller.tenant, "runs.replay", payload)),
    };
    submit(&app, &caller, &request).await
}
