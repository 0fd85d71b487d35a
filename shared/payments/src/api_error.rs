//! The public side of the errors of payments.

use sequent_core::{ApiError, Code, ErrorDetails};
use sequent_tables::idempotency::KeyTaken;

use crate::Error;

impl ApiError for Error {
    fn details(&self) -> ErrorDetails {
        match self {
            Self::Data(error) => error.details(),
            Self::Ledger(error) => error.details(),
            Self::Subscribed => ErrorDetails::new(
                Code::AlreadySubscribed,
                "The tenant has a subscription already. Change or cancel it on the page of POST /api/billing/portal.",
            ),
            Self::NoCustomer => ErrorDetails::new(
                Code::NothingBought,
                "The tenant has not bought anything yet. Start with POST /api/billing/checkout.",
            ),
            Self::Cursor => ErrorDetails::new(Code::InvalidCursor, "The cursor was not issued by this list."),
            Self::NotSold(why) => {
                let detail = format!("This cannot be bought: {why}. See GET /api/billing/catalog.");
                ErrorDetails::new(Code::NotForSale, detail)
            }
            Self::Stripe(error) => stripe(error),
            Self::Contended => ErrorDetails::unavailable(),
        }
    }
}

fn stripe(error: &sequent_stripe::Error) -> ErrorDetails {
    use sequent_stripe::Error;
    match error {
        Error::Refused { code, .. } if code == "idempotency_error" => KeyTaken::Reused.details(),
        Error::NotConfigured(_) => {
            let detail = "Nothing is sold here: the deployment has no key for Stripe.";
            ErrorDetails::new(Code::NotFound, detail)
        }
        Error::Refused { .. } | Error::Unreadable { .. } => ErrorDetails::internal(),
        Error::Unavailable(_) => ErrorDetails::unavailable(),
    }
}
