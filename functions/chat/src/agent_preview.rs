//! Shows what the model of an agent would be sent, and asks it nothing.

use sequent_agent::{PreviewedRequest, PreviewedRun, accept_client_tools, preview};
use sequent_conversation::{Continues, Destination, OnConflict, Prompt, RunChoices, RunRequest, RunSetup};
use sequent_core::{Code, Principal};
use sequent_definitions::AgentReference;
use sequent_event::RunAgent;
use sequent_http::{
    Caller, Json, Path, Problem,
    axum::{extract::State, response::IntoResponse},
    openapi::Problems,
};
use sequent_model::{Message, ModelName, ModelParameters, ToolSpec};
use sequent_tool::{ClientToolDeclaration, ClientTools, OutputSchema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::App;

/// Messages of a conversation at most.
const MAX_MESSAGES: usize = 100;

/// A conversation to preview an agent with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreviewAgent {
    /// The conversation, oldest message first. The last message is the one of the person to be answered.
    #[schema(min_items = 1, max_items = 100)]
    messages: Vec<PreviewMessage>,
    /// The values of variables in the instructions of the agent: at most 8,000 bytes in JSON.
    #[serde(default)]
    #[schema(value_type = Object)]
    variables: Map<String, Value>,
    /// The model, as in `POST /api/runs`.
    #[serde(default)]
    model: Option<ModelName>,
    /// The tools that the client carries out, as in `POST /api/runs`.
    #[serde(default)]
    #[schema(value_type = Vec<ClientToolDeclaration>, required = false, max_items = 32)]
    client_tools: ClientTools,
    /// The JSON Schema of the answer, as in `POST /api/runs`.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    output_schema: Option<OutputSchema>,
    /// The parameters of the run's model calls.
    #[serde(default)]
    parameters: ModelParameters,
}

/// A message of the conversation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreviewMessage {
    role: Speaker,
    content: Prompt,
}

/// The author of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Speaker {
    User,
    Assistant,
}

/// The first request of a run that was not started.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AgentPreview {
    /// The agent as the run would record it.
    agent: RunAgent,
    /// The model that would be asked first.
    model: ModelName,
    /// The purpose of the request: `answer`, or `plan` if the agent plans first.
    purpose: String,
    /// The model has to call a tool.
    must_call: bool,
    parameters: ModelParameters,
    /// The JSON Schema of the answer, if it has to be JSON.
    #[schema(value_type = Option<Object>)]
    output_schema: Option<Value>,
    /// The instructions as the model would read them.
    system: String,
    /// The tools that the request would offer.
    #[schema(value_type = Vec<Object>)]
    tools: Vec<ToolSpec>,
    /// The messages, oldest first, in a form that does not depend on the provider.
    #[schema(value_type = Vec<Object>)]
    messages: Vec<Message>,
    /// The estimated tokens of the request.
    tokens: u64,
}

/// Preview an agent.
///
/// Returns the first request of a run with this agent: the instructions with the values of the variables, the tools and the
/// messages, as `GET /api/runs/{id}/context` shows them for a run. No model is asked, no run is started, and no credits are used.
/// A request that would be refused as a run is refused here for the same reason.
#[utoipa::path(
    post,
    path = "/api/agents/{id}/preview",
    operation_id = "preview_agent",
    tag = "agents",
    params(("id" = String, Path, description = "The id or the name of the agent, alone or followed by `@` and a label or the number of a version.")),
    request_body = PreviewAgent,
    responses(
        (status = 200, description = "The request.", body = AgentPreview),
        (status = 404, description = "The tenant has no such agent or version (`agent_not_found`, `label_not_found`, `version_not_found`)."),
        (status = 422, description = "A value or a message is not allowed (`validation_failed`, `variables_invalid`)."),
        Problems
    ),
)]
pub(crate) async fn preview_agent(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(agent): Path<AgentReference>,
    Json(body): Json<PreviewAgent>,
) -> Result<impl IntoResponse, Problem> {
    let mut messages = body.messages;
    let last = messages.pop().filter(|last| last.role == Speaker::User);
    let last = last.filter(|_| messages.len() < MAX_MESSAGES).ok_or_else(not_a_conversation)?;
    let choices = RunChoices {
        agent: Some(agent),
        variables: body.variables,
        model: body.model,
        output_schema: body.output_schema.map(Into::into),
        client_tools: accept_client_tools(body.client_tools)?,
        parameters: body.parameters,
        ..RunChoices::default()
    };
    let setup = app.starter.set_up(&caller, choices, None).await?;
    let Some(agent) = setup.options.agent.clone() else {
        return Err(Problem::internal("the setup of an agent has no agent"));
    };
    let tenant = caller.tenant;
    let model = setup.model.clone();
    let opening = app.starter.opening(&first_run(caller, setup, last.content)).await?;
    let earlier = messages.into_iter().map(PreviewMessage::into_message).collect();
    let previewed = Box::pin(preview(&app.engine, tenant, PreviewedRun { opening, model, earlier })).await?;
    Ok(Json(AgentPreview::of(agent, previewed)))
}

fn not_a_conversation() -> Problem {
    let rule = format!("must have 1 to {MAX_MESSAGES} messages, of which the last one has the role `user`");
    Problem::new(Code::ValidationFailed, "The messages are no conversation that an agent can answer.")
        .at("/messages", rule)
}

/// The request for a run that begins a conversation.
fn first_run(caller: Principal, setup: RunSetup, prompt: Prompt) -> RunRequest {
    RunRequest {
        caller,
        project: Destination::or_new(None),
        prompt,
        setup,
        on_conflict: OnConflict::default(),
        continues: Continues::default(),
        replay: None,
        idempotency: None,
    }
}

impl PreviewMessage {
    fn into_message(self) -> Message {
        let text = self.content.content().readable().into_owned();
        match self.role {
            Speaker::User => Message::user(text),
            Speaker::Assistant => Message::assistant(text),
        }
    }
}

impl AgentPreview {
    fn of(agent: RunAgent, request: PreviewedRequest) -> Self {
        let PreviewedRequest {
            model,
            purpose,
            system,
            tools,
            must_call,
            parameters,
            output_schema,
            messages,
            tokens,
        } = request;
        Self { agent, model, purpose, must_call, parameters, output_schema, system, tools, messages, tokens }
    }
}
