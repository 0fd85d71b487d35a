//! The session with a server: started when it is needed, and again when the server has ended it.

use std::{sync::Arc, time::Duration};

use rmcp::{
    Peer, RoleClient, ServiceExt,
    model::{
        CancelledNotificationParam, ClientCapabilities, ClientConfig, ClientRequest, CustomRequest,
        Implementation, RequestId,
    },
    service::{PeerRequestOptions, RunningService},
    transport::streamable_http_client::{StreamableHttpClientTransport, StreamableHttpClientTransportConfig},
};
use sequent_core::ExposeSecret;
use sequent_tool::Guard;
use serde_json::Value;
use tokio::{runtime::Handle, sync::Mutex, time::timeout};

use crate::{Failure, message, server::Endpoint, web::Web};

/// Time limit for starting a session.
const TIMEOUT: Duration = Duration::from_secs(10);

type Session = RunningService<RoleClient, ClientConfig>;

/// A server and the current session with it.
pub(crate) struct Link {
    guard: Guard,
    web: Web,
    endpoint: Endpoint,
    session: Mutex<Option<Arc<Session>>>,
}

/// The kinds of things that a server says it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capabilities {
    pub(crate) tools: bool,
    pub(crate) resources: bool,
    pub(crate) prompts: bool,
}

impl Link {
    pub(crate) fn new(guard: Guard, web: Web, endpoint: Endpoint) -> Self {
        Self { guard, web, endpoint, session: Mutex::default() }
    }

    /// Returns the kinds of things that the server says it has.
    pub(crate) async fn capabilities(&self) -> Result<Capabilities, Failure> {
        let session = self.session().await?;
        let info = session.peer_info();
        let stated = info.as_ref().map(|info| &info.capabilities);
        Ok(Capabilities {
            tools: stated.is_some_and(|stated| stated.tools.is_some()),
            resources: stated.is_some_and(|stated| stated.resources.is_some()),
            prompts: stated.is_some_and(|stated| stated.prompts.is_some()),
        })
    }

    /// Sends a request and returns its result, as the server wrote it. A request that has not reached the server is sent
    /// once more, in a new session.
    pub(crate) async fn request(&self, method: &str, params: Value) -> Result<Value, Failure> {
        let first = self.attempt(method, params.clone()).await;
        match first {
            Err(Failure::Unreached(_)) => self.attempt(method, params).await,
            outcome => outcome,
        }
    }

    async fn attempt(&self, method: &str, params: Value) -> Result<Value, Failure> {
        let session = self.session().await?;
        let request = ClientRequest::CustomRequest(CustomRequest::new(method, Some(params)));
        let failure = match answer(&session, request).await {
            Ok(result) => match message::unwrapped(result) {
                Some(result) => return Ok(result),
                None => Failure::Lost("The server's answer is not a result.".into()),
            },
            Err(error) => Failure::of_request(&error),
        };
        if !matches!(failure, Failure::Refused(_)) {
            self.forget(&session).await;
        }
        Err(failure)
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
        let mut config = StreamableHttpClientTransportConfig::with_uri(admitted.url().as_str());
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

/// Waits for the answer to a request. A request that is given up before is cancelled at the server.
async fn answer(
    session: &Session,
    request: ClientRequest,
) -> Result<rmcp::model::ServerResult, rmcp::service::ServiceError> {
    let sent = session.send_request_with_option(request, PeerRequestOptions::no_options()).await?;
    let mut waiting = WaitingRequest { peer: sent.peer.clone(), id: Some(sent.id.clone()) };
    let result = sent.await_response().await;
    waiting.id = None;
    result
}

/// A request that is cancelled if this is dropped while it has an id.
struct WaitingRequest {
    peer: Peer<RoleClient>,
    id: Option<RequestId>,
}

impl Drop for WaitingRequest {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        let Ok(runtime) = Handle::try_current() else { return };
        let peer = self.peer.clone();
        // The answer does not matter any more, nor does a server that cannot be told.
        runtime.spawn(
            async move { peer.notify_cancelled(CancelledNotificationParam::new(Some(id), None)).await },
        );
    }
}
