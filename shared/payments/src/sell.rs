//! Checkout and portal: the pages at Stripe on which people pay and manage their subscriptions.

use sequent_core::{MicroCredits, TenantId};
use sequent_stripe::{Checkout, Invoice, List, NewCheckout, Sale, SubscriptionStatus};
use sequent_tables::key;
use sha2::{Digest, Sha256};
use ulid::Ulid;

use crate::{Catalog, Error, Payments, PlanOffer, PriceOffer, Subscribed, Subscription};

/// Metadata key of a checkout session: the credits that it buys.
pub(crate) const CREDITS: &str = "micro_credits";
/// Metadata key of a subscription: the credits of its trial.
pub(crate) const TRIAL_CREDITS: &str = "trial_micro_credits";
/// Metadata key of a checkout session: days until the credits expire.
pub(crate) const EXPIRES_DAYS: &str = "expires_days";

/// Largest quantity of a pack in one checkout.
const MOST: u32 = 100;

/// The item of a checkout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub enum Article<'a> {
    /// A plan at one of its prices. The price may be omitted if the plan has only one.
    Plan { plan: &'a str, price: Option<&'a str> },
    /// A pack of credits.
    Pack { pack: &'a str, quantity: u32 },
}

/// The buyer of a checkout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub struct Buyer<'a> {
    pub tenant: TenantId,
    /// Address for receipts.
    pub email: Option<&'a str>,
    /// The caller's idempotency key.
    pub key: Option<&'a str>,
}

impl Payments {
    /// Creates a page on which `article` is paid for. Stripe redirects the payer to `back`, a page of ours, with
    /// `checkout=success` or `checkout=cancelled` in its query.
    ///
    /// # Errors
    /// [`Error::NotSold`], [`Error::Subscribed`], or when the table or Stripe fails.
    pub async fn checkout(
        &self,
        buyer: Buyer<'_>,
        article: Article<'_>,
        back: &str,
    ) -> Result<Checkout, Error> {
        let subscribed: Option<Subscribed> = self.store.get(&key::subscription(buyer.tenant)).await?;
        let (price, quantity, trial_days, metadata) = match article {
            Article::Plan { plan, price } => {
                let current = subscribed.as_ref().and_then(|row| row.subscription.as_ref());
                // A subscription whose first payment was never made does not prevent a new one.
                let stands = |status: SubscriptionStatus| {
                    !status.has_ended() && status != SubscriptionStatus::Incomplete
                };
                if current.is_some_and(|current| stands(current.status)) {
                    return Err(Error::Subscribed);
                }
                let (plan, price) = plan_offer(&self.catalog, plan, price)?;
                // A tenant that had a trial or a subscription gets no further trial.
                let trial = (current.is_none() && plan.trial_days > 0).then_some(plan.trial_days);
                let given = trial.filter(|_| plan.trial_credits > MicroCredits::ZERO);
                let given = given.map(|_| (TRIAL_CREDITS, plan.trial_credits.0.to_string()));
                (price.price.clone(), 1, trial, Vec::from_iter(given))
            }
            Article::Pack { pack, quantity } => {
                let offer = self.catalog.packs.get(pack);
                let offer = offer.ok_or_else(|| Error::NotSold(format!("there is no pack `{pack}`")))?;
                if !(1..=MOST).contains(&quantity) {
                    return Err(Error::NotSold(format!("1 to {MOST} packs can be bought at once")));
                }
                let credits = offer.credits.0.saturating_mul(i64::from(quantity));
                let days = offer.expires_days.map(|days| (EXPIRES_DAYS, days.to_string()));
                let metadata = [(CREDITS, credits.to_string())].into_iter().chain(days).collect();
                (offer.price.clone(), quantity, None, metadata)
            }
        };
        let sale = match article {
            Article::Plan { .. } => Sale::Subscription(trial_days, &metadata),
            Article::Pack { .. } => Sale::Once(&metadata),
        };
        let customer = self.make_customer(buyer.tenant, buyer.email).await?;
        let mut new = NewCheckout {
            customer: &customer,
            sale,
            price: &price,
            quantity,
            success_url: &format!("{back}?checkout=success"),
            cancel_url: &format!("{back}?checkout=cancelled"),
        };
        let made = self.stripe.create_checkout(&once("checkout", &customer, &buyer), &new).await;
        match made {
            Err(error) if error.is_missing() && self.forget_if_deleted(buyer.tenant, &customer).await? => {
                let another = self.make_customer(buyer.tenant, buyer.email).await?;
                new.customer = &another;
                Ok(self.stripe.create_checkout(&once("checkout", &another, &buyer), &new).await?)
            }
            other => Ok(other?),
        }
    }

    /// Creates a page on which the tenant manages its subscription, payment methods and invoices.
    ///
    /// # Errors
    /// [`Error::NoCustomer`], or when the table or Stripe fails.
    pub async fn portal(&self, buyer: Buyer<'_>, back: &str) -> Result<String, Error> {
        let customer = self.customer(buyer.tenant).await?.ok_or(Error::NoCustomer)?;
        match self.stripe.create_portal(&once("portal", &customer, &buyer), &customer, back).await {
            // The subscriptions of a deleted customer have ended.
            Err(error) if error.is_missing() && self.forget_if_deleted(buyer.tenant, &customer).await? => {
                self.sync_subscriptions(&customer).await?;
                Err(Error::NoCustomer)
            }
            other => Ok(other?.url),
        }
    }

    /// Returns the tenant's current or last subscription.
    ///
    /// # Errors
    /// Fails if the table fails.
    pub async fn subscription(&self, tenant: TenantId) -> Result<Option<Subscription>, Error> {
        let row: Option<Subscribed> = self.store.get(&key::subscription(tenant)).await?;
        Ok(row.and_then(|row| row.subscription))
    }

    /// Fetches a page of the tenant's invoices, newest first, starting after the invoice `after`.
    ///
    /// # Errors
    /// [`Error::Cursor`], or when the table or Stripe fails.
    pub async fn invoices(
        &self,
        tenant: TenantId,
        limit: u32,
        after: Option<&str>,
    ) -> Result<List<Invoice>, Error> {
        // The id is passed on to Stripe, which lists the invoices of this customer only.
        if after.is_some_and(|after| !sequent_stripe::is_id(after)) {
            return Err(Error::Cursor);
        }
        let Some(customer) = self.customer(tenant).await? else {
            return Ok(List { data: Vec::new(), has_more: false });
        };
        match self.stripe.invoices(&customer, limit, after).await {
            Err(error) if error.is_missing() && self.forget_if_deleted(tenant, &customer).await? => {
                Ok(List { data: Vec::new(), has_more: false })
            }
            Err(error) if after.is_some() && error.is_missing() => Err(Error::Cursor),
            other => Ok(other?),
        }
    }
}

fn plan_offer<'a>(
    catalog: &'a Catalog,
    plan: &str,
    price: Option<&str>,
) -> Result<(&'a PlanOffer, &'a PriceOffer), Error> {
    let offer = catalog.plans.get(plan);
    let offer = offer.ok_or_else(|| Error::NotSold(format!("there is no plan `{plan}`")))?;
    let mut sold =
        offer.prices.iter().filter(|(name, one)| one.sold && price.is_none_or(|price| price == *name));
    match (sold.next(), sold.next()) {
        (Some((_, one)), None) => Ok((offer, one)),
        (None, _) => Err(Error::NotSold(match price {
            Some(price) => format!("the plan `{plan}` has no price `{price}`"),
            None => format!("the plan `{plan}` is not sold any more"),
        })),
        (Some(_), Some(_)) => {
            let names: Vec<&str> =
                offer.prices.iter().filter(|(_, one)| one.sold).map(|(name, _)| name.as_str()).collect();
            Err(Error::NotSold(format!(
                "the plan `{plan}` has several prices: name one of {}",
                names.join(", ")
            )))
        }
    }
}

/// Returns the idempotency key of a request to Stripe. It differs for each customer.
fn once(what: &str, customer: &str, buyer: &Buyer<'_>) -> String {
    match buyer.key {
        // The caller's key may have the full length that Stripe allows, and ours adds a prefix.
        Some(key) => {
            let digest = Sha256::digest(key.as_bytes());
            let (head, _) = digest.split_first_chunk::<16>().expect("a digest has 32 bytes");
            format!("{what}-{customer}-{:032x}", u128::from_be_bytes(*head))
        }
        None => format!("{what}-{customer}-{}", Ulid::generate()),
    }
}
