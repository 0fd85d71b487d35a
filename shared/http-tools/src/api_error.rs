//! The public side of the errors of tools.

use sequent_core::{ApiError, Code, ErrorDetails};

use crate::{Error, HttpTools};

impl ApiError for Error {
    fn details(&self) -> ErrorDetails {
        match self {
            Self::NotFound => ErrorDetails::new(Code::NotFound, "There is no tool with this name."),
            Self::NameTaken => ErrorDetails::new(
                Code::ToolExists,
                "There is a tool with this name. Change it, or choose another name.",
            )
            .at("/name", "is taken"),
            Self::TooMany => {
                let detail = format!("A tenant can have at most {} tools. Delete one first.", HttpTools::MAX);
                ErrorDetails::new(Code::ToolsLimit, detail)
            }
            Self::Invalid { pointer, rule } => {
                ErrorDetails::new(Code::ValidationFailed, "The tool is not allowed.")
                    .at(pointer, rule.clone())
            }
            Self::Contended => ErrorDetails::unavailable(),
            Self::Data(error) => error.details(),
            Self::Secret(error) => error.details(),
            Self::Seal(_) | Self::Signing(_) => ErrorDetails::internal(),
        }
    }
}
