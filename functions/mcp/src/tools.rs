//! The tools that other agents can call.

use rmcp::{
    ErrorData,
    model::{CallToolRequestParams, CallToolResult, ContentBlock, JsonObject, Tool, ToolAnnotations},
};
use schemars::JsonSchema;
use sequent_conversation::{Prompt, RunChoices};
use sequent_core::{Principal, ProjectId, RunId};
use sequent_definitions::AgentReference;
use sequent_event::Orchestration;
use sequent_http::Problem;
use sequent_model::{ModelName, ModelParameters};
use sequent_tool::{OutputSchema, schema};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    App,
    agents::{agent_of, ask},
    get_run::get_run,
    start::{Task, start},
};

/// The member of `_meta` with the idempotency key, for clients that give every call one.
const IDEMPOTENCY_KEY: &str = "sequent/idempotencyKey";

/// The arguments of `start_run`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StartRun {
    /// The task.
    #[schemars(with = "String", length(min = 1, max = 65_536))]
    input: Prompt,
    /// The project. A new one is created if it is absent.
    #[schemars(with = "String", regex(pattern = "^prj_"))]
    #[serde(default)]
    project_id: Option<ProjectId>,
    /// The agent that does the task: its name, or `name@label`. The default agent if it is absent.
    #[schemars(with = "String")]
    #[serde(default)]
    agent: Option<AgentReference>,
    /// The values of variables in the instructions of the agent.
    #[schemars(with = "serde_json::Map<String, Value>")]
    #[serde(default)]
    variables: serde_json::Map<String, Value>,
    /// The model. The model of the agent, or the default model of the deployment, if it is absent.
    #[schemars(with = "String")]
    #[serde(default)]
    model: Option<ModelName>,
    /// Parameters of the model: temperature, top_p, max_output_tokens, stop, reasoning_effort, seed.
    #[schemars(with = "serde_json::Map<String, Value>")]
    #[serde(default)]
    parameters: ModelParameters,
    /// The JSON Schema of the answer. The answer is then one JSON document that matches it.
    #[schemars(with = "serde_json::Map<String, Value>")]
    #[serde(default)]
    output_schema: Option<OutputSchema>,
    /// plan: the run makes a plan and carries it out step by step, for long tasks.
    #[schemars(with = "String", extend("enum" = ["direct", "plan"]))]
    #[serde(default)]
    orchestration: Option<Orchestration>,
    /// Any text of your choice. A repeated call with the same key returns the same run.
    #[schemars(with = "String", length(min = 1, max = 255))]
    #[serde(default)]
    idempotency_key: Option<String>,
}

/// The arguments of `send_message`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SendMessage {
    /// The text of the message.
    #[schemars(with = "String", length(min = 1, max = 65_536))]
    message: Prompt,
    /// The project. A new one is created if it is absent.
    #[schemars(with = "String", regex(pattern = "^prj_"))]
    #[serde(default)]
    project_id: Option<ProjectId>,
    /// The agent that answers: its name, or `name@label`. The default agent if it is absent.
    #[schemars(with = "String")]
    #[serde(default)]
    agent: Option<AgentReference>,
    /// Any text of your choice. A repeated call with the same key returns the same run.
    #[schemars(with = "String", length(min = 1, max = 255))]
    #[serde(default)]
    idempotency_key: Option<String>,
}

/// The arguments of `get_run`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetRun {
    /// The run_id that start_run or send_message returned.
    #[schemars(with = "String", regex(pattern = "^run_"))]
    run_id: RunId,
}

/// Calls a tool. A failure within the tool becomes a result that explains to the calling model what to do.
pub(crate) async fn call(
    app: &App,
    caller: &Principal,
    request: CallToolRequestParams,
) -> Result<CallToolResult, ErrorData> {
    let meta = request.meta.as_ref().and_then(|meta| meta.0.0.get(IDEMPOTENCY_KEY)?.as_str());
    let key = meta.map(str::to_owned);
    let arguments = Value::Object(request.arguments.unwrap_or_default());
    let result = match request.name.as_ref() {
        "start_run" => Box::pin(start_run(app, caller, arguments, key)).await,
        "send_message" => Box::pin(send_message(app, caller, arguments, key)).await,
        "get_run" => Box::pin(read_run(app, caller, arguments)).await,
        name => match agent_of(name) {
            Some(agent) => Box::pin(ask(app, caller, agent, arguments, key)).await,
            None => return Err(ErrorData::invalid_params("There is no tool with this name.", None)),
        },
    };
    Ok(result.unwrap_or_else(|problem| failed(&problem)))
}

async fn start_run(
    app: &App,
    caller: &Principal,
    arguments: Value,
    key: Option<String>,
) -> Result<CallToolResult, Problem> {
    let StartRun {
        input,
        project_id,
        agent,
        variables,
        model,
        parameters,
        output_schema,
        orchestration,
        idempotency_key,
    } = parse(arguments)?;
    let choices = RunChoices {
        agent,
        variables,
        model,
        orchestration,
        output_schema: output_schema.map(Into::into),
        parameters,
        ..RunChoices::default()
    };
    let task = Task { input, project_id, choices, waits: false };
    structured(&start(app, caller, task, idempotency_key.or(key)).await?)
}

async fn send_message(
    app: &App,
    caller: &Principal,
    arguments: Value,
    key: Option<String>,
) -> Result<CallToolResult, Problem> {
    let SendMessage { message, project_id, agent, idempotency_key } = parse(arguments)?;
    let choices = RunChoices { agent, ..RunChoices::default() };
    let task = Task { input: message, project_id, choices, waits: true };
    structured(&start(app, caller, task, idempotency_key.or(key)).await?)
}

async fn read_run(app: &App, caller: &Principal, arguments: Value) -> Result<CallToolResult, Problem> {
    let GetRun { run_id } = parse(arguments)?;
    structured(&get_run(app, caller, run_id).await?)
}

pub(crate) fn parse<T: DeserializeOwned>(arguments: Value) -> Result<T, Problem> {
    serde_json::from_value(arguments)
        .map_err(|error| Problem::invalid(format!("The arguments are not valid: {error}.")))
}

pub(crate) fn structured(value: &impl Serialize) -> Result<CallToolResult, Problem> {
    serde_json::to_value(value).map(CallToolResult::structured).map_err(Problem::internal)
}

fn failed(problem: &Problem) -> CallToolResult {
    if problem.status().is_server_error() {
        let cause = problem.cause().map(ToString::to_string);
        tracing::error!(code = %problem.code(), cause, "could not carry out the call of a tool");
    }
    let detail = problem.detail().unwrap_or("The call failed. Try again in a moment.");
    CallToolResult::error(vec![ContentBlock::text(format!("{detail} ({})", problem.code()))])
}

/// Returns the tools that every tenant has, as `tools/list` shows them.
pub(crate) fn all() -> Vec<Tool> {
    let started = json!({"type": "object", "required": ["run_id", "project_id"], "properties": {
        "run_id": {"type": "string"}, "project_id": {"type": "string"}}});
    let report = json!({"type": "object", "required": ["run_id", "project_id", "status"], "properties": {
        "run_id": {"type": "string"}, "project_id": {"type": "string"},
        "status": {"enum": ["pending", "running", "interrupted", "success", "error", "cancelled"]},
        "answer": {"type": ["string", "null"]}, "interrupts": {"type": "array"},
        "usage": {"type": "object"}, "cost": {"type": "object"}, "error": {"type": ["object", "null"]}}});
    let starts = ToolAnnotations::new().read_only(false).destructive(false).idempotent(false);
    vec![
        tool::<StartRun>(
            "start_run",
            "Starts a task in the background and returns at once. Call get_run for its result.",
            started.clone(),
            starts.clone(),
        ),
        tool::<SendMessage>(
            "send_message",
            "Sends a message to a project. A run in the background answers it, after the runs that were started before: \
             call get_run for the answer.",
            started,
            starts,
        ),
        tool::<GetRun>(
            "get_run",
            "Returns the status of a run, and its answer.",
            report,
            ToolAnnotations::new().read_only(true),
        ),
    ]
}

fn tool<Arguments: JsonSchema>(
    name: &'static str,
    description: &'static str,
    output: Value,
    annotations: ToolAnnotations,
) -> Tool {
    Tool::new(name, description, object(schema::of::<Arguments>()))
        .with_raw_output_schema(object(output).into())
        .with_annotations(annotations.open_world(true))
}

pub(crate) fn object(value: Value) -> JsonObject {
    match value {
        Value::Object(members) => members,
        _ => JsonObject::new(),
    }
}
