//! `POST /mcp`: Sequent as an MCP server (streamable HTTP), for agents elsewhere.
//!
//! Stateless: there are no sessions, every request carries its own credential and is answered with one JSON document, so
//! that any instance may answer any of them.

use std::{future::ready, sync::Arc};

use axum::{
    body::Body,
    extract::{Request, State},
    response::Response,
};
use http::{HeaderValue, header::ALLOW};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, Implementation, ListToolsResult, PaginatedRequestParams,
        ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
    transport::{
        StreamableHttpServerConfig, StreamableHttpService,
        streamable_http_server::session::never::NeverSessionManager,
    },
};
use sequent_core::Code;
use sequent_http::{Caller, Principal, Problem, openapi::Problems};
use utoipa::ToSchema;

use crate::{Mcp, tools};

/// More than any call of our tools needs.
const MAX_MESSAGE: usize = 256 * 1024;

const INSTRUCTIONS: &str = "Runs are tasks that Sequent's agents carry out in the background. Start one with start_run, or \
    go on with a conversation with send_message; both answer at once with a run_id. Then ask get_run every few seconds until \
    the status is success, error, cancelled or interrupted. An interrupted run waits for a person's answer.";

/// A JSON-RPC 2.0 message of MCP.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used: the SDK reads the message")]
pub(crate) struct McpMessage {
    /// `2.0`.
    jsonrpc: String,
    /// Absent in notifications.
    #[schema(value_type = Option<Value>)]
    id: Option<serde_json::Value>,
    /// `initialize`, `tools/list`, `tools/call`, ...
    method: Option<String>,
    /// As the method wants it.
    #[schema(value_type = Option<Object>)]
    params: Option<serde_json::Value>,
}

/// Speak MCP to Sequent.
///
/// The endpoint for MCP clients (streamable HTTP, stateless, protocol versions 2024-11-05 to 2026-07-28) with the tools
/// `start_run`, `get_run` and `send_message`. Clients say that they accept `application/json` and `text/event-stream`.
#[utoipa::path(
    post,
    path = "/mcp",
    operation_id = "mcp",
    tag = "mcp",
    request_body = McpMessage,
    responses(
        (status = 200, description = "The JSON-RPC response.", content_type = "application/json"),
        (status = 202, description = "A notification was taken."),
        Problems
    ),
)]
pub(crate) async fn serve(State(mcp): State<Mcp>, Caller(caller): Caller, request: Request) -> Response {
    let server = Sequent(Arc::new(Call { mcp, caller }));
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(MAX_MESSAGE)
        // No browser is tricked into sending somebody's access token, and which names lead here the CDN decides.
        .disable_allowed_hosts();
    let service =
        StreamableHttpService::new(move || Ok(server.clone()), Arc::<NeverSessionManager>::default(), config);
    Box::pin(service.handle(request)).await.map(Body::new)
}

/// Nothing to listen to: answers come with the requests.
#[utoipa::path(
    get,
    path = "/mcp",
    operation_id = "mcp_listen",
    tag = "mcp",
    security(()),
    responses((status = 405, description = "Always, which tells MCP clients to do without."), Problems),
)]
pub(crate) async fn listen() -> Problem {
    only_post()
}

/// No session to end.
#[utoipa::path(
    delete,
    path = "/mcp",
    operation_id = "mcp_leave",
    tag = "mcp",
    security(()),
    responses((status = 405, description = "Always, which tells MCP clients to do without."), Problems),
)]
pub(crate) async fn leave() -> Problem {
    only_post()
}

fn only_post() -> Problem {
    let detail = "There is no stream to listen to and no session to end; MCP messages are sent with POST.";
    Problem::new(Code::MethodNotAllowed, detail).header(ALLOW, HeaderValue::from_static("POST"))
}

/// What a request is about.
pub(crate) struct Call {
    pub(crate) mcp: Mcp,
    pub(crate) caller: Principal,
}

/// The server, for one request.
#[derive(Clone)]
struct Sequent(Arc<Call>);

impl ServerHandler for Sequent {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("sequent", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<ListToolsResult, ErrorData>> {
        ready(Ok(ListToolsResult::with_all_items(tools::all())))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::all().into_iter().find(|tool| tool.name == name)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        Box::pin(tools::call(&self.0, request)).await.map(CallToolResponse::from)
    }
}
