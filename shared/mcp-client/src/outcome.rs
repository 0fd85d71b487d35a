//! How talking to a server can fail, in terms of what may have happened at its end.

use std::error::Error as StdError;

use rmcp::{
    model::ErrorData,
    service::{ClientInitializeError, ServiceError},
    transport::{DynamicTransportError, streamable_http_client::StreamableHttpError},
};
use sequent_tool::{Error as ToolError, guard::Refusal};

/// Why a server did not do what it was asked. The texts are for people and models: in our own words, for the client's
/// may tell addresses, except where the server itself answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It will not: the same request fails again.
    #[error("{0}")]
    Refused(String),
    /// Nothing has reached it.
    #[error("{0}")]
    Unreached(String),
    /// It may have done it, and no answer came.
    #[error("{0}")]
    Lost(String),
}

type Http = StreamableHttpError<reqwest::Error>;

/// The most that is quoted of an error of a server's.
const MAX_QUOTE: usize = 2000;

impl Failure {
    /// Of a tool's call.
    pub(crate) fn of_request(error: &ServiceError) -> Self {
        match error {
            ServiceError::McpError(error) => Self::answered(error),
            ServiceError::TransportSend(error) => Self::of_transport(error),
            ServiceError::TransportClosed | ServiceError::Cancelled { .. } => {
                Self::Lost("The connection broke off.".into())
            }
            _ => Self::Lost("The server answered something that is no result.".into()),
        }
    }

    /// Of the beginning of a session, before which nothing is done.
    pub(crate) fn of_start(error: &ClientInitializeError) -> Self {
        let failure = match error {
            ClientInitializeError::JsonRpcError(error) => Self::answered(error),
            ClientInitializeError::TransportError { error, .. } => Self::of_transport(error),
            ClientInitializeError::NoCompatibleProtocolVersion { .. } => {
                Self::Refused("The server speaks another version of MCP.".into())
            }
            _ => Self::Unreached("The server does not answer as an MCP server does.".into()),
        };
        match failure {
            Self::Lost(why) => Self::Unreached(why),
            failure => failure,
        }
    }

    fn of_transport(error: &DynamicTransportError) -> Self {
        match error.error.downcast_ref::<Http>() {
            Some(error) => Self::of_http(error),
            None => Self::Lost("The connection broke off.".into()),
        }
    }

    fn of_http(error: &Http) -> Self {
        match error {
            StreamableHttpError::Client(error) => Self::of_client(error),
            StreamableHttpError::SessionExpired | StreamableHttpError::ReinitializationFailed(_) => {
                Self::Unreached("The server has ended the session.".into())
            }
            StreamableHttpError::AuthRequired(_) | StreamableHttpError::InsufficientScope(_) => {
                Self::Refused("The server does not accept the token it was given, or wants one.".into())
            }
            StreamableHttpError::HttpStatus(error) => Self::of_status(error.status),
            // The SDK's text for other statuses; the body behind it is not for quoting.
            StreamableHttpError::UnexpectedServerResponse(text) => match status_in(text) {
                Some(status) => Self::of_status(status),
                None => Self::Lost("The server answered something that is not MCP.".into()),
            },
            StreamableHttpError::ResponseBodyTooLarge { .. } => {
                Self::Lost("The server's answer is too large.".into())
            }
            StreamableHttpError::UnexpectedContentType(_) => {
                Self::Lost("The server answered something that is not MCP.".into())
            }
            _ => Self::Lost("The connection broke off.".into()),
        }
    }

    fn of_client(error: &reqwest::Error) -> Self {
        let mut source = error.source();
        while let Some(cause) = source {
            if let Some(refusal) = cause.downcast_ref::<Refusal>() {
                return Self::from(refusal);
            }
            source = cause.source();
        }
        match error.status() {
            Some(status) => Self::of_status(status.as_u16()),
            None if error.is_connect() => Self::Unreached("No connection to the server can be made.".into()),
            None => Self::Lost("The connection broke off.".into()),
        }
    }

    fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => {
                Self::Refused("The server does not accept the token it was given, or wants one.".into())
            }
            300..=399 => Self::Refused("The server redirects; name the address it redirects to.".into()),
            429 => Self::Unreached("The server answered 429: too many requests.".into()),
            408 | 500..=599 => Self::Lost(format!("The server answered {status}.")),
            _ => Self::Refused(format!("The server answered {status}: this is no MCP endpoint.")),
        }
    }

    fn answered(error: &ErrorData) -> Self {
        let mut text = format!("The server refused: {}", error.message);
        text.truncate(text.floor_char_boundary(MAX_QUOTE));
        Self::Refused(text)
    }

    /// What an agent may do about it.
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
        // A name server may be down; everything else is a rule.
        if *refusal == Refusal::Unresolved { Self::Unreached(text) } else { Self::Refused(text) }
    }
}

/// `404` of `HTTP 404 Not Found: ...`.
fn status_in(text: &str) -> Option<u16> {
    text.strip_prefix("HTTP ")?.get(..3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_happened_decides_what_an_agent_may_do() {
        let tool = |failure: Failure, idempotent| failure.of_tool("notes", idempotent).code();
        let (refused, unreached, lost) =
            (Failure::Refused("no".into()), Failure::Unreached("no".into()), Failure::Lost("no".into()));
        assert_eq!(tool(refused, false), "tool_refused");
        assert_eq!(tool(unreached, false), "tool_unavailable");
        assert_eq!(tool(lost.clone(), true), "tool_unavailable");
        assert_eq!(tool(lost, false), "tool_outcome_unknown");
    }

    #[test]
    fn a_status_says_whether_the_request_was_processed() {
        let http = |text: &'static str| Failure::of_http(&Http::UnexpectedServerResponse(text.into()));
        assert!(
            matches!(http("HTTP 404 Not Found: <html>"), Failure::Refused(text) if !text.contains("html"))
        );
        assert!(
            matches!(http("HTTP 307 Temporary Redirect: "), Failure::Refused(text) if text.contains("redirects"))
        );
        assert!(matches!(http("could not parse"), Failure::Lost(_)));
        assert!(matches!(Failure::of_status(503), Failure::Lost(_)));
        assert!(matches!(Failure::of_status(429), Failure::Unreached(_)));
    }
}
