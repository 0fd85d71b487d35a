//! The published agents of the tenant as tools: a call of `ask_<name>` starts a run of the agent.

use rmcp::model::{CallToolResult, Tool, ToolAnnotations};
use sequent_conversation::{Prompt, RunChoices};
use sequent_core::{Principal, ProjectId};
use sequent_definitions::{AgentDefinition, AgentReference, PublishedAgent, VariableKind, VariableSpec};
use sequent_http::Problem;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    App,
    start::{Task, start},
    tools::{object, parse, structured},
};

/// The beginning of the tools' names.
const PREFIX: &str = "ask_";
/// Bytes of a tool's name at most, a limit of model providers. An agent with a longer name is no tool.
const MAX_NAME: usize = 64;

/// The arguments of a call.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskAgent {
    input: Prompt,
    #[serde(default)]
    project_id: Option<ProjectId>,
    #[serde(default)]
    variables: Map<String, Value>,
    #[serde(default)]
    idempotency_key: Option<String>,
}

/// Returns the tools of the tenant's published agents.
pub(crate) async fn tools(app: &App, caller: &Principal) -> Result<Vec<Tool>, Problem> {
    let published = app.starter.agents().published(caller.tenant).await?;
    let named = published.iter().filter(|agent| PREFIX.len() + agent.name.as_str().len() <= MAX_NAME);
    Ok(named.map(tool).collect())
}

/// Returns the agent that the tool with this name asks, if it is such a tool.
pub(crate) fn agent_of(tool: &str) -> Option<AgentReference> {
    format!("{}@production", tool.strip_prefix(PREFIX)?).parse().ok()
}

/// Starts a run of the agent.
pub(crate) async fn ask(
    app: &App,
    caller: &Principal,
    agent: AgentReference,
    arguments: Value,
    key: Option<String>,
) -> Result<CallToolResult, Problem> {
    let AskAgent { input, project_id, variables, idempotency_key } = parse(arguments)?;
    let choices = RunChoices { agent: Some(agent), variables, ..RunChoices::default() };
    let task = Task { input, project_id, choices, waits: false };
    structured(&start(app, caller, task, idempotency_key.or(key)).await?)
}

fn tool(agent: &PublishedAgent) -> Tool {
    let PublishedAgent { name, definition, .. } = agent;
    let what = definition.description.trim();
    let description =
        format!("{what} Starts a task in the background and returns at once. Call get_run for its result.");
    let annotations =
        ToolAnnotations::new().read_only(false).destructive(false).idempotent(false).open_world(true);
    Tool::new(format!("{PREFIX}{name}"), description.trim().to_owned(), object(parameters(definition)))
        .with_annotations(annotations)
}

/// The JSON Schema of the arguments.
fn parameters(definition: &AgentDefinition) -> Value {
    let mut properties = json!({
        "input": {"type": "string", "minLength": 1, "maxLength": 65_536, "description": "The task."},
        "project_id": {"type": "string", "pattern": "^prj_", "description": "The project. A new one is created if it is absent."},
        "idempotency_key": {"type": "string", "minLength": 1, "maxLength": 255,
            "description": "Any text of your choice. A repeated call with the same key returns the same run."},
    });
    let mut required = vec!["input"];
    if !definition.variables.is_empty() {
        properties["variables"] = variables(definition);
        required
            .extend(definition.variables.values().any(|variable| variable.required).then_some("variables"));
    }
    json!({"type": "object", "additionalProperties": false, "required": required, "properties": properties})
}

fn variables(definition: &AgentDefinition) -> Value {
    let all = &definition.variables;
    let properties: Map<String, Value> =
        all.iter().map(|(name, variable)| (name.to_string(), value_of(variable))).collect();
    let required = all.iter().filter(|(_, variable)| variable.required).map(|(name, _)| name.as_str());
    let required: Vec<&str> = required.collect();
    json!({"type": "object", "additionalProperties": false, "required": required, "properties": properties})
}

fn value_of(variable: &VariableSpec) -> Value {
    let kind = match variable.kind {
        VariableKind::String => "string",
        VariableKind::Number => "number",
        VariableKind::Boolean => "boolean",
    };
    json!({"type": kind, "description": variable.description})
}
