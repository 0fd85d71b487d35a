//! The session with a server: started when it is needed, and again when the server has ended it.

use std::{sync::Arc, time::Duration};

use rmcp::{
    RoleClient, ServiceExt,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ClientConfig,
        Implementation, JsonObject, MetaObject, PaginatedRequestParams, RequestMetaObject, Tool,
    },
    service::RunningService,
    transport::streamable_http_client::{StreamableHttpClientTransport, StreamableHttpClientTransportConfig},
};
use sequent_core::ExposeSecret;
use sequent_tool::Guard;
use tokio::{sync::Mutex, time::timeout};

use crate::{
    Failure,
    server::Endpoint,
    web::{MAX_EVENT_BYTES, Web},
};

/// The `_meta` field with a call's idempotency key, for servers that support it.
pub(crate) const IDEMPOTENCY_KEY: &str = "sequent/idempotencyKey";

/// Time limit for starting a session, and for listing the tools.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The known model providers accept 128 tools at most, and the built-in tools need some of them.
const MAX_TOOLS: usize = 100;
const MAX_PAGES: usize = 20;

type Session = RunningService<RoleClient, ClientConfig>;

/// A server and the current session with it.
pub(crate) struct Link {
    guard: Guard,
    web: Web,
    endpoint: Endpoint,
    session: Mutex<Option<Arc<Session>>>,
}

impl Link {
    pub(crate) fn new(guard: Guard, web: Web, endpoint: Endpoint) -> Self {
        Self { guard, web, endpoint, session: Mutex::default() }
    }

    /// Lists the server's tools, at most [`MAX_TOOLS`].
    pub(crate) async fn list(&self) -> Result<Vec<Tool>, Failure> {
        let late =
            |_| Err(Failure::Unreached("The server did not list its tools in time. Try again later.".into()));
        timeout(TIMEOUT, self.pages()).await.unwrap_or_else(late)
    }

    async fn pages(&self) -> Result<Vec<Tool>, Failure> {
        let session = self.session().await?;
        let mut tools = Vec::new();
        let mut cursor = None;
        for _ in 0..MAX_PAGES {
            let params = PaginatedRequestParams::default().with_cursor(cursor);
            let page = match session.list_tools(Some(params)).await {
                Ok(page) => page,
                Err(error) => {
                    self.forget(&session).await;
                    return Err(Failure::of_request(&error));
                }
            };
            tools.extend(page.tools);
            cursor = page.next_cursor;
            if cursor.is_none() || tools.len() >= MAX_TOOLS {
                break;
            }
        }
        tools.truncate(MAX_TOOLS);
        Ok(tools)
    }

    /// Calls a tool. A call that has not reached the server is sent once more, in a new session.
    pub(crate) async fn call(
        &self,
        tool: &str,
        arguments: &JsonObject,
        idempotency_key: &str,
    ) -> Result<CallToolResult, Failure> {
        let first = self.attempt(tool, arguments, idempotency_key).await;
        match first {
            Err(Failure::Unreached(_)) => self.attempt(tool, arguments, idempotency_key).await,
            outcome => outcome,
        }
    }

    async fn attempt(
        &self,
        tool: &str,
        arguments: &JsonObject,
        key: &str,
    ) -> Result<CallToolResult, Failure> {
        let session = self.session().await?;
        let mut params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments.clone());
        let mut meta = MetaObject::new();
        meta.0.insert(IDEMPOTENCY_KEY.to_owned(), key.into());
        params.meta = Some(RequestMetaObject(meta));
        match session.call_tool_once(params).await {
            Ok(CallToolResponse::Complete(result)) => Ok(result),
            Ok(_) => Err(Failure::Refused(
                "The tool asks for more than its arguments, which is not supported.".into(),
            )),
            Err(error) => {
                let failure = Failure::of_request(&error);
                if !matches!(failure, Failure::Refused(_)) {
                    self.forget(&session).await;
                }
                Err(failure)
            }
        }
    }

    /// Returns the session, and starts one if there is none. Concurrent calls wait for the same session.
    async fn session(&self) -> Result<Arc<Session>, Failure> {
        let mut current = self.session.lock().await;
        if let Some(session) = current.as_ref().filter(|session| !session.is_transport_closed()) {
            return Ok(Arc::clone(session));
        }
        let late = |_| Err(Failure::Unreached("The server did not answer in time. Try again later.".into()));
        let session = Arc::new(timeout(TIMEOUT, self.start()).await.unwrap_or_else(late)?);
        *current = Some(Arc::clone(&session));
        Ok(session)
    }

    async fn start(&self) -> Result<Session, Failure> {
        // Checked for each session, because the rules may have changed since the server was set up.
        let Endpoint { url, token } = &self.endpoint;
        let admitted = self.guard.admit(url.expose_secret()).map_err(|refusal| Failure::from(&refusal))?;
        let mut config = StreamableHttpClientTransportConfig::with_uri(admitted.url().as_str())
            .max_sse_event_size(MAX_EVENT_BYTES);
        if let Some(token) = token {
            config = config.auth_header(token.expose_secret());
        }
        let transport = StreamableHttpClientTransport::with_client(self.web.clone(), config);
        let client_info = Implementation::new("sequent", env!("CARGO_PKG_VERSION"));
        let config = ClientConfig::new(ClientCapabilities::default(), client_info);
        Box::pin(config.serve(transport)).await.map_err(|error| Failure::of_start(&error))
    }

    /// Drops a failed session, unless another call has already replaced it.
    async fn forget(&self, failed: &Arc<Session>) {
        let mut current = self.session.lock().await;
        if current.as_ref().is_some_and(|session| Arc::ptr_eq(session, failed)) {
            *current = None;
        }
    }
}
