//! Billing over HTTP: balances, the ledger, usage, purchases and the subscription.
//!
//! Thin: each handler parses, authorises, calls [`sequent_billing`] or [`sequent_payments`] and renders.

mod adjust;
mod checkout;
mod credits;
mod ledger;
mod subscription;
mod usage;

use axum::Router;
use sequent_billing::{Credits, Terms};
use sequent_core::Principal;
use sequent_http::{Problem, Scope, openapi, scoped};
use sequent_identity::{Vault, account::User};
use sequent_payments::Payments;
use sequent_tables::{Store, key};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The state of the handlers.
#[derive(Clone)]
pub struct App {
    credits: Credits,
    /// Has the key of the cursors and the admin key.
    vault: Vault,
    store: Store,
    /// `None` if the deployment sells nothing.
    payments: Option<Payments>,
}

impl App {
    /// Makes the state of a deployment that sells nothing.
    #[must_use]
    pub fn new(store: Store, credits: Credits, vault: Vault) -> Self {
        Self { credits, vault, store, payments: None }
    }

    /// Sells the catalog of `payments`.
    #[must_use]
    pub fn selling(self, payments: Option<Payments>) -> Self {
        Self { payments, ..self }
    }

    fn terms(&self) -> Result<&Terms, Problem> {
        self.credits
            .terms()
            .ok_or_else(|| Problem::not_found("This deployment has no billing. Runs are free."))
    }

    fn payments(&self) -> Result<&Payments, Problem> {
        self.terms()?;
        let payments = self.payments.as_ref().filter(|payments| !payments.catalog().is_empty());
        payments.ok_or_else(|| Problem::not_found("This deployment sells nothing."))
    }

    /// The address to which Stripe sends receipts.
    async fn email(&self, caller: &Principal) -> Result<Option<String>, Problem> {
        let user: Option<User> = self.store.get(&key::user(caller.tenant, caller.user)).await?;
        Ok(user.map(|user| user.email.as_str().to_owned()))
    }
}

/// The routes of the function.
pub fn router(app: App) -> Router {
    routed().split_for_parts().0.with_state(app)
}

/// The function's part of the API description.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    routed().into_openapi()
}

fn routed() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(scoped(&[Scope::Account], routes!(credits::get_credits)))
        .routes(scoped(&[Scope::Account], routes!(ledger::list_ledger)))
        .routes(scoped(&[Scope::Account], routes!(usage::get_usage)))
        .routes(routes!(adjust::adjust_credits))
        .routes(scoped(&[Scope::Account], routes!(checkout::get_catalog)))
        .routes(scoped(&[Scope::Account], routes!(checkout::create_checkout)))
        .routes(scoped(&[Scope::Account], routes!(checkout::create_portal)))
        .routes(scoped(&[Scope::Account], routes!(subscription::get_subscription)))
        .routes(scoped(&[Scope::Account], routes!(subscription::list_invoices)))
}
