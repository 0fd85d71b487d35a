//! `POST /mcp`: Sequent as an MCP server (streamable HTTP), for other agents.
//!
//! The server is stateless: there are no sessions. Every request carries its own credential and is answered with one
//! JSON document, so any instance can answer any request.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    response::Response,
};
use http::{HeaderValue, header::ALLOW, request::Parts};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, ClientJsonRpcMessage, Implementation, ListToolsResult,
        PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
    transport::{
        StreamableHttpServerConfig, StreamableHttpService,
        streamable_http_server::session::never::NeverSessionManager,
    },
};
use sequent_core::{Code, Principal};
use sequent_http::{Caller, Problem, from_json, openapi::Problems};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{App, agents, tools};

/// Bytes of a message. No call of a tool needs more.
const MAX_MESSAGE: usize = 256 * 1024;

const INSTRUCTIONS: &str = "Runs are tasks that Sequent's agents carry out in the background. Start one with start_run, or \
    continue a conversation with send_message. Both return a run_id at once. Then call get_run every few seconds until the \
    status is success, error, cancelled or interrupted. An interrupted run waits for a person's answer.";

/// A JSON-RPC 2.0 message of MCP.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only the schema is used: the SDK reads the message")]
pub(crate) struct McpMessage {
    /// Must be `2.0`.
    #[schema(pattern = "^2[.]0$")]
    jsonrpc: String,
    #[schema(inline, required = false)]
    id: RequestId,
    /// `initialize`, `tools/list`, `tools/call`, ...
    method: String,
    /// In the form that the method requires.
    #[schema(value_type = Option<Object>, required = false)]
    params: Option<serde_json::Map<String, serde_json::Value>>,
}

/// The parameters of a message: an object, or none. The SDK reads any value beside a method that it does not know.
#[derive(Deserialize)]
#[expect(dead_code, reason = "only the type is checked: the SDK reads the message")]
struct Parameters {
    params: Option<serde_json::Map<String, serde_json::Value>>,
}

/// The id of a request, which its response repeats. A notification has none. MCP does not allow `null`, unlike JSON-RPC.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only the schema is used: the SDK reads the message")]
enum RequestId {
    Number(i64),
    Text(String),
}

/// A JSON-RPC 2.0 response of MCP.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only the schema is used: the SDK writes the response")]
pub(crate) struct McpResponse {
    /// Must be `2.0`.
    jsonrpc: String,
    #[schema(value_type = Option<Value>)]
    id: Option<serde_json::Value>,
    /// Present if the call succeeded.
    #[schema(value_type = Option<Object>)]
    result: Option<serde_json::Value>,
    /// Present if the call failed.
    #[schema(value_type = Option<Object>)]
    error: Option<serde_json::Value>,
}

/// Send an MCP message.
///
/// The endpoint for MCP clients (streamable HTTP, stateless, protocol versions 2024-11-05 to 2026-07-28) with the tools
/// `start_run`, `get_run` and `send_message`, and `ask_<name>` for each agent with the label `production`. Clients must accept `application/json` and `text/event-stream`.
#[utoipa::path(
    post,
    path = "/mcp",
    operation_id = "send_mcp_message",
    tag = "mcp",
    request_body = McpMessage,
    responses(
        (status = 200, description = "The JSON-RPC response.", body = McpResponse),
        (status = 202, description = "The notification was accepted."),
        Problems
    ),
)]
pub(crate) async fn serve(
    State(app): State<App>,
    Caller(caller): Caller,
    parts: Parts,
    body: Bytes,
) -> Result<Response, Problem> {
    if body.len() <= MAX_MESSAGE {
        // The SDK would answer what is no message with 415.
        from_json::<ClientJsonRpcMessage>(&body)?;
        from_json::<Parameters>(&body)?;
    }
    let server = Server { app, caller: Arc::new(caller) };
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(MAX_MESSAGE)
        // The check protects servers without authentication from browsers. Here every request needs an access token, and
        // the CDN decides which host names are served.
        .disable_allowed_hosts();
    let service =
        StreamableHttpService::new(move || Ok(server.clone()), Arc::<NeverSessionManager>::default(), config);
    let request = Request::from_parts(parts, Body::from(body));
    Ok(Box::pin(service.handle(request)).await.map(Body::new))
}

/// Open an MCP stream.
///
/// Always refused: the server sends no messages on its own. Responses come with the requests.
#[utoipa::path(
    get,
    path = "/mcp",
    operation_id = "open_mcp_stream",
    tag = "mcp",
    security(()),
    responses((status = 405, description = "Always. MCP clients then do without."), Problems),
)]
pub(crate) async fn listen() -> Problem {
    only_post()
}

/// Close an MCP session.
///
/// Always refused: there are no sessions.
#[utoipa::path(
    delete,
    path = "/mcp",
    operation_id = "close_mcp_session",
    tag = "mcp",
    security(()),
    responses((status = 405, description = "Always. MCP clients then do without."), Problems),
)]
pub(crate) async fn leave() -> Problem {
    only_post()
}

fn only_post() -> Problem {
    let detail = "The server has no streams and no sessions. Send MCP messages with POST.";
    Problem::new(Code::MethodNotAllowed, detail).header(ALLOW, HeaderValue::from_static("POST"))
}

/// The MCP server for one request.
#[derive(Clone)]
struct Server {
    app: App,
    caller: Arc<Principal>,
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("sequent", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let of_agents = Box::pin(agents::tools(&self.app, &self.caller)).await.map_err(|problem| {
            let cause = problem.cause().map(ToString::to_string);
            tracing::error!(code = %problem.code(), cause, "could not read the agents of a tenant; listing no tools");
            ErrorData::internal_error("The tools cannot be listed now. Try again in a moment.", None)
        })?;
        let all = tools::all().into_iter().chain(of_agents).collect();
        Ok(ListToolsResult::with_all_items(all))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::all().into_iter().find(|tool| tool.name == name)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        Box::pin(tools::call(&self.app, &self.caller, request)).await.map(CallToolResponse::from)
    }
}
