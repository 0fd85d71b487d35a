//! Applies the current state of objects at Stripe.
//!
//! There is one pattern: read the row with the applied state, fetch the object from Stripe, compute the step in pure code, and
//! write account, postings and row in one transaction if the row is unchanged. If it has changed, start over. Each write is
//! therefore based on a response that is younger than the write before it.

use std::collections::BTreeMap;

use sequent_billing::{
    Account, AccountChange, Cause, Ledger, LedgerAccount, Plans, Posting, Recorded, versioned,
};
use sequent_core::{GrantId, MicroCredits, TenantId, Timestamp};
use sequent_stripe::{DisputeStatus, Invoice, InvoiceStatus, Kind, Line, Payment, Session, Subject};
use sequent_tables::key;
use serde::Deserialize;

use crate::{
    Error, Payments,
    line::Billed,
    purchase::{Facts, Purchase},
    sell,
    subscription::Subscribed,
};

/// Most attempts of a change against concurrent changes of the same row.
const TRIES: u32 = 20;
/// Seconds for which credits outlast their period. The invoice of the next period is paid about an hour after its
/// beginning (<https://docs.stripe.com/billing/invoices/subscription#subscription-renewal>), or a little later.
const GRACE: i64 = 24 * 3600;

/// Result of applying an object's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synced {
    /// Something changed in the account.
    Changed,
    /// Nothing had to change.
    Same,
    /// The object belongs to no tenant, or to no offer of the catalog.
    Foreign,
}

impl Payments {
    /// Applies the current state of `subject`.
    ///
    /// # Errors
    /// Fails if the table or Stripe fails. Calling again is safe.
    pub async fn sync(&self, subject: &Subject) -> Result<Synced, Error> {
        let id = subject.id.as_str();
        let intent = match subject.kind {
            Kind::Customer => return self.sync_customer(id).await,
            Kind::Subscription => {
                return match self.stripe.subscription(id).await? {
                    Some(found) => self.sync_subscriptions(&found.customer).await,
                    None => Ok(Synced::Foreign),
                };
            }
            Kind::Invoice => return self.sync_payment(&Payment::Invoice(id.to_owned())).await,
            Kind::Session => return self.sync_payment(&Payment::Session(id.to_owned())).await,
            Kind::Charge => self.stripe.charge(id).await?.and_then(|charge| charge.payment_intent),
            Kind::Refund => self.stripe.refund(id).await?.and_then(|refund| refund.payment_intent),
            Kind::Dispute => self.stripe.dispute(id).await?.and_then(|dispute| dispute.payment_intent),
        };
        let Some(intent) = intent else { return Ok(Synced::Foreign) };
        match self.stripe.payment(&intent).await? {
            Some(payment) => self.sync_payment(&payment).await,
            None => Ok(Synced::Foreign),
        }
    }

    /// Applies the deletion of a customer, which ends its subscriptions.
    async fn sync_customer(&self, customer: &str) -> Result<Synced, Error> {
        let Some(tenant) = self.tenant_of(customer).await? else { return Ok(Synced::Foreign) };
        self.forget_if_deleted(tenant, customer).await?;
        self.sync_subscriptions(customer).await
    }

    /// Applies the subscriptions of all customers that the tenant ever had. An event about a former customer may arrive after
    /// its successor has subscribed.
    pub(crate) async fn sync_subscriptions(&self, customer: &str) -> Result<Synced, Error> {
        let Some(tenant) = self.tenant_of(customer).await? else { return Ok(Synced::Foreign) };
        let ledger = self.ledger(tenant).await?;
        for _ in 0..TRIES {
            let place = key::subscription(tenant);
            let stored: Option<Subscribed> = self.store.get(&place).await?;
            let account: Option<Account> = self.store.get(&key::account(tenant)).await?;
            let plan = account.map_or_else(|| Plans::FREE.to_owned(), |account| account.plan);
            let mut all = Vec::new();
            for customer in self.customers(tenant).await? {
                match self.stripe.subscriptions(&customer).await {
                    Err(error) if error.is_missing() => {}
                    other => all.extend(other?),
                }
            }
            let before = stored.clone().unwrap_or_default();
            let Some(step) = before.next(&all, &self.catalog, &plan) else { return Ok(Synced::Same) };
            let change = |account: &mut Account, now| {
                let (postings, after) = step.apply(account, now);
                changed(&place, postings, stored.as_ref(), &after)
            };
            if let Some(synced) = recorded(&ledger, change).await? {
                return Ok(synced);
            }
        }
        Err(Error::Contended)
    }

    async fn sync_payment(&self, payment: &Payment) -> Result<Synced, Error> {
        let id = match payment {
            Payment::Invoice(id) | Payment::Session(id) => id,
        };
        // The tenant of a payment does not change, so this response may be older than the row.
        let Some(customer) = self.payer(payment).await? else { return Ok(Synced::Foreign) };
        let Some(tenant) = self.tenant_of(&customer).await? else { return Ok(Synced::Foreign) };
        let ledger = self.ledger(tenant).await?;
        for _ in 0..TRIES {
            let place = key::purchase(tenant, id);
            let stored: Option<Purchase> = self.store.get(&place).await?;
            let purchase = stored.clone().unwrap_or_else(|| Purchase::new(id));
            let Some(facts) = self.facts(payment).await? else { return Ok(Synced::Foreign) };
            let expired = match &purchase.granted {
                Some(granted) if !facts.returned.is_empty() => self.expired(tenant, granted.id).await?,
                _ => MicroCredits::ZERO,
            };
            let at = Timestamp::now();
            let Some(step) = purchase.next(&facts, expired, at) else { return Ok(Synced::Same) };
            // The grant's id contains the time of the decision.
            let change = |account: &mut Account, _| {
                let (postings, after) = step.apply(account, at);
                changed(&place, postings, stored.as_ref(), &after)
            };
            if let Some(synced) = recorded(&ledger, change).await? {
                return Ok(synced);
            }
        }
        Err(Error::Contended)
    }

    /// Returns the paying customer. Returns `None` if there is no such payment, or if it is not for an offer of ours.
    async fn payer(&self, payment: &Payment) -> Result<Option<String>, Error> {
        Ok(match payment {
            Payment::Invoice(id) => self.stripe.invoice(id).await?.and_then(|invoice| invoice.customer),
            Payment::Session(id) => {
                let session = self.stripe.session(id).await?;
                // The payments of a subscription are those of its invoices.
                session.filter(|session| session.mode == "payment").and_then(|session| session.customer)
            }
        })
    }

    async fn facts(&self, payment: &Payment) -> Result<Option<Facts>, Error> {
        let (facts, intents) = match payment {
            Payment::Invoice(id) => {
                let Some(invoice) = self.stripe.invoice(id).await? else { return Ok(None) };
                let payments = invoice.payments.iter().flat_map(|payments| &payments.data);
                let intents = payments.filter_map(|payment| payment.payment.payment_intent.clone()).collect();
                (self.of_invoice(&invoice).await?, intents)
            }
            Payment::Session(id) => {
                let Some(session) = self.stripe.session(id).await? else { return Ok(None) };
                (of_session(&session), Vec::from_iter(session.payment_intent))
            }
        };
        self.with_returns(facts, intents).await.map(Some)
    }

    /// Computes the credits of an invoice: the sum of what its lines [buy and return](Billed::credits).
    async fn of_invoice(&self, invoice: &Invoice) -> Result<Facts, Error> {
        let mut credits = 0_i128;
        let mut until = 0;
        for (id, lines) in by_price(&invoice.lines.data) {
            let Some(each) = self.catalog.credits_of(id) else { continue };
            until = lines.iter().fold(until, |until, line| until.max(line.period.end));
            let price = self.stripe.price(id, &invoice.currency).await?;
            for billed in Billed::of(&lines, price.as_ref()) {
                let whole =
                    price.as_ref().and_then(|price| price.amount_of(billed.quantity, &invoice.currency));
                credits += billed.credits(each, whole).unwrap_or_else(|| {
                    log_unpriced(invoice, id, billed);
                    0
                });
            }
        }
        let credits = credits.clamp(i64::MIN.into(), i64::MAX.into());
        Ok(Facts {
            paid: invoice.status == Some(InvoiceStatus::Paid),
            amount: invoice.amount_paid,
            credits: MicroCredits(i64::try_from(credits).unwrap_or_default()),
            expires: (until > 0).then(|| Timestamp::from_millis((until + GRACE).saturating_mul(1000))),
            ..Facts::default()
        })
    }

    /// Adds the refunds and disputes of the payments to the facts.
    async fn with_returns(&self, mut facts: Facts, intents: Vec<String>) -> Result<Facts, Error> {
        for intent in intents {
            let refunds = self.stripe.refunds(&intent).await?;
            let counted = refunds.into_iter().filter(sequent_stripe::Refund::counts);
            facts.returned.extend(counted.map(|refund| (refund.id, refund.amount)));
            for dispute in self.stripe.disputes(&intent).await? {
                if dispute.status.is_open() {
                    facts.disputed.insert(dispute.id);
                } else if dispute.status == DisputeStatus::Lost {
                    facts.returned.insert(dispute.id, dispute.amount);
                }
            }
        }
        Ok(facts)
    }

    /// Returns the credits of a grant that expired.
    async fn expired(&self, tenant: TenantId, grant: GrantId) -> Result<MicroCredits, Error> {
        #[derive(Deserialize)]
        struct Caused {
            posting: sequent_core::PostingId,
        }
        let mut expired = MicroCredits::ZERO;
        for step in 0.. {
            let Some(name) = (Cause::Expiry { grant_id: grant, step }).name() else { break };
            let caused: Option<Caused> = self.store.get(&key::posting_cause(tenant, &name)).await?;
            let Some(caused) = caused else { break };
            let posting: Option<Posting> = self.store.get(&key::posting(tenant, caused.posting)).await?;
            expired += posting.map_or(MicroCredits::ZERO, |posting| posting.to(LedgerAccount::Expired));
        }
        Ok(expired)
    }
}

fn by_price(lines: &[Line]) -> BTreeMap<&str, Vec<&Line>> {
    let mut lines_of: BTreeMap<&str, Vec<&Line>> = BTreeMap::new();
    for line in lines {
        if let Some(price) = line.price() {
            lines_of.entry(price).or_default().push(line);
        }
    }
    lines_of
}

fn log_unpriced(invoice: &Invoice, price: &str, billed: Billed) {
    tracing::error!(
        invoice = invoice.id,
        price,
        quantity = billed.quantity,
        amount = billed.amount,
        currency = invoice.currency,
        "could not compute the credits of a proration, because Stripe does not return the amount of its price for a whole \
         period; it changes no credits, so adjust the account by hand"
    );
}

/// Reads the credits of a checkout from its metadata, which we set when we created it.
fn of_session(session: &Session) -> Facts {
    let number = |name: &str| session.metadata.get(name).and_then(|text| text.parse::<i64>().ok());
    let days = number(sell::EXPIRES_DAYS);
    Facts {
        paid: matches!(session.payment_status.as_str(), "paid" | "no_payment_required"),
        amount: session.amount_total.unwrap_or(0),
        credits: MicroCredits(number(sell::CREDITS).unwrap_or(0)),
        expires: days.map(|days| {
            Timestamp::from_millis(
                session.created.saturating_add(days.saturating_mul(86_400)).saturating_mul(1000),
            )
        }),
        returned: BTreeMap::new(),
        ..Facts::default()
    }
}

fn changed<T: serde::Serialize>(
    place: &sequent_tables::Key,
    postings: Vec<Posting>,
    before: Option<&T>,
    after: &T,
) -> AccountChange {
    let beside = versioned(place, before, after).expect("the applied state serialises to a map");
    AccountChange { postings, beside: Some(beside) }
}

/// Returns `None` if the row was changed in the meantime.
async fn recorded(
    ledger: &Ledger,
    change: impl Fn(&mut Account, Timestamp) -> AccountChange,
) -> Result<Option<Synced>, Error> {
    Ok(match ledger.record(change).await? {
        Recorded::Stored => Some(Synced::Changed),
        // Our own write whose response was lost, or the same write by another process. The next read of the row decides.
        Recorded::Moved | Recorded::Known => None,
    })
}
