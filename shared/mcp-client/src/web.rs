//! The HTTP transport of the MCP client, with a guarded HTTP client.
//!
//! It differs from the SDK's own transport in two ways. It holds no connection open for messages that a
//! server sends unasked, because a process that is frozen between invocations cannot receive them. And it
//! recognizes every form in which servers report that a session has ended.

use std::{collections::HashMap, sync::Arc};

use futures::stream::BoxStream;
use http::{HeaderName, HeaderValue};
use reqwest::Client;
use rmcp::{
    model::{ClientJsonRpcMessage, JsonRpcMessage},
    transport::streamable_http_client::{
        SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
    },
};
use sequent_tool::Guard;
use sse_stream::Sse;

/// The size limit of a server's message. The SDK itself limits JSON bodies to 16 MiB.
pub(crate) const MAX_EVENT_BYTES: usize = 4 << 20;

type Headers = HashMap<HeaderName, HeaderValue>;
type HttpResult<T> = Result<T, StreamableHttpError<reqwest::Error>>;
type Events = BoxStream<'static, Result<Sse, SseError>>;

/// A guarded HTTP client for MCP.
#[derive(Clone)]
pub(crate) struct Web(Client);

impl Web {
    /// Creates the client. This reads the system's certificates, so it is done when the client is first
    /// needed.
    pub(crate) fn new(guard: &Guard) -> Result<Self, reqwest::Error> {
        // An error means that the program has chosen a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        guard
            .configure(Client::builder())
            .user_agent(concat!("sequent-mcp/", env!("CARGO_PKG_VERSION")))
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .connect_timeout(std::time::Duration::from_secs(5))
            // No pool: the connections of a frozen process are dead when it resumes.
            .pool_max_idle_per_host(0)
            .build()
            .map(Self)
    }
}

impl StreamableHttpClient for Web {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        token: Option<String>,
        headers: Headers,
    ) -> HttpResult<StreamableHttpPostResponse> {
        let limit = MAX_EVENT_BYTES;
        self.post_message_with_max_sse_event_size(uri, message, session, token, headers, limit).await
    }

    async fn post_message_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        token: Option<String>,
        headers: Headers,
        limit: usize,
    ) -> HttpResult<StreamableHttpPostResponse> {
        let in_session = session.is_some();
        let answer =
            self.0.post_message_with_max_sse_event_size(uri, message, session, token, headers, limit).await?;
        match answer {
            StreamableHttpPostResponse::Json(JsonRpcMessage::Error(error), _)
                if in_session && forgot_session(error.error.code.0, &error.error.message) =>
            {
                Err(StreamableHttpError::SessionExpired)
            }
            answer => Ok(answer),
        }
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        token: Option<String>,
        headers: Headers,
    ) -> HttpResult<()> {
        self.0.delete_session(uri, session, token, headers).await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event_id: Option<String>,
        token: Option<String>,
        headers: Headers,
    ) -> HttpResult<Events> {
        let limit = MAX_EVENT_BYTES;
        self.get_stream_with_max_sse_event_size(uri, session, last_event_id, token, headers, limit).await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event_id: Option<String>,
        token: Option<String>,
        headers: Headers,
        limit: usize,
    ) -> HttpResult<Events> {
        if last_event_id.is_none() {
            return Err(StreamableHttpError::ServerDoesNotSupportSse);
        }
        self.0.get_stream_with_max_sse_event_size(uri, session, last_event_id, token, headers, limit).await
    }
}

/// Returns `true` if the error reports an unknown session. The specification requires status 404; the servers
/// of the reference SDKs also answer 400 with a transport error.
fn forgot_session(code: i32, message: &str) -> bool {
    const SERVER_ERRORS: std::ops::RangeInclusive<i32> = -32001..=-32000;
    let message = message.to_ascii_lowercase();
    SERVER_ERRORS.contains(&code)
        && (message.contains("session") || message.contains("server not initialized"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_session_is_recognized_by_the_texts_of_the_reference_servers() {
        for (code, message) in [
            (-32000, "Bad Request: No valid session ID provided"),
            (-32001, "Session not found"),
            (-32000, "Bad Request: Server not initialized"),
        ] {
            assert!(forgot_session(code, message), "{message}");
        }
        // Errors of tools are not transport errors.
        for (code, message) in [(-32603, "no session"), (-32602, "session is required"), (-32000, "busy")] {
            assert!(!forgot_session(code, message), "{message}");
        }
    }
}
