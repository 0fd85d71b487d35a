//! Credits over HTTP: how many there are, where they came from, what they were spent on, and how to buy more.
//!
//! Thin: each handler parses, authorises, asks [`sequent_billing`] or [`sequent_payments`] and renders.

mod adjust;
mod checkout;
mod credits;
mod ledger;
mod subscription;
mod usage;

use axum::Router;
use sequent_billing::{Desk, Terms};
use sequent_http::{Principal, Problem, openapi};
use sequent_identity::{Vault, account::User};
use sequent_payments::Payments;
use sequent_tables::{Store, key};
use utoipa_axum::{router::OpenApiRouter, routes};

/// What the handlers share.
#[derive(Clone)]
pub struct Billing {
    desk: Desk,
    vault: Vault,
    store: Store,
    /// What is sold; nothing without it.
    payments: Option<Payments>,
    /// The origin that users open.
    public_url: String,
}

impl Billing {
    /// What is paid for at `desk`, paged with the cursor key in `vault`, which has the administrators' key too; nothing is
    /// sold.
    #[must_use]
    pub fn new(store: Store, desk: Desk, vault: Vault) -> Self {
        Self { desk, vault, store, payments: None, public_url: String::new() }
    }

    /// Sells what `payments` has to people who come back to `public_url`.
    #[must_use]
    pub fn selling(self, payments: Option<Payments>, public_url: &str) -> Self {
        Self { payments, public_url: public_url.trim_end_matches('/').to_owned(), ..self }
    }

    fn terms(&self) -> Result<&Terms, Problem> {
        self.desk
            .terms()
            .ok_or_else(|| Problem::not_found("Runs cost nothing here: this deployment has no billing."))
    }

    fn payments(&self) -> Result<&Payments, Problem> {
        self.terms()?;
        let sold = self.payments.as_ref().filter(|payments| !payments.catalog().is_empty());
        sold.ok_or_else(|| Problem::not_found("Nothing is sold here."))
    }

    /// Where people come back to from a page of Stripe's.
    fn back(&self) -> Result<String, Problem> {
        if self.public_url.is_empty() {
            return Err(Problem::unavailable("PUBLIC_URL is not set, so nobody could come back from Stripe"));
        }
        Ok(format!("{}/billing", self.public_url))
    }

    /// Where receipts go.
    async fn email(&self, caller: &Principal) -> Result<Option<String>, Problem> {
        let user: Option<User> = self.store.get(&key::user(caller.tenant, caller.user)).await?;
        Ok(user.map(|user| user.email.as_str().to_owned()))
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
        .routes(routes!(checkout::catalog))
        .routes(routes!(checkout::checkout))
        .routes(routes!(checkout::portal))
        .routes(routes!(subscription::subscription))
        .routes(routes!(subscription::invoices))
}
