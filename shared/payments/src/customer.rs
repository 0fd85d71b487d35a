//! Which customer at Stripe a tenant is, and which tenant a customer.

use sequent_data::{Cancelled, Row, Transaction, key};
use sequent_domain::TenantId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Error, Payments};

const TRIES: u32 = 5;

/// The tenant's row.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Payer {
    customer: String,
    /// Of the tenant's customers, which: another one is made when one was deleted.
    ordinal: u32,
    #[serde(default)]
    deleted: bool,
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

    /// The tenant's customer; one is made if it has none. Whoever calls at the same time, or again after a crash, is
    /// given the same by Stripe, for the key says what it is for.
    pub(crate) async fn make_customer(&self, tenant: TenantId, email: Option<&str>) -> Result<String, Error> {
        for _ in 0..TRIES {
            let payer: Option<Payer> = self.store.get(&key::payer(tenant)).await?;
            let ordinal = match &payer {
                Some(payer) if !payer.deleted => return Ok(payer.customer.clone()),
                Some(payer) => payer.ordinal + 1,
                None => 0,
            };
            // The same key must not come with another address.
            let digest = Sha256::digest(email.unwrap_or_default().as_bytes());
            let (head, _) = digest.split_first_chunk::<4>().expect("a digest has 32 bytes");
            let once = format!("customer-{tenant}-{ordinal}-{:08x}", u32::from_be_bytes(*head));
            let made = self.stripe.create_customer(&once, &tenant.to_string(), email).await?;
            let next = Payer { customer: made.id.clone(), ordinal, deleted: false };
            let next = Row::new(&key::payer(tenant), &next)?;
            let bound = Row::new(&key::lookup::payer(&made.id), &Bound { tenant })?;
            let writes = match &payer {
                None => Transaction::new().insert(&self.store, next),
                Some(_) => Transaction::new().put_if(&self.store, next, "deleted = :yes", vec![yes()]),
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

    /// Notes that a customer is no more, so that the next checkout makes another.
    pub(crate) async fn forget_customer(&self, tenant: TenantId, customer: &str) -> Result<(), Error> {
        let payer: Option<Payer> = self.store.get(&key::payer(tenant)).await?;
        if let Some(payer) = payer.filter(|payer| payer.customer == customer && !payer.deleted) {
            self.store.put(Row::new(&key::payer(tenant), &Payer { deleted: true, ..payer })?).await?;
        }
        Ok(())
    }

    /// Whose customer this is. `None`: nobody's here.
    pub(crate) async fn tenant_of(&self, customer: &str) -> Result<Option<TenantId>, Error> {
        let bound: Option<Bound> = self.store.get(&key::lookup::payer(customer)).await?;
        Ok(bound.map(|bound| bound.tenant))
    }
}

fn yes() -> (&'static str, aws_sdk_dynamodb::types::AttributeValue) {
    (":yes", aws_sdk_dynamodb::types::AttributeValue::Bool(true))
}
