//! The failure of a call, classified by what may have happened on the server.

use http::StatusCode;
use sequent_tool::{Error, guard::Refusal};

use crate::request::Unfilled;

/// A failed call. The texts are for models. They do not quote the HTTP client, because its texts can contain addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CallFailure {
    /// No request was sent, and the same call would fail again.
    Refused(String),
    /// The request has not reached the server.
    Unreached(String),
    /// The server has answered, but not with success.
    Answered(StatusCode, String),
    /// There is no whole answer: the server may have processed the request.
    Lost(String),
}

impl CallFailure {
    pub(crate) fn of_client(error: &reqwest::Error) -> Self {
        match Refusal::in_error(error) {
            Some(refusal) => Self::from(refusal),
            None if error.is_connect() => Self::Unreached("The server cannot be reached.".to_owned()),
            None => Self::Lost("The connection to the server was lost.".to_owned()),
        }
    }

    /// Converts to a tool's error, which states what the agent may do next. A call of a tool that is not idempotent is never
    /// retried.
    pub(crate) fn of_tool(self, tool: &str, idempotent: bool) -> Error {
        let may_pass = self.may_pass();
        match self {
            Self::Lost(text) if !idempotent => {
                Error::Unknown(format!("`{tool}`: {text} It may have had its effect."))
            }
            Self::Refused(text) | Self::Unreached(text) | Self::Answered(_, text) | Self::Lost(text) => {
                let text = format!("`{tool}`: {text}");
                if idempotent && may_pass { Error::Unavailable(text) } else { Error::Refused(text) }
            }
        }
    }

    /// Returns `true` if the same request may succeed in a moment.
    fn may_pass(&self) -> bool {
        match self {
            Self::Refused(_) => false,
            Self::Unreached(_) | Self::Lost(_) => true,
            Self::Answered(status, _) => {
                matches!(status.as_u16(), 408 | 425 | 429) || status.is_server_error()
            }
        }
    }
}

impl From<&Refusal> for CallFailure {
    fn from(refusal: &Refusal) -> Self {
        let text = format!("The server cannot be reached: {refusal}.");
        // A name server may be down for a while. Everything else is refused by a rule.
        if *refusal == Refusal::Unresolved { Self::Unreached(text) } else { Self::Refused(text) }
    }
}

impl From<Unfilled> for CallFailure {
    fn from(Unfilled(why): Unfilled) -> Self {
        Self::Refused(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_idempotent_call_is_retried_and_only_after_a_failure_that_may_pass() {
        let answered =
            |status: u16| CallFailure::Answered(StatusCode::from_u16(status).unwrap(), "no".into());
        let code = |failure: CallFailure, idempotent| failure.of_tool("refund", idempotent).code();
        for (failure, idempotent, otherwise) in [
            (CallFailure::Refused("no".into()), "tool_refused", "tool_refused"),
            (CallFailure::Unreached("no".into()), "tool_unavailable", "tool_refused"),
            (CallFailure::Lost("no".into()), "tool_unavailable", "tool_outcome_unknown"),
            (answered(404), "tool_refused", "tool_refused"),
            (answered(302), "tool_refused", "tool_refused"),
            (answered(429), "tool_unavailable", "tool_refused"),
            (answered(503), "tool_unavailable", "tool_refused"),
        ] {
            assert_eq!(code(failure.clone(), true), idempotent, "{failure:?}");
            assert_eq!(code(failure.clone(), false), otherwise, "{failure:?}");
        }
    }
}
