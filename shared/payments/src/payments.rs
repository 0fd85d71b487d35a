//! What all of it needs: the tables, Stripe, and what is sold.

use sequent_billing::{Desk, Ledger, Terms};
use sequent_core::TenantId;
use sequent_tables::Store;

use crate::Catalog;

/// Payments of a deployment. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Payments {
    pub(crate) store: Store,
    pub(crate) stripe: sequent_stripe::Client,
    pub(crate) catalog: Catalog,
    /// Where what runs spend is reported.
    pub(crate) meter: Option<String>,
    terms: Terms,
}

/// A payment, or what is known of one, could not be dealt with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The table failed.
    #[error(transparent)]
    Data(#[from] sequent_tables::Error),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] sequent_billing::Error),
    /// Stripe failed, or refused.
    #[error(transparent)]
    Stripe(#[from] sequent_stripe::Error),
    /// Others were at the same rows again and again; the same call may succeed a moment later.
    #[error("what was paid for is being changed by others")]
    Contended,
    /// The tenant subscribes already.
    #[error("the tenant subscribes already")]
    Subscribed,
    /// The tenant has never bought anything.
    #[error("the tenant has never bought anything")]
    NoCustomer,
    /// The list has no such place.
    #[error("the cursor is not one of this list")]
    Cursor,
    /// It is not for sale.
    #[error("{0}")]
    NotSold(String),
}

impl Payments {
    /// Payments at `stripe` for what is in `catalog`, on the terms of `desk`. `None` if the deployment has no billing.
    #[must_use]
    pub fn new(store: Store, stripe: sequent_stripe::Client, catalog: Catalog, desk: &Desk) -> Option<Self> {
        let terms = desk.terms()?.clone();
        Some(Self { store, stripe, catalog, meter: None, terms })
    }

    /// As the environment says. `None` if the deployment has no billing, or no secret for Stripe's key.
    ///
    /// # Errors
    /// When a setting makes no sense.
    pub fn from_env(
        store: Store,
        secrets: &aws_sdk_secretsmanager::Client,
        desk: &Desk,
    ) -> Result<Option<Self>, Box<dyn std::error::Error + Send + Sync>> {
        let Some(web) = sequent_stripe::Web::from_env(secrets)? else { return Ok(None) };
        let meter = std::env::var("BILLING_METER").ok().filter(|name| !name.is_empty());
        let payments = Self::new(store, sequent_stripe::Client::new(web), Catalog::from_env()?, desk);
        Ok(payments.map(|payments| Self { meter, ..payments }))
    }

    /// What is sold.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The ledger of a tenant, whose account is there.
    pub(crate) async fn ledger(&self, tenant: TenantId) -> Result<Ledger, Error> {
        let ledger = Ledger::new(self.store.clone(), tenant);
        // A first grant would make an account without the welcome that new ones are given.
        ledger.account(&self.terms).await?;
        Ok(ledger)
    }
}
