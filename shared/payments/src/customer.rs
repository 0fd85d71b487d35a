//! Which customer at Stripe a tenant is, and which tenant a customer.

use aws_sdk_dynamodb::types::AttributeValue;
use sequent_core::TenantId;
use sequent_tables::{Cancelled, Row, Transaction, key};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Error, Payments};

const TRIES: u32 = 5;

/// The tenant's row.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Payer {
    customer: String,
    /// Whether it was deleted at Stripe. The next purchase makes another one.
    #[serde(default)]
    deleted: bool,
    /// Those before it.
    #[serde(default)]
    former: Vec<String>,
}

/// The customer's row. It is never removed: what is heard of a customer later must find its tenant.
#[derive(Serialize, Deserialize)]
struct Bound {
    tenant: TenantId,
}

impl Payments {
    /// The tenant's customer, if it has one.
    pub(crate) async fn customer(&self, tenant: TenantId) -> Result<Option<String>, Error> {
        let payer: Option<Payer> = self.store.get(&key::payer(tenant)).await?;
        Ok(payer.filter(|payer| !payer.deleted).map(|payer| payer.customer))
    }

    /// All that ever were the tenant's customer.
    pub(crate) async fn customers(&self, tenant: TenantId) -> Result<Vec<String>, Error> {
        let payer: Option<Payer> = self.store.get(&key::payer(tenant)).await?;
        Ok(payer.map(Payer::all).unwrap_or_default())
    }

    /// The tenant's customer; one is made if it has none. Whoever calls at the same time, or again after a crash, is
    /// given the same by Stripe, for the key says what it is for.
    pub(crate) async fn make_customer(&self, tenant: TenantId, email: Option<&str>) -> Result<String, Error> {
        for _ in 0..TRIES {
            let payer: Option<Payer> = self.store.get(&key::payer(tenant)).await?;
            let (former, seen) = match payer {
                Some(payer) if !payer.deleted => return Ok(payer.customer),
                Some(payer) => (payer.clone().all(), Some(payer.customer)),
                None => (Vec::new(), None),
            };
            // The same key must not come with another address.
            let digest = Sha256::digest(email.unwrap_or_default().as_bytes());
            let (head, _) = digest.split_first_chunk::<4>().expect("a digest has 32 bytes");
            let once = format!("customer-{tenant}-{}-{:08x}", former.len(), u32::from_be_bytes(*head));
            let made = self.stripe.create_customer(&once, &tenant.to_string(), email).await?;
            let next = Payer { customer: made.id.clone(), deleted: false, former };
            let next = Row::new(&key::payer(tenant), &next)?;
            let bound = Row::new(&key::lookup::payer(&made.id), &Bound { tenant })?;
            let writes = match seen {
                None => Transaction::new().insert(&self.store, next),
                Some(seen) => Transaction::new().put_if(&self.store, next, IS_IT, vec![it(seen)]),
            };
            match writes.put(&self.store, bound).run(&self.store).await {
                Ok(()) => return Ok(made.id),
                Err(Cancelled::Failed(error)) if !error.is_transient() => return Err(error.into()),
                // Somebody else was first, or nothing is known: the row tells.
                Err(_) => {}
            }
        }
        Err(Error::Contended)
    }

    /// Notes that a customer was deleted at Stripe, if it was, so that the next purchase makes another. Whether it was.
    pub(crate) async fn forget_if_deleted(&self, tenant: TenantId, customer: &str) -> Result<bool, Error> {
        // One that Stripe has never heard of was made with another account's key, which is no reason to forget it.
        if !self.stripe.customer(customer).await?.is_some_and(|found| found.deleted) {
            return Ok(false);
        }
        let payer: Option<Payer> = self.store.get(&key::payer(tenant)).await?;
        if let Some(payer) = payer.filter(|payer| payer.customer == customer && !payer.deleted) {
            let next = Row::new(&key::payer(tenant), &Payer { deleted: true, ..payer })?;
            let write = Transaction::new().put_if(&self.store, next, IS_IT, vec![it(customer.to_owned())]);
            match write.run(&self.store).await {
                Ok(()) => {}
                // Another has taken its place already.
                Err(cancelled) if cancelled.condition_failed(0) => {}
                Err(Cancelled::Failed(error)) => return Err(error.into()),
                Err(Cancelled::Reasons(_)) => return Err(Error::Contended),
            }
        }
        Ok(true)
    }

    /// Whose customer this is. `None`: nobody's here.
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

/// The tenant's customer is still the one that was read.
const IS_IT: &str = "customer = :it";

fn it(customer: String) -> (&'static str, AttributeValue) {
    (":it", AttributeValue::S(customer))
}
