//! The mapping between tenants and customers at Stripe.

use sequent_core::TenantId;
use sequent_tables::{Condition, Retry, Row, Transaction, Write, attribute, key};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Error, Payments};

const TRIES: u32 = 5;

/// The row of a tenant: its current and former customers.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Payer {
    customer: String,
    /// `true` if the customer was deleted at Stripe. The next purchase creates another one.
    #[serde(default)]
    deleted: bool,
    /// Customers before the current one.
    #[serde(default)]
    former: Vec<String>,
}

/// The row of a customer. It is never deleted, because a later event about the customer must find its tenant.
#[derive(Serialize, Deserialize)]
struct Bound {
    tenant: TenantId,
}

impl Payments {
    /// Returns the tenant's current customer.
    pub(crate) async fn customer(&self, tenant: TenantId) -> Result<Option<String>, Error> {
        let payer: Option<Payer> = self.store.get(&key::payer(tenant)).await?;
        Ok(payer.filter(|payer| !payer.deleted).map(|payer| payer.customer))
    }

    /// Returns the tenant's current and former customers.
    pub(crate) async fn customers(&self, tenant: TenantId) -> Result<Vec<String>, Error> {
        let payer: Option<Payer> = self.store.get(&key::payer(tenant)).await?;
        Ok(payer.map(Payer::all).unwrap_or_default())
    }

    /// Returns the tenant's customer, and creates it if there is none. A concurrent call, or one after a crash, gets the same
    /// customer, because the idempotency key is derived from the tenant.
    pub(crate) async fn make_customer(&self, tenant: TenantId, email: Option<&str>) -> Result<String, Error> {
        for _ in 0..TRIES {
            let payer: Option<Payer> = self.store.get(&key::payer(tenant)).await?;
            let (former, seen) = match payer {
                Some(payer) if !payer.deleted => return Ok(payer.customer),
                Some(payer) => (payer.clone().all(), Some(payer.customer)),
                None => (Vec::new(), None),
            };
            // Stripe refuses the same key with other parameters, so the key covers the address.
            let digest = Sha256::digest(email.unwrap_or_default().as_bytes());
            let (head, _) = digest.split_first_chunk::<4>().expect("a digest has 32 bytes");
            let once = format!("customer-{tenant}-{}-{:08x}", former.len(), u32::from_be_bytes(*head));
            let made = self.stripe.create_customer(&once, &tenant.to_string(), email).await?;
            let next = Payer { customer: made.id.clone(), deleted: false, former };
            let next = Row::new(&key::payer(tenant), &next)?;
            let bound = Row::new(&key::lookup::payer(&made.id), &Bound { tenant })?;
            let next = match seen {
                None => Write::insert(next),
                Some(seen) => Write::put(next).when(customer_is(&seen)),
            };
            let transaction = Transaction::new().write(next).write(Write::put(bound));
            match self.store.commit(transaction, Retry::BRIEF).await {
                Ok(()) => return Ok(made.id),
                // Another process was first. The next read of the row decides.
                Err(cancelled) if cancelled.any_refused() => {}
                Err(cancelled) => return Err(cancelled.into()),
            }
        }
        Err(Error::Contended)
    }

    /// Records that a customer was deleted at Stripe, so that the next purchase creates another. Returns `true` if it was
    /// deleted.
    pub(crate) async fn forget_if_deleted(&self, tenant: TenantId, customer: &str) -> Result<bool, Error> {
        // A customer that Stripe does not know was created with the key of another account, and is kept.
        if !self.stripe.customer(customer).await?.is_some_and(|found| found.deleted) {
            return Ok(false);
        }
        let payer: Option<Payer> = self.store.get(&key::payer(tenant)).await?;
        if let Some(payer) = payer.filter(|payer| payer.customer == customer && !payer.deleted) {
            let next = Row::new(&key::payer(tenant), &Payer { deleted: true, ..payer })?;
            // If the write is refused, a successor has replaced the customer already.
            self.store.write_if(Write::put(next).when(customer_is(customer))).await?;
        }
        Ok(true)
    }

    /// Returns the tenant of a customer, or `None` if it is not a customer of this deployment.
    pub(crate) async fn tenant_of(&self, customer: &str) -> Result<Option<TenantId>, Error> {
        let bound: Option<Bound> = self.store.get(&key::lookup::payer(customer)).await?;
        Ok(bound.map(|bound| bound.tenant))
    }
}

impl Payer {
    fn all(self) -> Vec<String> {
        let mut all = self.former;
        all.push(self.customer);
        all
    }
}

/// Requires that the tenant's customer is still the one that was read.
fn customer_is(customer: &str) -> Condition {
    attribute("customer").equals(customer)
}
