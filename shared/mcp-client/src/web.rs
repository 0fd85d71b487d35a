//! The HTTP transport of the MCP client, with a guarded HTTP client.
//!
//! It differs from the SDK's own transport in this. It holds no connection open for messages that a server sends unasked,
//! because a process that is frozen between invocations cannot receive them. It recognizes every form in which servers
//! report that a session has ended. It takes any success as the acceptance of a notification. And it passes results on as
//! the server wrote them (see [`message`]).

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use futures::{Stream, StreamExt, stream::BoxStream};
use http::{
    HeaderName, HeaderValue, Method, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use reqwest::{Client, RequestBuilder, Response};
use rmcp::{
    model::{ClientJsonRpcMessage, JsonRpcMessage, ServerJsonRpcMessage},
    transport::streamable_http_client::{
        HttpStatusError, SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
    },
};
use sequent_tool::Guard;
use sse_stream::{Sse, SseStream};

use crate::{
    Failure,
    bearer::Bearer,
    message::{self, Asked},
};

/// Bytes of a response at most.
const MAX_RESPONSE_BYTES: usize = 8 << 20;
/// Bytes of a response that reports an error at most.
const MAX_ERROR_BYTES: usize = 64 << 10;
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const EVENT_STREAM: &str = "text/event-stream";

type Headers = HashMap<HeaderName, HeaderValue>;
pub(crate) type HttpError = StreamableHttpError<RequestError>;
type HttpResult<T> = Result<T, HttpError>;
type Events = BoxStream<'static, Result<Sse, SseError>>;

/// A guarded HTTP client for MCP.
#[derive(Clone)]
pub(crate) struct Web {
    client: Client,
    /// The tokens of a user who has signed in to the server.
    bearer: Option<Arc<Bearer>>,
}

/// A request without a response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// There is no token to send.
    #[error(transparent)]
    Token(#[from] Failure),
}

/// A response whose body cannot be read to its end.
#[derive(Debug, thiserror::Error)]
enum BodyError {
    #[error(transparent)]
    Lost(#[from] reqwest::Error),
    #[error("the response has more than {0} bytes")]
    Large(usize),
}

impl From<BodyError> for HttpError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Lost(error) => Self::Client(error.into()),
            BodyError::Large(max_size) => Self::ResponseBodyTooLarge { max_size },
        }
    }
}

impl Web {
    /// Creates the client. This reads the system's certificates, so it is done when the client is first
    /// needed.
    pub(crate) fn new(guard: &Guard) -> Result<Self, reqwest::Error> {
        guard
            .client(concat!("sequent-mcp/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(std::time::Duration::from_secs(5))
            .build()
            .map(|client| Self { client, bearer: None })
    }

    /// Returns a client that sends the tokens of a user.
    pub(crate) fn with_bearer(self, bearer: Option<Bearer>) -> Self {
        Self { bearer: bearer.map(Arc::new), ..self }
    }

    /// Begins a request to an admitted address, without any token.
    pub(crate) fn request_to(&self, method: Method, admitted: &str) -> RequestBuilder {
        self.client.request(method, admitted)
    }

    /// Returns the token to send: of the user who has signed in, or the configured one.
    async fn token(&self, configured: Option<String>) -> HttpResult<Option<String>> {
        match &self.bearer {
            Some(bearer) => Ok(Some(bearer.token().await.map_err(of_token)?)),
            None => Ok(configured),
        }
    }

    fn request(
        &self,
        method: Method,
        uri: &str,
        session: Option<&str>,
        token: Option<&str>,
        headers: Headers,
    ) -> RequestBuilder {
        let mut request = self.request_to(method, uri).headers(headers.into_iter().collect());
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(session) = session {
            request = request.header(SESSION, session);
        }
        request
    }
}

impl StreamableHttpClient for Web {
    type Error = RequestError;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        token: Option<String>,
        headers: Headers,
    ) -> HttpResult<StreamableHttpPostResponse> {
        let asked = Asked::of(&message);
        let in_session = session.is_some();
        let send = async |token: Option<&str>| {
            let request = self.request(Method::POST, &uri, session.as_deref(), token, headers.clone());
            let request = request.header(ACCEPT, "application/json, text/event-stream").json(&message);
            request.send().await.map_err(of_request)
        };
        let token = self.token(token).await?;
        let mut response = send(token.as_deref()).await?;
        // A message that was refused so was not processed.
        if response.status() == StatusCode::UNAUTHORIZED
            && let Some(bearer) = &self.bearer
        {
            let another = bearer.after(&token.unwrap_or_default()).await.map_err(of_token)?;
            response = send(Some(&another)).await?;
        }
        let status = response.status();
        if !status.is_success() {
            return refusal(response, asked.as_ref(), in_session).await;
        }
        let Some(asked) = asked else { return Ok(StreamableHttpPostResponse::Accepted) };
        if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        let session = response.headers().get(SESSION).and_then(|id| id.to_str().ok()).map(str::to_owned);
        if is_event_stream(&response) {
            return Ok(StreamableHttpPostResponse::Sse(events(response, Some(asked)), session));
        }
        let text = text(response, MAX_RESPONSE_BYTES).await?;
        match read(&text, Some(&asked)) {
            Some(message) if in_session && forgot_session(&message) => {
                Err(StreamableHttpError::SessionExpired)
            }
            Some(message) => Ok(StreamableHttpPostResponse::Json(message, session)),
            None => Err(StreamableHttpError::UnexpectedServerResponse(Cow::Borrowed("not a message of MCP"))),
        }
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        token: Option<String>,
        headers: Headers,
    ) -> HttpResult<()> {
        // A server that cannot end sessions says so, which changes nothing.
        let token = self.token(token).await?;
        let request = self.request(Method::DELETE, &uri, Some(&session), token.as_deref(), headers);
        request.send().await.map_err(of_request)?;
        Ok(())
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event_id: Option<String>,
        token: Option<String>,
        headers: Headers,
    ) -> HttpResult<Events> {
        let Some(last) = last_event_id else { return Err(StreamableHttpError::ServerDoesNotSupportSse) };
        let token = self.token(token).await?;
        let request = self.request(Method::GET, &uri, session.as_deref(), token.as_deref(), headers);
        let request = request.header(ACCEPT, EVENT_STREAM).header(LAST_EVENT_ID, last);
        let response = request.send().await.map_err(of_request)?;
        match response.status() {
            StatusCode::METHOD_NOT_ALLOWED => Err(StreamableHttpError::ServerDoesNotSupportSse),
            status if !status.is_success() => Err(HttpStatusError::new(status.as_u16(), None).into()),
            _ if is_event_stream(&response) => Ok(events(response, None)),
            _ => Err(StreamableHttpError::ServerDoesNotSupportSse),
        }
    }
}

/// Returns the error of a response whose status is not a success. An error of MCP in its body counts, unless the status
/// says that the caller is not authorized.
async fn refusal(
    response: Response,
    asked: Option<&Asked>,
    in_session: bool,
) -> HttpResult<StreamableHttpPostResponse> {
    let status = response.status();
    if status == StatusCode::NOT_FOUND && in_session {
        return Err(StreamableHttpError::SessionExpired);
    }
    let failed: HttpError = HttpStatusError::new(status.as_u16(), None).into();
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS) {
        return Err(failed);
    }
    // What is no error of MCP is not read further.
    let text = text(response, MAX_ERROR_BYTES).await.unwrap_or_default();
    match read(&text, asked) {
        Some(message) if in_session && forgot_session(&message) => Err(StreamableHttpError::SessionExpired),
        Some(message @ JsonRpcMessage::Error(_)) if asked.is_some() => {
            Ok(StreamableHttpPostResponse::Json(message, None))
        }
        _ => Err(failed),
    }
}

fn of_request(error: reqwest::Error) -> HttpError {
    StreamableHttpError::Client(error.into())
}

fn of_token(failure: Failure) -> HttpError {
    StreamableHttpError::Client(failure.into())
}

fn read(text: &str, asked: Option<&Asked>) -> Option<ServerJsonRpcMessage> {
    serde_json::from_value(message::readable(text, asked)?).ok()
}

fn is_event_stream(response: &Response) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with(EVENT_STREAM))
}

/// Returns the body in pieces, up to a size.
fn pieces(response: Response, max: usize) -> impl Stream<Item = Result<bytes::Bytes, BodyError>> {
    let mut left = max;
    response.bytes_stream().map(move |piece| {
        let piece = piece?;
        left = left.checked_sub(piece.len()).ok_or(BodyError::Large(max))?;
        Ok(piece)
    })
}

/// Reads a body up to a size.
pub(crate) async fn text(response: Response, max: usize) -> HttpResult<String> {
    let mut pieces = std::pin::pin!(pieces(response, max));
    let mut body = Vec::new();
    while let Some(piece) = pieces.next().await {
        body.extend_from_slice(&piece?);
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// Returns the events of a response, with messages that the SDK can read. Other data stays, and the SDK skips it.
fn events(response: Response, asked: Option<Asked>) -> Events {
    let events = SseStream::from_bytes_stream(pieces(response, MAX_RESPONSE_BYTES));
    let readable = move |mut event: Sse| {
        let message = event.data.as_deref().and_then(|data| message::readable(data, asked.as_ref()));
        event.data = message.map(|message| message.to_string()).or(event.data);
        event
    };
    events.map(move |event| event.map(&readable)).boxed()
}

/// Returns `true` if the message reports an unknown session. The specification requires status 404; the servers
/// of the reference SDKs also answer 400 with a transport error.
fn forgot_session(message: &ServerJsonRpcMessage) -> bool {
    const SERVER_ERRORS: std::ops::RangeInclusive<i32> = -32001..=-32000;
    let JsonRpcMessage::Error(error) = message else { return false };
    let text = error.error.message.to_ascii_lowercase();
    let names_session = text.contains("session") || text.contains("server not initialized");
    names_session && SERVER_ERRORS.contains(&error.error.code.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_session_is_recognized_by_the_texts_of_the_reference_servers() {
        let forgot = |code: i32, message: &str| {
            let error =
                serde_json::json!({"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message}});
            forgot_session(&serde_json::from_value(error).unwrap())
        };
        for (code, message) in [
            (-32000, "Bad Request: No valid session ID provided"),
            (-32001, "Session not found"),
            (-32000, "Bad Request: Server not initialized"),
        ] {
            assert!(forgot(code, message), "{message}");
        }
        // Errors of tools are not transport errors.
        for (code, message) in [(-32603, "no session"), (-32602, "session is required"), (-32000, "busy")] {
            assert!(!forgot(code, message), "{message}");
        }
    }
}
