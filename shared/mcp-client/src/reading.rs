//! The resources and prompts of a server, as two tools of ours.
//!
//! In a chat program, a person picks a resource or a prompt. A run has no such person at hand, so the model picks: each
//! tool lists what there is, and reads one. They are accepted, allowed and approved like the tools of the server, and a tool
//! of the server with the same name comes first.

use rmcp::model::JsonObject;
use serde_json::{Value, json};

use crate::{
    Failure, Name,
    definition::{Action, ToolDefinition},
    link::{Capabilities, Link},
    pages::{List, Listed},
    text,
};

/// Bytes of a description in a list at most.
const MAX_DESCRIPTION: usize = 300;

/// Returns the tools for what the server has.
pub(crate) fn tools(server: &Name, capabilities: Capabilities) -> impl Iterator<Item = ToolDefinition> {
    let resources = capabilities.resources.then(|| {
        let description =
            format!("Reads a resource of the MCP server `{server}`. Without `uri`, lists the resources.");
        let uri =
            json!({"uri": {"type": "string", "description": "The address of the resource, as listed."}});
        tool("read_resource", description, uri, Action::ReadResource)
    });
    let prompts = capabilities.prompts.then(|| {
        let description =
            format!("Gets a prompt of the MCP server `{server}`: instructions for a task. Without `name`, lists the prompts.");
        let arguments = json!({"type": "object", "additionalProperties": {"type": "string"},
            "description": "The arguments of the prompt, as listed."});
        let properties = json!({"name": {"type": "string", "description": "The name of the prompt, as listed."}, "arguments": arguments});
        tool("get_prompt", description, properties, Action::GetPrompt)
    });
    resources.into_iter().chain(prompts)
}

fn tool(name: &str, description: String, properties: Value, action: Action) -> ToolDefinition {
    let member = |name: &str, value: Value| JsonObject::from_iter([(name.to_owned(), value)]);
    let mut input_schema = member("type", "object".into());
    input_schema.insert("properties".to_owned(), properties);
    input_schema.insert("additionalProperties".to_owned(), false.into());
    ToolDefinition {
        name: name.to_owned(),
        title: None,
        description: Some(description),
        input_schema,
        annotations: Some(member("readOnlyHint", true.into())),
        ignored: Vec::new(),
        action,
    }
}

/// Reads the resource with the argument `uri`, or lists all.
pub(crate) async fn read_resource(link: &Link, arguments: &JsonObject) -> Result<String, Failure> {
    if let Some(uri) = given(arguments, "uri") {
        let result = link.request("resources/read", json!({"uri": uri})).await?;
        return Ok(text::of_resource(&result));
    }
    let resources = link.list(List::RESOURCES).await?;
    // Few servers have templates, and some do not know the request.
    let templates = link.list(List::TEMPLATES).await.unwrap_or_default();
    let listed = resources.entries.iter().filter_map(|entry| entry_of(entry, "uri", ""));
    let templates = templates
        .entries
        .iter()
        .filter_map(|entry| entry_of(entry, "uriTemplate", " (replace what is in braces)"));
    Ok(joined(listed.chain(templates), &resources, "The server has no resources."))
}

/// Gets the prompt with the argument `name`, or lists all.
pub(crate) async fn get_prompt(link: &Link, arguments: &JsonObject) -> Result<String, Failure> {
    if let Some(name) = given(arguments, "name") {
        let values = arguments.get("arguments").and_then(Value::as_object).cloned().unwrap_or_default();
        let result = link.request("prompts/get", json!({"name": name, "arguments": values})).await?;
        return Ok(text::of_prompt(&result));
    }
    let prompts = link.list(List::PROMPTS).await?;
    let listed = prompts.entries.iter().filter_map(|entry| entry_of(entry, "name", &parameters(entry)));
    Ok(joined(listed, &prompts, "The server has no prompts."))
}

fn given<'a>(arguments: &'a JsonObject, name: &str) -> Option<&'a str> {
    arguments.get(name)?.as_str().filter(|text| !text.trim().is_empty())
}

fn joined(lines: impl Iterator<Item = String>, listed: &Listed, none: &str) -> String {
    let lines: Vec<String> =
        lines.chain(listed.incomplete.iter().map(|why| format!("(There may be more. {why})"))).collect();
    if lines.is_empty() { none.to_owned() } else { lines.join("\n") }
}

/// Returns a line about an entry of a list. Returns `None` for one that has no `key`, because nothing can be read by it.
fn entry_of(entry: &Value, key: &str, remark: &str) -> Option<String> {
    let text = |name: &str| entry[name].as_str().filter(|text| !text.is_empty());
    let mut line = format!("- {}{remark}", text(key)?);
    let title = text("title").or(text("name")).filter(|title| Some(*title) != text(key));
    let details = [title, text("mimeType"), text("description")];
    for (place, detail) in details.into_iter().flatten().enumerate() {
        let detail = &detail[..detail.floor_char_boundary(MAX_DESCRIPTION)];
        line += if place == 0 { ": " } else { ", " };
        line += detail;
    }
    Some(line)
}

/// Returns the names of a prompt's arguments. Optional ones have a question mark.
fn parameters(prompt: &Value) -> String {
    let name = |argument: &Value| {
        let mark = if argument["required"] == true { "" } else { "?" };
        Some(format!("{}{mark}", argument["name"].as_str()?))
    };
    let arguments = prompt["arguments"].as_array().into_iter().flatten();
    format!("({})", arguments.filter_map(name).collect::<Vec<_>>().join(", "))
}
