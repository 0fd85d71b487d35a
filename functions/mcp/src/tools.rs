//! The tools that other agents see.

use rmcp::{
    ErrorData,
    model::{CallToolRequestParams, CallToolResult, ContentBlock, JsonObject, Tool, ToolAnnotations},
};
use sequent_core::{ProjectId, RunId};
use sequent_event::Orchestration;
use sequent_http::Problem;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    endpoint::Call,
    look,
    start::{self, New},
};

/// Where the key is that makes a repeated call harmless, for clients that give every call one.
const IDEMPOTENCY_KEY: &str = "sequent/idempotencyKey";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StartRun {
    input: String,
    project_id: Option<ProjectId>,
    model: Option<String>,
    #[serde(default)]
    orchestration: Orchestration,
    idempotency_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SendMessage {
    message: String,
    project_id: Option<ProjectId>,
    idempotency_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GetRun {
    run_id: RunId,
}

/// Makes the call. What fails within a tool is a result that says what to do, for the model that called.
pub(crate) async fn call(call: &Call, request: CallToolRequestParams) -> Result<CallToolResult, ErrorData> {
    let meta = request.meta.as_ref().and_then(|meta| meta.0.0.get(IDEMPOTENCY_KEY)?.as_str());
    let meta = meta.map(str::to_owned);
    let arguments = Value::Object(request.arguments.unwrap_or_default());
    let outcome = match request.name.as_ref() {
        "start_run" => Box::pin(start_run(call, arguments, meta)).await,
        "send_message" => Box::pin(send_message(call, arguments, meta)).await,
        "get_run" => Box::pin(get_run(call, arguments)).await,
        _ => return Err(ErrorData::invalid_params("There is no such tool.", None)),
    };
    Ok(outcome.unwrap_or_else(|problem| failed(&problem)))
}

async fn start_run(call: &Call, arguments: Value, key: Option<String>) -> Result<CallToolResult, Problem> {
    let StartRun { input, project_id, model, orchestration, idempotency_key } = parse(arguments)?;
    let key = idempotency_key.or(key);
    let new = New { input, project_id, model, orchestration, waits: false };
    start::start(call, new, key).await.and_then(|started| structured(&started))
}

async fn send_message(call: &Call, arguments: Value, key: Option<String>) -> Result<CallToolResult, Problem> {
    let SendMessage { message, project_id, idempotency_key } = parse(arguments)?;
    let key = idempotency_key.or(key);
    let orchestration = Orchestration::default();
    let new = New { input: message, project_id, model: None, orchestration, waits: true };
    start::start(call, new, key).await.and_then(|started| structured(&started))
}

async fn get_run(call: &Call, arguments: Value) -> Result<CallToolResult, Problem> {
    let GetRun { run_id } = parse(arguments)?;
    look::look(call, run_id).await.and_then(|seen| structured(&seen))
}

fn parse<T: DeserializeOwned>(arguments: Value) -> Result<T, Problem> {
    serde_json::from_value(arguments)
        .map_err(|error| Problem::invalid(format!("The arguments do not fit: {error}.")))
}

fn structured(value: &impl Serialize) -> Result<CallToolResult, Problem> {
    serde_json::to_value(value).map(CallToolResult::structured).map_err(Problem::internal)
}

fn failed(problem: &Problem) -> CallToolResult {
    if problem.status().is_server_error() {
        let cause = problem.cause().map(ToString::to_string);
        tracing::error!(code = problem.code().as_str(), cause, "a tool of ours failed");
    }
    let detail = problem.detail().unwrap_or("It did not work. Try again in a moment.");
    CallToolResult::error(vec![ContentBlock::text(format!("{detail} ({})", problem.code()))])
}

/// What `tools/list` says.
pub(crate) fn all() -> Vec<Tool> {
    let key = json!({"type": "string", "minLength": 1, "maxLength": 255,
        "description": "Any text of yours. A repeated call with the same key gets the same run."});
    let project = |without: &str| json!({"type": "string", "pattern": "^prj_", "description": format!("The conversation; without, {without}.")});
    let text =
        |what: &str| json!({"type": "string", "minLength": 1, "maxLength": 65536, "description": what});
    let started = json!({"type": "object", "required": ["run_id", "project_id"], "properties": {
        "run_id": {"type": "string"}, "project_id": {"type": "string"}}});
    let seen = json!({"type": "object", "required": ["run_id", "project_id", "status"], "properties": {
        "run_id": {"type": "string"}, "project_id": {"type": "string"},
        "status": {"enum": ["pending", "running", "interrupted", "success", "error", "cancelled"]},
        "answer": {"type": ["string", "null"]}, "interrupts": {"type": "array"},
        "usage": {"type": "object"}, "cost": {"type": "object"}, "error": {"type": ["object", "null"]}}});
    let starts = ToolAnnotations::new().read_only(false).destructive(false).idempotent(false);
    vec![
        tool(
            "start_run",
            "Starts a task in the background and answers at once. Ask get_run for its outcome.",
            json!({"input": text("What is to be done."), "project_id": project("a new one is made"),
                "model": {"type": "string", "description": "The model that works; the deployment's default without."},
                "orchestration": {"enum": ["direct", "plan"], "description": "plan: in planned steps, for long tasks."},
                "idempotency_key": key}),
            &["input"],
            started.clone(),
            starts.clone(),
        ),
        tool(
            "send_message",
            "Sends a message to a conversation. The answer is a run in the background, behind those that were asked for \
             before: ask get_run for it.",
            json!({"message": text("What to say."), "project_id": project("a new one begins"), "idempotency_key": key}),
            &["message"],
            started,
            starts,
        ),
        tool(
            "get_run",
            "Tells where a run stands, and what it answered.",
            json!({"run_id": {"type": "string", "pattern": "^run_", "description": "As start_run or send_message gave it."}}),
            &["run_id"],
            seen,
            ToolAnnotations::new().read_only(true),
        ),
    ]
}

fn tool(
    name: &'static str,
    description: &'static str,
    properties: Value,
    required: &[&str],
    output: Value,
    annotations: ToolAnnotations,
) -> Tool {
    let input = json!({
        "type": "object", "properties": properties, "required": required, "additionalProperties": false,
    });
    Tool::new(name, description, object(input))
        .with_raw_output_schema(object(output).into())
        .with_annotations(annotations.open_world(true))
}

fn object(value: Value) -> JsonObject {
    match value {
        Value::Object(members) => members,
        _ => JsonObject::new(),
    }
}
