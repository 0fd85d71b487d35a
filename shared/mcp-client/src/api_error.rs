//! The public side of the errors of MCP servers.

use sequent_core::{ApiError, Code, ErrorDetails};

use crate::{Error, Failure, Servers};

impl ApiError for Error {
    fn details(&self) -> ErrorDetails {
        match self {
            Self::NotFound => ErrorDetails::new(Code::NotFound, "There is no MCP server with this name."),
            Self::NameTaken => {
                let detail =
                    "There is an MCP server with this name. Choose another name, or delete it first.";
                ErrorDetails::new(Code::McpServerExists, detail)
            }
            Self::TooMany => {
                let detail =
                    format!("A tenant can have at most {} MCP servers. Delete one first.", Servers::MAX);
                ErrorDetails::new(Code::McpServersLimit, detail)
            }
            Self::Address(refusal) => invalid_address(refusal.to_string()),
            Self::Exposed => invalid_address("must be https if a token is sent".to_owned()),
            Self::SignIn => ErrorDetails::new(
                Code::ValidationFailed,
                "The sign-in cannot be finished. Begin another one.",
            )
            .at("/state", "is not that of a sign-in that you have begun in the last ten minutes".to_owned()),
            Self::Server(Failure::Refused(why) | Failure::Unreached(why) | Failure::Lost(why)) => {
                ErrorDetails::new(Code::McpServerUnreachable, why.clone())
            }
            Self::Data(error) => error.details(),
            Self::Secret(error) => error.details(),
            Self::Seal(_) => ErrorDetails::internal(),
        }
    }
}

fn invalid_address(why: String) -> ErrorDetails {
    ErrorDetails::new(Code::ValidationFailed, "The address of the MCP server is not allowed.").at("/url", why)
}
