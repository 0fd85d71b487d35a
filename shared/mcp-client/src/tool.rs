//! Adapts a server's tool to a tool of the agent.

use std::{collections::BTreeSet, fmt::Write as _, sync::Arc, time::Duration};

use futures::future::{BoxFuture, FutureExt};
use rmcp::model::Tool as Remote;
use sequent_tool::{Call, Error, Handler, Output, Schema, Tool, ToolKind};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{DefinitionDigest, Name, Server, link::Link, server::Stored, text};

/// Time limit of a call.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of a tool's name at most, a limit of model providers.
const MAX_NAME: usize = 64;
// Every model call contains the descriptions and schemas of all tools, so their sizes are limited (in bytes).
const MAX_DESCRIPTION: usize = 4 << 10;
const MAX_SCHEMA: usize = 16 << 10;

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
}

/// The reason why a tool cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("its schema has more than {MAX_SCHEMA} bytes")]
    Large,
    #[error("its schema is {0}")]
    Schema(#[from] sequent_tool::schema::Unusable),
}

/// Creates the agent's tool that calls the remote tool.
pub(crate) fn tool(server: &Server, remote: &Remote, link: &Arc<Link>) -> Result<Tool, Unusable> {
    let mut parameters = Value::Object(remote.input_schema.as_ref().clone());
    if parameters.to_string().len() > MAX_SCHEMA {
        return Err(Unusable::Large);
    }
    // Providers require an object with properties. Servers omit the properties if there are none.
    if let Some(schema) = parameters.as_object_mut() {
        schema.entry("type").or_insert_with(|| "object".into());
        schema.entry("properties").or_insert_with(|| Value::Object(serde_json::Map::new()));
    }
    Schema::new(&parameters)?;
    // The tenant's word, not the server's hint: a call that is repeated by mistake has its effect twice.
    let idempotent = server.repeatable_tools.contains(&*remote.name);
    let handler = RemoteTool {
        server: server.name.clone(),
        tool: remote.name.to_string(),
        idempotent,
        link: Arc::clone(link),
    };
    let description = description(remote);
    let kind = ToolKind::Runs(Arc::new(handler));
    Ok(Tool {
        idempotent,
        needs_approval: server.approval.is_needed_for(remote),
        timeout: TIMEOUT,
        ..Tool::new(tool_name(&server.name, &remote.name), description, parameters, kind)
    })
}

/// Describes a tool to the server's tenant. Agents can use the tools whose names are in `usable`.
pub(crate) fn offer(stored: &Stored, remote: &Remote, usable: &BTreeSet<String>) -> Offer {
    let tool = tool_name(&stored.server.name, &remote.name);
    let schema = Value::Object(remote.input_schema.as_ref().clone());
    let accepted = stored.pins.accept(remote);
    Offer {
        name: remote.name.to_string(),
        description: description(remote),
        input_schema: (schema.to_string().len() <= MAX_SCHEMA).then_some(schema),
        annotations: remote.annotations.as_ref().and_then(|hints| serde_json::to_value(hints).ok()),
        digest: DefinitionDigest::of(remote),
        accepted,
        needs_approval: stored.server.approval.is_needed_for(remote),
        usable: accepted && usable.contains(&tool),
        tool,
    }
}

/// The server's description of the tool, cut to [`MAX_DESCRIPTION`].
fn description(remote: &Remote) -> String {
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
    idempotent: bool,
    link: Arc<Link>,
}

impl Handler for RemoteTool {
    fn call<'a>(&'a self, mut call: Call<'a>) -> BoxFuture<'a, Result<Output, Error>> {
        async move {
            let arguments = call.parse()?;
            let result = self
                .link
                .call(&self.tool, &arguments, &call.idempotency_key)
                .await
                .map_err(|failure| failure.of_tool(self.server.as_str(), self.idempotent))?;
            let content = text::of_result(&result);
            if result.is_error == Some(true) {
                Err(Error::Refused(content))
            } else {
                Ok(Output::text(content))
            }
        }
        .boxed()
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
