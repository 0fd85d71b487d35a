//! The MCP servers of a tenant.

use axum::{extract::State, response::IntoResponse};
use http::{StatusCode, header::LOCATION};
use sequent_core::{Code, SecretString, Timestamp};
use sequent_http::{Caller, Json, Path, Problem, Scope, openapi::Problems};
use sequent_mcp_client::{Error, Failure, Name, NewServer, Offer, Server, Servers};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::App;

const MAX_URL: usize = 2048;
const MAX_TOKEN: usize = 4096;
const MAX_TOOLS: usize = 100;
const MAX_TOOL_NAME: usize = 256;

/// A server to set up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMcpServer {
    /// What to call it. Its tools are called `<name>__<tool>`.
    #[schema(value_type = String, pattern = "^[a-z0-9-]{1,32}$")]
    name: Name,
    /// Its MCP endpoint (streamable HTTP), on the public internet.
    #[schema(max_length = 2048, example = "https://notes.example.com/mcp")]
    url: String,
    /// What to send it as bearer token, over https only. It is stored encrypted and never shown again.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 4096, write_only)]
    token: Option<SecretString>,
    /// The only tools that agents may use, by the names the server gives them; all of them without.
    #[serde(default)]
    #[schema(max_items = 100)]
    allowed_tools: Option<Vec<String>>,
    /// Whether agents see it.
    #[serde(default = "yes")]
    #[schema(default = true)]
    enabled: bool,
}

const fn yes() -> bool {
    true
}

/// All servers of a tenant.
#[derive(Serialize, ToSchema)]
pub(crate) struct McpServerList {
    /// At most ten, by name.
    items: Vec<Server>,
}

/// A server that was set up.
#[derive(Serialize, ToSchema)]
pub(crate) struct McpServerAdded {
    #[serde(flatten)]
    server: Server,
    /// What it offers; nothing if it is not enabled.
    tools: Vec<Offer>,
}

/// List the MCP servers whose tools agents may use.
#[utoipa::path(
    get,
    path = "/api/mcp-servers",
    operation_id = "list_mcp_servers",
    tag = "mcp",
    responses((status = 200, description = "All of them, by name.", body = McpServerList), Problems),
)]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(caller): Caller,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::ProjectsRead)?;
    let items = app.servers.list(caller.tenant).await.map_err(problem)?;
    Ok(Json(McpServerList { items }))
}

/// Set up an MCP server.
///
/// It is asked for its tools at once, so that what is set up is known to work. Agents have them within a minute. One that is
/// not `enabled` is stored without being asked.
#[utoipa::path(
    post,
    path = "/api/mcp-servers",
    operation_id = "create_mcp_server",
    tag = "mcp",
    request_body = NewMcpServer,
    responses(
        (status = 201, description = "The server, and what it offers.", body = McpServerAdded),
        (status = 409, description = "The name is taken (`mcp_server_exists`), or there are ten already (`mcp_servers_limit`)."),
        (status = 422, description = "It cannot be reached or does not list its tools (`mcp_server_unreachable`); `detail` says why."),
        Problems
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    Caller(caller): Caller,
    Json(body): Json<NewMcpServer>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::Account)?;
    let new = check(body)?;
    let adding = app.servers.add(caller.tenant, caller.user, new, Timestamp::now());
    let (server, tools) = Box::pin(adding).await.map_err(problem)?;
    let location = [(LOCATION, format!("/api/mcp-servers/{}", server.name))];
    Ok((StatusCode::CREATED, location, Json(McpServerAdded { server, tools })))
}

/// Take an MCP server away, and its token with it.
#[utoipa::path(
    delete,
    path = "/api/mcp-servers/{name}",
    operation_id = "delete_mcp_server",
    tag = "mcp",
    params(("name" = String, Path, description = "What the tenant calls it.")),
    responses(
        (status = 204, description = "Deleted. Agents lose its tools within a minute."),
        (status = 404, description = "The tenant has no such server."),
        Problems
    ),
)]
pub(crate) async fn delete(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(name): Path<Name>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::Account)?;
    app.servers.remove(caller.tenant, &name).await.map_err(problem)?;
    Ok(StatusCode::NO_CONTENT)
}

fn check(new: NewMcpServer) -> Result<NewServer, Problem> {
    use sequent_core::ExposeSecret as _;
    let invalid =
        |at: &str, why: String| Err(Problem::invalid("The server cannot be set up so.").at(at, why));
    if new.url.len() > MAX_URL {
        return invalid("/url", format!("must have at most {MAX_URL} bytes"));
    }
    // What may stand in a header; nothing of it is repeated.
    let is_token =
        |text: &str| (1..=MAX_TOKEN).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if new.token.as_ref().is_some_and(|token| !is_token(token.expose_secret())) {
        return invalid("/token", format!("must have 1 to {MAX_TOKEN} visible ASCII characters"));
    }
    let tools = new.allowed_tools.as_deref().unwrap_or_default();
    if tools.len() > MAX_TOOLS {
        return invalid("/allowed_tools", format!("must have at most {MAX_TOOLS} items"));
    }
    if let Some(at) = tools.iter().position(|tool| !(1..=MAX_TOOL_NAME).contains(&tool.len())) {
        return invalid(&format!("/allowed_tools/{at}"), format!("must have 1 to {MAX_TOOL_NAME} bytes"));
    }
    let NewMcpServer { name, url, token, allowed_tools, enabled } = new;
    Ok(NewServer { name, url, token, allowed_tools, enabled })
}

/// What a caller is told when an operation on a server fails.
fn problem(error: Error) -> Problem {
    match error {
        Error::NotFound => Problem::not_found("There is no such MCP server."),
        Error::NameTaken => Problem::conflict("mcp_server_exists", "There is an MCP server of that name."),
        Error::TooMany => {
            let detail = format!("There are {} MCP servers; delete one first.", Servers::MAX);
            Problem::conflict("mcp_servers_limit", detail)
        }
        Error::Address(refusal) => {
            Problem::invalid("The server cannot be set up so.").at("/url", refusal.to_string())
        }
        Error::Exposed => Problem::invalid("The server cannot be set up so.")
            .at("/url", "must be https where a token is sent"),
        Error::Server(Failure::Refused(why) | Failure::Unreached(why) | Failure::Lost(why)) => {
            Problem::new(Code::McpServerUnreachable, why)
        }
        Error::Data(error) => error.into(),
        Error::Secret(error) => error.into(),
        Error::Seal(error) => Problem::internal(error),
    }
}
