//! A tenant's MCP server with a tool that must not run twice and that counts its calls.

use std::{
    collections::BTreeMap,
    future::ready,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body, extract::Request};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult,
        PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
    transport::{
        StreamableHttpServerConfig, StreamableHttpService,
        streamable_http_server::session::never::NeverSessionManager,
    },
};
use serde_json::json;

/// Duration of a call, long enough for a kill.
const TAKES: Duration = Duration::from_millis(20);

/// The server. Its tool `charge` takes `{"for": "..."}`.
#[derive(Clone)]
pub(crate) struct Till {
    address: SocketAddr,
    charges: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Till {
    pub(crate) async fn open() -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let till = Self { address: listener.local_addr().unwrap(), charges: Arc::default() };
        let config =
            StreamableHttpServerConfig::default().with_legacy_session_mode(false).with_json_response(true);
        let server = till.clone();
        let service = StreamableHttpService::new(
            move || Ok(server.clone()),
            Arc::<NeverSessionManager>::default(),
            config,
        );
        let router = Router::new().fallback(move |request: Request| {
            let service = service.clone();
            async move { service.handle(request).await.map(Body::new) }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        till
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Returns the number of charges per item.
    pub(crate) fn charges(&self) -> BTreeMap<String, usize> {
        self.charges.lock().unwrap().clone()
    }
}

impl ServerHandler for Till {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<ListToolsResult, ErrorData>> {
        let schema =
            json!({"type": "object", "properties": {"for": {"type": "string"}}, "required": ["for"]});
        let schema = schema.as_object().unwrap().clone();
        ready(Ok(ListToolsResult::with_all_items(vec![Tool::new("charge", "Charges.", schema)])))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let what = request.arguments.as_ref().and_then(|arguments| arguments["for"].as_str());
        let what = what.ok_or_else(|| ErrorData::invalid_params("for what?", None))?.to_owned();
        *self.charges.lock().unwrap().entry(what).or_default() += 1;
        tokio::time::sleep(TAKES).await;
        Ok(CallToolResult::success(vec![ContentBlock::text("charged")]).into())
    }
}
