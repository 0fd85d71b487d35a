//! The public side of the errors of webhooks.

use sequent_core::{ApiError, Code, ErrorDetails};

use crate::{Error, Webhooks};

impl ApiError for Error {
    fn details(&self) -> ErrorDetails {
        match self {
            Self::NotFound => ErrorDetails::new(Code::NotFound, "There is no webhook with this id."),
            Self::DeliveryNotFound => {
                ErrorDetails::new(Code::NotFound, "The webhook has no delivery with this id.")
            }
            Self::TooMany => {
                let detail =
                    format!("A tenant can have at most {} webhooks. Delete one first.", Webhooks::MAX);
                ErrorDetails::new(Code::WebhooksLimit, detail)
            }
            Self::Address(refusal) => invalid_address(refusal.to_string()),
            Self::Insecure => invalid_address("must be https".to_owned()),
            Self::Disabled => ErrorDetails::new(Code::WebhookDisabled, "The webhook is disabled."),
            Self::Pending => ErrorDetails::new(Code::DeliveryPending, "The delivery has not ended."),
            Self::Cursor(error) => error.details(),
            Self::Data(error) => error.details(),
            Self::Secret(error) => error.details(),
            Self::Seal(_) | Self::SigningSecret(_) => ErrorDetails::internal(),
        }
    }
}

fn invalid_address(why: String) -> ErrorDetails {
    ErrorDetails::new(Code::ValidationFailed, "The address of the webhook is not allowed.").at("/url", why)
}
