//! `POST /api/runs`: starting a run in the background.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use sequent_agent::accept_client_tools;
use sequent_attachments::MessageContent;
use sequent_conversation::{
    Destination, OnConflict, Projects, Run, RunChoices, RunLimits, RunRequest, TurnReference,
};
use sequent_core::ProjectId;
use sequent_definitions::AgentReference;
use sequent_documents::DocumentKind;
use sequent_event::Orchestration;
use sequent_http::{
    Caller, Json, Problem,
    idempotency::{IdempotencyKey, REPLAYED},
    openapi::Problems,
};
use sequent_model::{ModelName, ModelParameters};
use sequent_tool::{ClientToolDeclaration, ClientTools, OutputSchema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::App;

/// Tools that a request may name.
const MAX_TOOLS: usize = 64;
/// Characters of a tool's name.
const MAX_TOOL_NAME: usize = 64;

/// The name of a tool: 1 to 64 visible ASCII characters.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = "^[!-~]{1,64}$")]
pub(crate) struct ToolName(String);

/// A run to execute in the background.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateRun {
    /// The project that the run answers in. A new one is created if it is absent.
    #[serde(default)]
    project_id: Option<ProjectId>,
    /// The task: 1 byte to 64 KiB of text, and at most 96,000 bytes in JSON; or parts, of which up to 10 refer to artifacts.
    input: MessageContent,
    /// The agent that does the task: its id or its name, with `@` and a label or the number of a version. Without that, the
    /// version with the label `production`, or the latest one. The default agent of the tenant, if there is one, if it is
    /// absent. What the agent says holds where the request says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "assistant@production")]
    agent: Option<AgentReference>,
    /// The values of variables in the instructions of the agent: at most 8,000 bytes in JSON.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    variables: Map<String, Value>,
    /// The model. The model of the agent, or the default model of the deployment, if it is absent.
    #[serde(default)]
    model: Option<ModelName>,
    /// The policy for a project that has a live run.
    #[serde(default)]
    on_conflict: OnConflict,
    /// The turn that the run continues: a run, one of its messages, or `start` for the time before the first turn. The
    /// head of the project if it is absent. If another run continues that turn, the conversation has a branch from there on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^(start|(run|msg)_[0-7][0-9A-HJKMNP-TV-Z]{25})$")]
    after: Option<TurnReference>,
    /// `direct`: model and tools alternate until the model answers. `plan`: the model plans first, and the steps are
    /// carried out one by one. Independent steps are carried out by child runs.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^(direct|plan)$", example = "direct")]
    orchestration: Option<Orchestration>,
    /// The document that the run delivers beside its answer: `report`, `slides` or `website`. It becomes an artifact.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^(report|slides|website)$", example = "report")]
    deliverable_type: Option<DocumentKind>,
    /// The tools that the model may call, of those that the agent may. All tools of the agent, or of the deployment, if it is
    /// absent.
    #[serde(default)]
    #[schema(max_items = 64)]
    tools: Option<Vec<ToolName>>,
    /// The tools that the client carries out: at most 40,000 bytes. A call of one ends the execution with a question of the
    /// reason `client_tool`. The answer to it is the result of the call.
    #[serde(default, skip_serializing_if = "ClientTools::is_empty")]
    #[schema(value_type = Vec<ClientToolDeclaration>, required = false, max_items = 32)]
    client_tools: ClientTools,
    /// The JSON Schema of the answer, of at most 16,000 bytes, without references to other documents. The answer is then one
    /// JSON document that matches it; a run whose model does not keep to it ends with the error `output_invalid`. Not
    /// together with `deliverable_type`.
    #[serde(default)]
    #[schema(value_type = Option<Object>, example = json!({"type": "object", "properties": {"city": {"type": "string"}}}))]
    output_schema: Option<OutputSchema>,
    /// The parameters of the run's model calls, those of its children included.
    #[serde(default)]
    parameters: ModelParameters,
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
    params(IdempotencyKey),
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
    if body.deliverable_type.is_some() && body.output_schema.is_some() {
        let problem = Problem::invalid("The answer beside a document has no schema.");
        return Err(problem.at("/output_schema", "must not be set together with deliverable_type".to_owned()));
    }
    check_tools(body.tools.as_deref().unwrap_or_default())?;
    let idempotency = IdempotencyKey::of_run(key, caller.tenant, "runs.create", "/api/runs", &body)?;
    let choices = RunChoices {
        agent: body.agent,
        variables: body.variables,
        model: body.model,
        orchestration: body.orchestration,
        deliverable_type: body.deliverable_type.map(|kind| kind.to_string()),
        tools: body.tools.map(|tools| tools.into_iter().map(String::from).collect()),
        client_tools: accept_client_tools(body.client_tools)?,
        output_schema: body.output_schema.map(Into::into),
        parameters: body.parameters,
        budget: body.budget,
    };
    let setup = app.starter.set_up(&caller, choices, idempotency.as_ref()).await?;
    let prompt = app.accept(&caller, body.input, setup.model.as_ref(), "/input").await?;
    let continues =
        Projects::new(app.store().tables(), caller.tenant).continues(body.project_id, body.after).await?;
    let request = RunRequest {
        project: Destination::or_new(body.project_id),
        prompt,
        setup,
        on_conflict: body.on_conflict,
        continues,
        replay: None,
        idempotency,
        caller,
    };
    submit(&app, &request).await
}

/// Starts the run and answers with its row.
pub(crate) async fn submit(app: &App, request: &RunRequest) -> Result<Response, Problem> {
    let started = Box::pin(app.starter.submit(request)).await?;
    let run = app.runs_of(&request.caller).get(started.run).await?;
    let location = HeaderValue::try_from(format!("/api/runs/{}", run.id)).expect("ids are ASCII");
    let mut response = (StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(run)).into_response();
    if started.replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

fn check_tools(tools: &[ToolName]) -> Result<(), Problem> {
    if tools.len() > MAX_TOOLS {
        let problem = Problem::invalid("The list of tools is not allowed.");
        return Err(problem.at("/tools", format!("must have at most {MAX_TOOLS} items")));
    }
    Ok(())
}

impl TryFrom<String> for ToolName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fits =
            (1..=MAX_TOOL_NAME).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then_some(Self(text)).ok_or("must have 1 to 64 visible ASCII characters")
    }
}

impl From<ToolName> for String {
    fn from(name: ToolName) -> Self {
        name.0
    }
}
