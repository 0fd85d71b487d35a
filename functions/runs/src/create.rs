//! `POST /api/runs`: starting a run in the background.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use sequent_conversation::{Destination, OnConflict, Prompt, Run, RunLimits, RunOptions, RunRequest};
use sequent_core::{ProjectId, Scope};
use sequent_documents::DocumentKind;
use sequent_event::Orchestration;
use sequent_http::{
    Caller, Json, Problem,
    idempotency::{IdempotencyKey, REPLAYED},
    openapi::Problems,
};
use sequent_model::ModelName;
use sequent_tables::idempotency::PayloadHash;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::App;

/// Tools that a request may name.
const MAX_TOOLS: usize = 64;
/// Characters of a tool's name.
const MAX_TOOL_NAME: usize = 64;

/// A run to execute in the background.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateRun {
    /// The project that the run answers in. A new one is created if it is absent.
    #[serde(default)]
    project_id: Option<ProjectId>,
    /// The task: 1 byte to 64 KiB of text, and at most 96,000 bytes in JSON.
    #[schema(value_type = String, min_length = 1, max_length = 65536)]
    input: Prompt,
    /// The model. The default model of the deployment if it is absent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    model: Option<ModelName>,
    /// The policy for a project that has a live run.
    #[serde(default)]
    on_conflict: OnConflict,
    /// `direct`: model and tools alternate until the model answers. `plan`: the model plans first, and the steps are
    /// carried out one by one. Independent steps are carried out by child runs.
    #[serde(default)]
    #[schema(value_type = String, example = "direct")]
    orchestration: Orchestration,
    /// The document that the run delivers beside its answer: `report`, `slides` or `website`. It becomes an artifact.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "report")]
    deliverable_type: Option<DocumentKind>,
    /// The tools that the model may call. All tools of the deployment if it is absent.
    #[serde(default)]
    #[schema(max_items = 64)]
    tools: Option<Vec<String>>,
    /// The limits of the run, its children included.
    #[serde(default)]
    budget: RunLimits,
}

/// Start a background run.
///
/// Answered as soon as the run is stored. The run is executed whether or not a client follows it at
/// `GET /api/runs/{id}/events`. If another run is active in the project, `on_conflict` decides: `enqueue` waits for its
/// end, `interrupt` and `rollback` end it.
#[utoipa::path(
    post,
    path = "/api/runs",
    operation_id = "create_run",
    tag = "runs",
    request_body = CreateRun,
    params(("Idempotency-Key" = Option<String>, Header, description = "A retry with the same key and payload gets the same run.")),
    responses(
        (status = 202, description = "The run, which is executed as soon as possible.", body = Run,
         headers(("Location" = String, description = "The address of the run."))),
        (status = 404, description = "The tenant has no such project."),
        Problems
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    Caller(caller): Caller,
    key: Option<IdempotencyKey>,
    Json(body): Json<CreateRun>,
) -> Result<Response, Problem> {
    if body.deliverable_type.is_some() {
        caller.require(Scope::ArtifactsWrite)?;
    }
    check_tools(body.tools.as_deref().unwrap_or_default())?;
    // The hash is of the parsed request, so that a retry with other white space is the same request.
    let payload = serde_json::to_vec(&body).map_err(Problem::internal)?;
    let payload = PayloadHash::of("POST", "/api/runs", &payload);
    let request = RunRequest {
        caller: caller.clone(),
        project: Destination::or_new(body.project_id),
        prompt: body.input,
        model: body.model,
        options: RunOptions {
            orchestration: body.orchestration,
            deliverable_type: body.deliverable_type.map(|kind| kind.to_string()),
            tools: body.tools,
            budget: body.budget,
            scopes: None,
        },
        on_conflict: body.on_conflict,
        replaces: None,
        idempotency: key.map(|key| key.request(caller.tenant, "runs.create", payload)),
    };
    let started = Box::pin(app.starter.submit(&request)).await?;
    let run = app.runs_of(&caller).get(started.run).await?;
    let location = HeaderValue::try_from(format!("/api/runs/{}", run.id)).expect("ids are ASCII");
    let mut response = (StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(run)).into_response();
    if started.replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

fn check_tools(tools: &[String]) -> Result<(), Problem> {
    let invalid =
        |at: &str, why: String| Err(Problem::invalid("The list of tools is not allowed.").at(at, why));
    if tools.len() > MAX_TOOLS {
        return invalid("/tools", format!("must have at most {MAX_TOOLS} items"));
    }
    let is_name = |text: &String| {
        (1..=MAX_TOOL_NAME).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    match tools.iter().position(|tool| !is_name(tool)) {
        Some(at) => {
            let why = format!("must have 1 to {MAX_TOOL_NAME} visible ASCII characters");
            invalid(&format!("/tools/{at}"), why)
        }
        None => Ok(()),
    }
}
