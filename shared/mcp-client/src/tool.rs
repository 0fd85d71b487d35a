//! Adapts a server's tool to a tool of the agent.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use futures::future::{BoxFuture, FutureExt};
use rmcp::model::JsonObject;
use sequent_tool::{
    Call, Error, Handler, Output, Tool, ToolKind,
    tenant_tool::{self, MAX_DESCRIPTION, MAX_SCHEMA, UnusableTool},
};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    DefinitionDigest, Failure, MalformedTool, Name, Server,
    definition::{Action, ToolDefinition},
    link::Link,
    reading,
    server::Stored,
    text,
};

/// The `_meta` field with a call's idempotency key, for servers that support it.
pub(crate) const IDEMPOTENCY_KEY: &str = "sequent/idempotencyKey";

/// Time limit of a call.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of a tool's name at most, a limit of model providers.
const MAX_NAME: usize = 64;

/// A tool that a server offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Offer {
    /// The name that the server and `allowed_tools` use.
    pub name: String,
    /// The name that models use.
    pub tool: String,
    /// The description from the server.
    pub description: String,
    /// The JSON Schema of the arguments, from the server. Null if it is too large to be used.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub input_schema: Option<Value>,
    /// The hints of the server about the tool. They are its own word.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub annotations: Option<Value>,
    /// SHA-256 of the definition, which accepts it.
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[0-9a-f]{64}$"))]
    pub digest: DefinitionDigest,
    /// The definition is the one that was accepted.
    pub accepted: bool,
    /// A person must approve each call.
    pub needs_approval: bool,
    /// Agents can use the tool: it is allowed and accepted, and its schema is usable.
    pub usable: bool,
    /// The reasons why its schema is not usable, and the members of its definition that are malformed and ignored.
    #[cfg_attr(feature = "openapi", schema(example = json!(["`description` has the wrong type and is ignored"])))]
    pub problems: Vec<String>,
}

/// The tools that a server has listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ToolListing {
    /// The tools of the server, and `read_resource` and `get_prompt` if it has resources and prompts. Empty if it is not
    /// enabled.
    pub tools: Vec<Offer>,
    /// The entries of the server's list that are not definitions of tools. They are left out.
    pub malformed_tools: Vec<MalformedTool>,
    /// The reason why the server may have more tools than were read. Null if all were read.
    #[cfg_attr(feature = "openapi", schema(example = "The server repeats the cursor of an earlier page."))]
    pub incomplete: Option<String>,
}

/// Creates the agent's tool that calls the remote tool. Calls are checked by the server's own schema.
pub(crate) fn tool(server: &Server, remote: &ToolDefinition, link: &Arc<Link>) -> Result<Tool, UnusableTool> {
    let parameters = Value::Object(remote.input_schema.clone());
    // The tenant's word, not the server's hint: a call that is repeated by mistake has its effect twice.
    let idempotent = remote.action != Action::CallTool || server.repeatable_tools.contains(&remote.name);
    let handler = RemoteTool {
        server: server.name.clone(),
        tool: remote.name.clone(),
        action: remote.action,
        idempotent,
        link: Arc::clone(link),
    };
    let kind = ToolKind::Runs(Arc::new(handler));
    let tool = Tool::new(tool_name(&server.name, &remote.name), description(remote), parameters, kind);
    tenant_tool::accept(&tool)?;
    Ok(Tool {
        idempotent,
        needs_approval: server.approval.is_needed_for(remote),
        finds_addresses: server.approval.finds_addresses(remote),
        timeout: TIMEOUT,
        // A server that is set up again under the name is another one.
        target: format!("{} {}", server.host, server.created_at.millis()),
        ..tool
    })
}

/// Describes a tool to the server's tenant.
pub(crate) fn offer(stored: &Stored, remote: &ToolDefinition, link: &Arc<Link>) -> Offer {
    let Stored { server, pins, .. } = stored;
    let schema = Value::Object(remote.input_schema.clone());
    let accepted = pins.accept(remote);
    let unusable = tool(server, remote, link).err().map(|unusable| unusable.to_string());
    let ignored = remote.ignored.iter().map(|name| format!("`{name}` has the wrong type and is ignored"));
    Offer {
        name: remote.name.clone(),
        tool: tool_name(&server.name, &remote.name),
        description: description(remote),
        input_schema: (schema.to_string().len() <= MAX_SCHEMA).then_some(schema),
        annotations: remote.annotations.clone().map(Value::Object),
        digest: DefinitionDigest::of(remote),
        accepted,
        needs_approval: server.approval.is_needed_for(remote),
        usable: accepted && unusable.is_none() && server.allows(&remote.name),
        problems: unusable.into_iter().chain(ignored).collect(),
    }
}

/// The server's description of the tool, cut to [`MAX_DESCRIPTION`].
fn description(remote: &ToolDefinition) -> String {
    let mut text = remote.description.as_deref().or(remote.title.as_deref()).unwrap_or_default().to_owned();
    text.truncate(text.floor_char_boundary(MAX_DESCRIPTION));
    text
}

/// Returns `<server>__<tool>` if providers accept this name. Otherwise cuts it and appends a hash of the full
/// name, so that different tools have different names.
fn tool_name(server: &Name, tool: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let whole = format!("{server}__{tool}");
    if whole.len() <= MAX_NAME && !tool.is_empty() && whole.chars().all(plain) {
        return whole;
    }
    let digest = Sha256::digest(whole.as_bytes());
    let hash = digest.iter().take(4).fold(String::from("_"), |mut hash, byte| {
        let _ = write!(hash, "{byte:02x}"); // writing to a String cannot fail
        hash
    });
    let mut name: String = whole.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    name.truncate(MAX_NAME - hash.len());
    name + &hash
}

/// The handler that calls a tool on its server.
struct RemoteTool {
    server: Name,
    tool: String,
    action: Action,
    idempotent: bool,
    link: Arc<Link>,
}

impl Handler for RemoteTool {
    fn call<'a>(&'a self, mut call: Call<'a>) -> BoxFuture<'a, Result<Output, Error>> {
        async move {
            let arguments = call.parse()?;
            let outcome = match self.action {
                Action::CallTool => self.call_tool(arguments, &call.idempotency_key).await,
                Action::ReadResource => reading::read_resource(&self.link, &arguments).await.map(Ok),
                Action::GetPrompt => reading::get_prompt(&self.link, &arguments).await.map(Ok),
            };
            let said = outcome.map_err(|failure| failure.of_tool(self.server.as_str(), self.idempotent))?;
            said.map(Output::text).map_err(Error::Refused)
        }
        .boxed()
    }
}

impl RemoteTool {
    /// Calls the tool. The inner error is the text of a result that reports one.
    async fn call_tool(&self, arguments: JsonObject, key: &str) -> Result<Result<String, String>, Failure> {
        let params = json!({"name": self.tool, "arguments": arguments, "_meta": {IDEMPOTENCY_KEY: key}});
        let result = self.link.request("tools/call", params).await?;
        if result["resultType"].as_str().is_some_and(|kind| kind != "complete") {
            return Err(Failure::Refused(
                "The tool asks for more than its arguments, which is not supported.".into(),
            ));
        }
        let said = text::of_call(&result);
        Ok(if result["isError"] == true { Err(said) } else { Ok(said) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_accepted_by_providers_and_unique() {
        let server = Name::try_from("my-notes".to_owned()).unwrap();
        assert_eq!(tool_name(&server, "get-sum"), "my-notes__get-sum");
        let long = "x".repeat(54);
        assert_eq!(tool_name(&server, &long), format!("my-notes__{long}"));
        let odd = ["get.sum", "get/sum", "get sum", "", &"x".repeat(55), &"x".repeat(56), "größe", "größ_"];
        let names: std::collections::BTreeSet<_> = odd.iter().map(|tool| tool_name(&server, tool)).collect();
        assert_eq!(names.len(), odd.len(), "{names:?}");
        for name in names {
            assert!(name.len() <= 64 && name.starts_with("my-notes__"), "{name}");
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')), "{name}");
        }
    }
}
