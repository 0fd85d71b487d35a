//! Credits over HTTP: how many there are, where they came from, what they were spent on.
//!
//! Thin: each handler parses, authorises, asks [`sequent_billing`] and renders.

mod adjust;
mod credits;
mod ledger;
mod usage;

use axum::Router;
use sequent_billing::{Desk, Terms};
use sequent_http::{Problem, openapi};
use sequent_identity::Vault;
use utoipa_axum::{router::OpenApiRouter, routes};

/// What the handlers share.
#[derive(Clone)]
pub struct Billing {
    desk: Desk,
    vault: Vault,
}

impl Billing {
    /// What is paid for at `desk`, paged with the cursor key in `vault`, which has the administrators' key too.
    #[must_use]
    pub fn new(desk: Desk, vault: Vault) -> Self {
        Self { desk, vault }
    }

    fn terms(&self) -> Result<&Terms, Problem> {
        self.desk
            .terms()
            .ok_or_else(|| Problem::not_found("Runs cost nothing here: this deployment has no billing."))
    }
}

/// The function's routes.
pub fn router(billing: Billing) -> Router {
    routed().split_for_parts().0.with_state(billing)
}

/// The function's part of the API's document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    routed().into_openapi()
}

fn routed() -> OpenApiRouter<Billing> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(credits::credits))
        .routes(routes!(ledger::ledger))
        .routes(routes!(usage::usage))
        .routes(routes!(adjust::adjust))
}
