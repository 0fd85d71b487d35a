//! `POST /api/chat/send`: sends a message and streams the log of the run that answers it.

use sequent_agent::accept_client_tools;
use sequent_attachments::MessageContent;
use sequent_conversation::{Destination, OnConflict, RunChoices, RunRequest, TurnReference};
use sequent_core::{Principal, ProjectId};
use sequent_definitions::AgentReference;
use sequent_http::{
    Caller, Json, Problem, RequestContext,
    axum::{extract::State, response::Response},
    idempotency::IdempotencyKey,
    openapi::Problems,
};
use sequent_model::{ModelName, ModelParameters};
use sequent_tool::{ClientToolDeclaration, ClientTools, OutputSchema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    App, Question,
    frame_schema::RunEvent,
    stream::{Native, Watched, stream_response},
};

/// A message for a project.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendMessage {
    /// The project. A new one is created if it is absent.
    #[serde(default)]
    project_id: Option<ProjectId>,
    message: NewMessage,
    /// The agent that answers, as in `POST /api/runs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent: Option<AgentReference>,
    /// The values of variables in the instructions of the agent: at most 8,000 bytes in JSON.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    variables: Map<String, Value>,
    /// The model that answers. The model of the agent, or the default model of the deployment, if it is absent.
    #[serde(default)]
    model: Option<ModelName>,
    /// The JSON Schema of the answer, as in `POST /api/runs`.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    output_schema: Option<OutputSchema>,
    /// The tools that the client carries out, as in `POST /api/runs`.
    #[serde(default, skip_serializing_if = "ClientTools::is_empty")]
    #[schema(value_type = Vec<ClientToolDeclaration>, required = false, max_items = 32)]
    client_tools: ClientTools,
    /// The parameters of the run's model calls.
    #[serde(default)]
    parameters: ModelParameters,
    /// The policy for a project that has a live run.
    #[serde(default)]
    on_conflict: OnConflict,
    /// The turn that the message continues: a run, one of its messages, or `start` for the time before the first turn. The
    /// head of the project if it is absent. If another run continues that turn, the conversation has a branch from there on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^(start|(run|msg)_[0-7][0-9A-HJKMNP-TV-Z]{25})$")]
    after: Option<TurnReference>,
}

/// The message to answer.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMessage {
    /// 1 byte to 64 KiB of text, or parts, of which up to 10 refer to artifacts.
    content: MessageContent,
}

/// Send a message.
///
/// Streams the run that answers. The stream is the run's log as server-sent events: `id` is the event's `seq`, `event`
/// its type, `data` the event. Headers name the run and the project. After a cut, follow `GET /api/runs/{id}/events`
/// with `Last-Event-ID`.
#[utoipa::path(
    post,
    path = "/api/chat/send",
    operation_id = "send_message",
    tag = "chat",
    request_body = SendMessage,
    params(IdempotencyKey),
    responses((status = 200, description = "The events of the run.", body = RunEvent, content_type = "text/event-stream"), Problems),
)]
pub(crate) async fn send(
    State(app): State<App>,
    Caller(caller): Caller,
    context: RequestContext,
    key: Option<IdempotencyKey>,
    Json(body): Json<SendMessage>,
) -> Result<Response, Problem> {
    let route = Route { path: "/api/chat/send", content: "/message/content" };
    start(&app, caller, &context, key, route, body).await
}

/// A message for a thread, which is a project.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendToThread {
    /// The project. A new one is created if it is absent.
    #[serde(default)]
    thread_id: Option<ProjectId>,
    /// 1 byte to 64 KiB of text, or parts, of which up to 10 refer to artifacts.
    message: MessageContent,
    /// The agent that answers, as in `POST /api/runs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent: Option<AgentReference>,
    /// The values of variables in the instructions of the agent: at most 8,000 bytes in JSON.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    variables: Map<String, Value>,
    /// The model that answers. The model of the agent, or the default model of the deployment, if it is absent.
    #[serde(default)]
    model: Option<ModelName>,
    /// The JSON Schema of the answer, as in `POST /api/runs`.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    output_schema: Option<OutputSchema>,
    /// The tools that the client carries out, as in `POST /api/runs`.
    #[serde(default, skip_serializing_if = "ClientTools::is_empty")]
    #[schema(value_type = Vec<ClientToolDeclaration>, required = false, max_items = 32)]
    client_tools: ClientTools,
    /// The parameters of the run's model calls.
    #[serde(default)]
    parameters: ModelParameters,
    /// The policy for a thread that has a live run.
    #[serde(default)]
    on_conflict: OnConflict,
    /// The turn that the message continues: a run, one of its messages, or `start` for the time before the first turn. The
    /// head of the thread if it is absent. If another run continues that turn, the conversation has a branch from there on.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^(start|(run|msg)_[0-7][0-9A-HJKMNP-TV-Z]{25})$")]
    after: Option<TurnReference>,
}

/// Send a message to a thread.
///
/// Streams the run that answers, as `POST /api/chat/send` does.
#[utoipa::path(
    post,
    path = "/api/v1/agent/chat",
    operation_id = "send_thread_message",
    tag = "chat",
    request_body = SendToThread,
    params(IdempotencyKey),
    responses((status = 200, description = "The events of the run.", body = RunEvent, content_type = "text/event-stream"), Problems),
)]
pub(crate) async fn send_to_thread(
    State(app): State<App>,
    Caller(caller): Caller,
    context: RequestContext,
    key: Option<IdempotencyKey>,
    Json(body): Json<SendToThread>,
) -> Result<Response, Problem> {
    let SendToThread {
        thread_id: project_id,
        message: content,
        agent,
        variables,
        model,
        output_schema,
        client_tools,
        parameters,
        on_conflict,
        after,
    } = body;
    let message = NewMessage { content };
    let body = SendMessage {
        project_id,
        message,
        agent,
        variables,
        model,
        output_schema,
        client_tools,
        parameters,
        on_conflict,
        after,
    };
    let route = Route { path: "/api/v1/agent/chat", content: "/message" };
    start(&app, caller, &context, key, route, body).await
}

/// A route that starts a run.
struct Route {
    path: &'static str,
    /// JSON pointer of the content in its body.
    content: &'static str,
}

async fn start(
    app: &App,
    caller: Principal,
    context: &RequestContext,
    key: Option<IdempotencyKey>,
    route: Route,
    body: SendMessage,
) -> Result<Response, Problem> {
    let tenant = caller.tenant;
    let idempotency = IdempotencyKey::of_run(key, tenant, "chat.send", route.path, &body)?;
    let choices = RunChoices {
        agent: body.agent,
        variables: body.variables,
        model: body.model,
        output_schema: body.output_schema.map(Into::into),
        client_tools: accept_client_tools(body.client_tools)?,
        parameters: body.parameters,
        ..RunChoices::default()
    };
    let setup = app.starter.set_up(&caller, choices, idempotency.as_ref()).await?;
    let content = body.message.content;
    let Question { prompt, starter } =
        app.accept(&caller, content, setup.model.as_ref(), route.content).await?;
    let continues = app.projects_of(&caller).continues(body.project_id, body.after).await?;
    let request = RunRequest {
        caller,
        project: Destination::or_new(body.project_id),
        prompt,
        setup,
        on_conflict: body.on_conflict,
        continues,
        replay: None,
        idempotency,
    };
    let started = Box::pin(starter.start(&request)).await?;
    stream_response(app, context, Watched::started(tenant, started), Native).await
}
