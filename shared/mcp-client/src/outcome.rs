//! The failure of a request to a server, classified by what may have happened on the server.

use rmcp::{
    model::ErrorData,
    service::{ClientInitializeError, ServiceError},
    transport::{DynamicTransportError, streamable_http_client::StreamableHttpError},
};
use sequent_tool::{Error as ToolError, guard::Refusal};

use crate::web::{HttpError, RequestError};

/// A failed request. The texts are for people and models. They do not quote the HTTP client, because its
/// texts can contain addresses; an error that the server itself returned is quoted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The server refuses: the same request would fail again.
    #[error("{0}")]
    Refused(String),
    /// The request has not reached the server.
    #[error("{0}")]
    Unreached(String),
    /// There is no answer: the server may have processed the request.
    #[error("{0}")]
    Lost(String),
}

/// Bytes that are quoted from a server's error at most.
const MAX_QUOTE: usize = 2000;

impl Failure {
    /// Classifies the error of a request in a session.
    pub(crate) fn of_request(error: &ServiceError) -> Self {
        match error {
            ServiceError::McpError(error) => Self::answered(error),
            ServiceError::TransportSend(error) => Self::of_transport(error),
            ServiceError::TransportClosed | ServiceError::Cancelled { .. } => {
                Self::Lost("The connection to the server was lost.".into())
            }
            _ => Self::Lost("The server's answer is not a result.".into()),
        }
    }

    /// Classifies the error of starting a session. No call has been sent before that.
    pub(crate) fn of_start(error: &ClientInitializeError) -> Self {
        let failure = match error {
            ClientInitializeError::JsonRpcError(error) => Self::answered(error),
            ClientInitializeError::TransportError { error, .. } => Self::of_transport(error),
            ClientInitializeError::NoCompatibleProtocolVersion { .. } => {
                Self::Refused("The server uses a version of MCP that is not supported.".into())
            }
            _ => Self::Unreached("The server does not answer like an MCP server. Check its address.".into()),
        };
        match failure {
            Self::Lost(text) => Self::Unreached(text),
            failure => failure,
        }
    }

    fn of_transport(error: &DynamicTransportError) -> Self {
        match error.error.downcast_ref::<HttpError>() {
            Some(error) => Self::of_http(error),
            None => Self::Lost("The connection to the server was lost.".into()),
        }
    }

    pub(crate) fn of_http(error: &HttpError) -> Self {
        match error {
            StreamableHttpError::Client(RequestError::Http(error)) => Self::of_client(error),
            StreamableHttpError::Client(RequestError::Token(failure)) => failure.clone(),
            StreamableHttpError::SessionExpired | StreamableHttpError::ReinitializationFailed(_) => {
                Self::Unreached("The server has ended the session.".into())
            }
            StreamableHttpError::AuthRequired(_) | StreamableHttpError::InsufficientScope(_) => {
                Self::Refused(
                    "The server requires a token or a sign-in, or does not accept the token that was sent."
                        .into(),
                )
            }
            StreamableHttpError::HttpStatus(error) => Self::of_status(error.status),
            StreamableHttpError::UnexpectedServerResponse(_) => {
                Self::Lost("The server's answer is not MCP.".into())
            }
            StreamableHttpError::ResponseBodyTooLarge { .. } => {
                Self::Lost("The server's answer is too large.".into())
            }
            _ => Self::Lost("The connection to the server was lost.".into()),
        }
    }

    pub(crate) fn of_client(error: &reqwest::Error) -> Self {
        if let Some(refusal) = Refusal::in_error(error) {
            return Self::from(refusal);
        }
        match error.status() {
            Some(status) => Self::of_status(status.as_u16()),
            None if error.is_connect() => Self::Unreached("The server cannot be reached.".into()),
            None => Self::Lost("The connection to the server was lost.".into()),
        }
    }

    fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::Refused(
                "The server requires a token or a sign-in, or does not accept the token that was sent."
                    .into(),
            ),
            300..=399 => Self::Refused(
                "The server redirects the request. Use the address that it redirects to.".into(),
            ),
            429 => Self::Unreached("The server answered 429: too many requests. Try again later.".into()),
            408 | 500..=599 => Self::Lost(format!("The server answered {status}.")),
            _ => Self::Refused(format!("The server answered {status}: the address is not an MCP endpoint.")),
        }
    }

    fn answered(error: &ErrorData) -> Self {
        let mut text = format!("The server returned an error: {}", error.message);
        text.truncate(text.floor_char_boundary(MAX_QUOTE));
        Self::Refused(text)
    }

    /// Converts to a tool's error, which states what the agent may do next.
    pub(crate) fn of_tool(self, server: &str, idempotent: bool) -> ToolError {
        let text = format!("MCP server `{server}`: {self}");
        match self {
            Self::Refused(_) => ToolError::Refused(text),
            Self::Lost(_) if !idempotent => ToolError::Unknown(text),
            Self::Unreached(_) | Self::Lost(_) => ToolError::Unavailable(text),
        }
    }
}

impl From<&Refusal> for Failure {
    fn from(refusal: &Refusal) -> Self {
        let text = format!("The server cannot be reached: {refusal}.");
        // A name server may be down for a while. Everything else is refused by a rule.
        if *refusal == Refusal::Unresolved { Self::Unreached(text) } else { Self::Refused(text) }
    }
}

#[cfg(test)]
mod tests {
    use rmcp::transport::streamable_http_client::HttpStatusError;

    use super::*;

    #[test]
    fn a_failure_decides_what_the_agent_may_do() {
        let tool = |failure: Failure, idempotent| failure.of_tool("notes", idempotent).code();
        let refused = Failure::Refused("no".into());
        let unreached = Failure::Unreached("no".into());
        let lost = Failure::Lost("no".into());
        assert_eq!(tool(refused, false), "tool_refused");
        assert_eq!(tool(unreached, false), "tool_unavailable");
        assert_eq!(tool(lost.clone(), true), "tool_unavailable");
        assert_eq!(tool(lost, false), "tool_outcome_unknown");
    }

    #[test]
    fn a_status_decides_if_the_request_was_processed() {
        let http = |status| Failure::of_http(&HttpStatusError::new(status, None).into());
        assert!(matches!(http(404), Failure::Refused(text) if text.contains("not an MCP endpoint")));
        assert!(matches!(http(307), Failure::Refused(text) if text.contains("redirects")));
        assert!(matches!(Failure::of_status(503), Failure::Lost(_)));
        assert!(matches!(Failure::of_status(429), Failure::Unreached(_)));
    }
}
