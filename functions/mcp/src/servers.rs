//! The MCP servers whose tools a tenant's agents may use.

use std::collections::{BTreeMap, BTreeSet};

use axum::{extract::State, response::IntoResponse};
use http::{StatusCode, header::LOCATION};
use sequent_core::{ExposeSecret as _, SecretString, Timestamp};
use sequent_http::{Caller, Json, Path, Problem, Reauthenticated, openapi::Problems};
use sequent_mcp_client::{Approval, DefinitionDigest, Name, NewServer, Server, ToolListing};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::App;

const MAX_URL: usize = 2048;
const MAX_TOKEN: usize = 4096;
const MAX_TOOLS: usize = 100;
const MAX_TOOL_NAME: usize = 256;

/// An MCP server to add.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMcpServer {
    /// The name of the server. Its tools are named `<name>__<tool>`.
    #[schema(value_type = String, pattern = "^[a-z0-9-]{1,32}$")]
    name: Name,
    /// Its MCP endpoint (streamable HTTP), on the public internet. It is stored encrypted; only its host is shown again.
    #[schema(value_type = String, format = "uri", max_length = 2048, example = "https://notes.example.com/mcp", write_only)]
    url: SecretString,
    /// The bearer token for the server, sent over https only. It is stored encrypted and never shown again.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^[!-~]+$", min_length = 1, max_length = 4096, write_only)]
    token: Option<SecretString>,
    /// The tools that agents may use, by their names at the server. All tools if it is absent.
    #[serde(default)]
    #[schema(max_items = 100)]
    allowed_tools: Option<Vec<RemoteToolName>>,
    /// The calls that a person must approve. The hints of tools are the word of the server: choose `always` for a server
    /// that is not trusted.
    #[serde(default)]
    approval: Approval,
    /// The tools, by their names at the server, of which a call may be repeated if its connection is lost. Without it, a
    /// person is asked.
    #[serde(default)]
    #[schema(max_items = 100)]
    repeatable_tools: BTreeSet<RemoteToolName>,
    /// Agents can use the tools of the server.
    #[serde(default = "yes")]
    #[schema(default = true)]
    enabled: bool,
}

const fn yes() -> bool {
    true
}

/// The MCP servers of a tenant.
#[derive(Serialize, ToSchema)]
pub(crate) struct McpServerList {
    /// At most ten servers, sorted by name.
    items: Vec<Server>,
}

/// An MCP server and its tools.
#[derive(Serialize, ToSchema)]
pub(crate) struct McpServerDetails {
    #[serde(flatten)]
    pub(crate) server: Server,
    #[serde(flatten)]
    pub(crate) listing: ToolListing,
}

/// The accepted tools of an MCP server.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcceptedTools {
    /// The `digest` of each accepted tool, by the tool's name at the server. All other tools are disabled.
    accepted: BTreeMap<RemoteToolName, DefinitionDigest>,
}

/// The name of a tool at its server: 1 to 256 bytes.
#[derive(PartialEq, Eq, PartialOrd, Ord, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 256)]
struct RemoteToolName(String);

impl TryFrom<String> for RemoteToolName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fits = (1..=MAX_TOOL_NAME).contains(&text.len());
        fits.then_some(Self(text)).ok_or("must have 1 to 256 bytes")
    }
}

/// List MCP servers.
#[utoipa::path(
    get,
    path = "/api/mcp-servers",
    operation_id = "list_mcp_servers",
    tag = "mcp",
    responses((status = 200, description = "All servers, sorted by name.", body = McpServerList), Problems),
)]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(caller): Caller,
) -> Result<impl IntoResponse, Problem> {
    let items = app.servers.list(caller.tenant).await?;
    Ok(Json(McpServerList { items }))
}

/// Add an MCP server.
///
/// The server must list its tools first, so that a server that was added is known to work. Agents have its tools within a
/// minute, as they are described in the response: a tool that is added or changed later is disabled until it is accepted.
/// A server that is not `enabled` is stored without being contacted.
#[utoipa::path(
    post,
    path = "/api/mcp-servers",
    operation_id = "create_mcp_server",
    tag = "mcp",
    request_body = NewMcpServer,
    responses(
        (status = 201, description = "The server and its tools.", body = McpServerDetails),
        (status = 409, description = "The name is taken (`mcp_server_exists`), or there are ten servers (`mcp_servers_limit`)."),
        (status = 422, description = "The server cannot be reached or does not list its tools (`mcp_server_unreachable`). `detail` contains the reason."),
        Problems
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    Reauthenticated(caller): Reauthenticated,
    Json(body): Json<NewMcpServer>,
) -> Result<impl IntoResponse, Problem> {
    let new = check(body)?;
    let adding = app.servers.add(caller.tenant, caller.user, new, Timestamp::now());
    let (server, listing) = Box::pin(adding).await?;
    let location = [(LOCATION, format!("/api/mcp-servers/{}", server.name))];
    Ok((StatusCode::CREATED, location, Json(McpServerDetails { server, listing })))
}

/// Get an MCP server.
///
/// Returns the server, and its tools as it describes them now. A tool that agents cannot use has the reasons in `problems`,
/// and an entry that is not the definition of a tool is in `malformed_tools`.
#[utoipa::path(
    get,
    path = "/api/mcp-servers/{name}",
    operation_id = "get_mcp_server",
    tag = "mcp",
    params(("name" = String, Path, description = "The name of the server.")),
    responses(
        (status = 200, description = "The server and its tools.", body = McpServerDetails),
        (status = 404, description = "The tenant has no such server."),
        (status = 422, description = "The server cannot be reached or does not list its tools (`mcp_server_unreachable`)."),
        Problems
    ),
)]
pub(crate) async fn get(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(name): Path<Name>,
) -> Result<impl IntoResponse, Problem> {
    let (server, listing) = Box::pin(app.servers.inspect(caller.tenant, &name)).await?;
    Ok(Json(McpServerDetails { server, listing }))
}

/// Replace the accepted tools of an MCP server.
///
/// Send the digests that `GET /api/mcp-servers/{name}` returned with the definitions
/// that a person has read: a tool that changes at the same time stays disabled. Agents have the tools within a minute.
#[utoipa::path(
    put,
    path = "/api/mcp-servers/{name}/tools",
    operation_id = "replace_mcp_tools",
    tag = "mcp",
    params(("name" = String, Path, description = "The name of the server.")),
    request_body = AcceptedTools,
    responses(
        (status = 200, description = "The server.", body = Server),
        (status = 404, description = "The tenant has no such server."),
        Problems
    ),
)]
pub(crate) async fn accept(
    State(app): State<App>,
    Reauthenticated(caller): Reauthenticated,
    Path(name): Path<Name>,
    Json(body): Json<AcceptedTools>,
) -> Result<impl IntoResponse, Problem> {
    let invalid = |why: String| Problem::invalid("The tools cannot be accepted.").at("/accepted", why);
    if body.accepted.len() > MAX_TOOLS {
        return Err(invalid(format!("must have at most {MAX_TOOLS} members")));
    }
    let accepted = body.accepted.into_iter().map(|(tool, digest)| (tool.0, digest)).collect();
    Ok(Json(app.servers.accept(caller.tenant, &name, accepted).await?))
}

/// Delete an MCP server and its token.
#[utoipa::path(
    delete,
    path = "/api/mcp-servers/{name}",
    operation_id = "delete_mcp_server",
    tag = "mcp",
    params(("name" = String, Path, description = "The name of the server.")),
    responses(
        (status = 204, description = "The server is deleted. Agents lose its tools within a minute."),
        (status = 404, description = "The tenant has no such server."),
        Problems
    ),
)]
pub(crate) async fn delete(
    State(app): State<App>,
    Reauthenticated(caller): Reauthenticated,
    Path(name): Path<Name>,
) -> Result<impl IntoResponse, Problem> {
    app.servers.remove(caller.tenant, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn check(new: NewMcpServer) -> Result<NewServer, Problem> {
    let invalid = |at: &str, why: String| Err(Problem::invalid("The MCP server is not allowed.").at(at, why));
    if new.url.expose_secret().len() > MAX_URL {
        return invalid("/url", format!("must have at most {MAX_URL} bytes"));
    }
    // The characters that a header can contain. The token is not repeated in the error.
    let is_token =
        |text: &str| (1..=MAX_TOKEN).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if new.token.as_ref().is_some_and(|token| !is_token(token.expose_secret())) {
        return invalid("/token", format!("must have 1 to {MAX_TOKEN} visible ASCII characters"));
    }
    let allowed = new.allowed_tools.as_ref().map_or(0, Vec::len);
    for (at, count) in [("/allowed_tools", allowed), ("/repeatable_tools", new.repeatable_tools.len())] {
        if count > MAX_TOOLS {
            return invalid(at, format!("must have at most {MAX_TOOLS} items"));
        }
    }
    let NewMcpServer { name, url, token, allowed_tools, approval, repeatable_tools, enabled } = new;
    let allowed_tools = allowed_tools.map(|tools| tools.into_iter().map(|tool| tool.0).collect());
    let repeatable_tools = repeatable_tools.into_iter().map(|tool| tool.0).collect();
    Ok(NewServer { name, url, token, allowed_tools, approval, repeatable_tools, enabled })
}
