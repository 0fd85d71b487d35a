//! The dependencies of this crate in one value: tables, Stripe and catalog.

use sequent_billing::{Credits, Ledger, Terms};
use sequent_core::TenantId;
use sequent_tables::{Cancelled, Error as DataError, SecretTable, Store};

use crate::Catalog;

/// The payments of a deployment. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Payments {
    pub(crate) store: Store,
    pub(crate) stripe: sequent_stripe::Client,
    pub(crate) catalog: Catalog,
    /// Name of the meter at Stripe that receives the cost of runs.
    pub(crate) meter: Option<String>,
    terms: Terms,
}

/// Failure of an operation on payments.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The table could not be read or written.
    #[error(transparent)]
    Data(#[from] sequent_tables::Error),
    /// The ledger could not be read or changed.
    #[error(transparent)]
    Ledger(#[from] sequent_billing::Error),
    /// Stripe failed, or refused.
    #[error(transparent)]
    Stripe(#[from] sequent_stripe::Error),
    /// Every attempt met a concurrent change of the same rows. The same call may succeed a moment later.
    #[error("the purchase is being changed by other requests")]
    Contended,
    /// The tenant has a subscription already.
    #[error("the tenant has a subscription already")]
    Subscribed,
    /// The tenant has never bought anything.
    #[error("the tenant has never bought anything")]
    NoCustomer,
    /// The cursor does not belong to this list.
    #[error("the cursor does not belong to this list")]
    Cursor,
    /// The catalog has no such offer.
    #[error("{0}")]
    NotSold(String),
}

impl From<Cancelled> for Error {
    fn from(cancelled: Cancelled) -> Self {
        match DataError::from(cancelled) {
            DataError::Conflict(_) | DataError::Throttled => Self::Contended,
            error => Self::Data(error),
        }
    }
}

impl Payments {
    /// Returns the payments at `stripe` for `catalog`, on the terms of `credits`. Returns `None` if billing is off.
    #[must_use]
    pub fn new(
        store: Store,
        stripe: sequent_stripe::Client,
        catalog: Catalog,
        credits: &Credits,
    ) -> Option<Self> {
        let terms = credits.terms()?.clone();
        Some(Self { store, stripe, catalog, meter: None, terms })
    }

    /// Reads the settings from the environment. Returns `None` if billing is off.
    ///
    /// # Errors
    /// Fails if a setting is invalid.
    pub fn from_env(
        store: Store,
        secrets: &SecretTable,
        credits: &Credits,
    ) -> Result<Option<Self>, Box<dyn std::error::Error + Send + Sync>> {
        let web = sequent_stripe::Web::from_env(secrets)?;
        let meter = std::env::var("BILLING_METER").ok().filter(|name| !name.is_empty());
        let payments = Self::new(store, sequent_stripe::Client::new(web), Catalog::from_env()?, credits);
        Ok(payments.map(|payments| Self { meter, ..payments }))
    }

    /// Returns the offers of the deployment.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Returns the ledger of a tenant, after making sure that its account exists.
    pub(crate) async fn ledger(&self, tenant: TenantId) -> Result<Ledger, Error> {
        let ledger = Ledger::new(self.store.clone(), tenant);
        // A grant to a missing account would create it without the welcome credits of new accounts.
        ledger.account(&self.terms).await?;
        Ok(ledger)
    }
}
