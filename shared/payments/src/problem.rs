//! What a caller is told who cannot buy.

use sequent_core::Code;
use sequent_http::Problem;

use crate::Error;

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Data(error) => error.into(),
            Error::Ledger(error) => error.into(),
            Error::Subscribed => Self::conflict(
                "already_subscribed",
                "There is a subscription already. Change or cancel it on the page that POST /api/billing/portal gives.",
            ),
            Error::NoCustomer => Self::conflict(
                "nothing_bought",
                "Nothing has been bought yet, so there is nothing to manage. Begin with POST /api/billing/checkout.",
            ),
            Error::Cursor => Self::bad_request("invalid_cursor", "The cursor is not one of this list."),
            Error::NotSold(why) => Self::new(
                Code::NotForSale,
                format!("It cannot be bought: {why}. See GET /api/billing/catalog."),
            ),
            Error::Stripe(sequent_stripe::Error::Refused { code, .. }) if code == "idempotency_error" => {
                sequent_tables::idempotency::KeyTaken::Reused.into()
            }
            Error::Stripe(sequent_stripe::Error::NotConfigured(why)) => {
                tracing::error!(why, "nothing can be sold");
                Self::not_found("Nothing is sold here: this deployment has no key for Stripe.")
            }
            error @ Error::Stripe(
                sequent_stripe::Error::Refused { .. } | sequent_stripe::Error::Unreadable { .. },
            ) => Self::internal(error),
            error @ (Error::Stripe(sequent_stripe::Error::Unavailable(_)) | Error::Contended) => {
                Self::unavailable(error)
            }
        }
    }
}
