//! Objects of Stripe, reduced to the fields that we read. Unknown fields are ignored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct List<T> {
    pub data: Vec<T>,
    /// `true` if another page follows.
    #[serde(default)]
    pub has_more: bool,
}

/// A customer of the account.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Customer {
    pub id: String,
    /// `true` if the customer was deleted at Stripe.
    #[serde(default)]
    pub deleted: bool,
}

/// A new checkout page.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Checkout {
    /// Id of the checkout session.
    pub id: String,
    /// Address of the page.
    pub url: Option<String>,
    /// Expiry in seconds since the epoch.
    pub expires_at: i64,
}

/// A page on which a customer manages its subscriptions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Portal {
    /// Address of the page.
    pub url: String,
}

/// A subscription of a customer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Subscription {
    pub id: String,
    pub customer: String,
    pub status: SubscriptionStatus,
    /// Seconds since the epoch.
    pub created: i64,
    /// `true` if the subscription ends with the current period.
    #[serde(default)]
    pub cancel_at_period_end: bool,
    /// Scheduled end in seconds since the epoch.
    pub cancel_at: Option<i64>,
    /// End of the trial in seconds since the epoch.
    pub trial_end: Option<i64>,
    pub items: List<Item>,
    /// Metadata that we stored at the sale.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

/// An item of a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Item {
    pub price: PriceId,
    /// End of the period that is paid for, in seconds since the epoch.
    pub current_period_end: i64,
}

/// A reference to a price.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PriceId {
    pub id: String,
}

/// Status of a subscription (<https://docs.stripe.com/api/subscriptions/object#subscription_object-status>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionStatus {
    /// The first payment has not been made yet.
    Incomplete,
    /// The first payment was not made in time.
    IncompleteExpired,
    /// The trial is running.
    Trialing,
    /// The current period is paid for.
    Active,
    /// A payment failed and is retried.
    PastDue,
    /// The subscription has ended.
    Canceled,
    /// All retries of a payment failed.
    Unpaid,
    /// The trial ended without a payment method.
    Paused,
    /// A status that this version does not know.
    #[serde(other)]
    Unknown,
}

/// An invoice of a customer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Invoice {
    pub id: String,
    pub customer: Option<String>,
    pub status: Option<InvoiceStatus>,
    /// In the currency's minor unit.
    pub amount_paid: i64,
    /// In the currency's minor unit.
    pub total: i64,
    pub currency: String,
    /// Seconds since the epoch.
    pub created: i64,
    /// Number for people.
    pub number: Option<String>,
    /// Page on which the invoice can be read and paid.
    pub hosted_invoice_url: Option<String>,
    /// Address of the PDF.
    pub invoice_pdf: Option<String>,
    /// The first ten lines.
    pub lines: List<Line>,
    /// Payments of the invoice, if the request expanded them.
    pub payments: Option<List<InvoicePayment>>,
}

/// Status of an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "plain data")]
pub enum InvoiceStatus {
    /// The invoice can still change.
    Draft,
    /// The invoice is due.
    Open,
    Paid,
    /// The invoice will not be paid.
    Uncollectible,
    /// The invoice was issued by mistake.
    Void,
    /// A status that this version does not know.
    #[serde(other)]
    Unknown,
}

/// A line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Line {
    pub id: String,
    /// Amount before discounts in the currency's minor unit; negative for a credit.
    pub amount: i64,
    pub quantity: Option<i64>,
    /// Time that the line covers.
    pub period: Period,
    pub pricing: Option<Pricing>,
    /// The origin of the line.
    #[serde(default)]
    pub parent: Option<LineParent>,
}

/// The origin of a line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LineParent {
    pub subscription_item_details: Option<LineOrigin>,
    pub invoice_item_details: Option<LineOrigin>,
}

/// The part of a subscription, or the item, that a line bills.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LineOrigin {
    /// The line corrects the bill of a period that has begun.
    #[serde(default)]
    pub proration: bool,
    pub proration_details: Option<ProrationDetails>,
    /// Id of the item of the subscription.
    pub subscription_item: Option<String>,
}

/// The details of a correction.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ProrationDetails {
    /// The lines that this line credits. `None` for a line that charges.
    pub credited_items: Option<CreditedItems>,
}

/// The lines of an earlier invoice that a line credits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CreditedItems {
    /// Id of the invoice.
    pub invoice: String,
}

/// A span of time, in seconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Period {
    pub start: i64,
    pub end: i64,
}

/// The pricing of a line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Pricing {
    pub price_details: Option<PriceDetails>,
}

/// The price of a line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PriceDetails {
    pub price: String,
}

/// A payment made for an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct InvoicePayment {
    pub invoice: String,
    pub payment: PaymentOf,
}

/// The payment behind an invoice payment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct PaymentOf {
    pub payment_intent: Option<String>,
}

/// The current state of a checkout session.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Session {
    pub id: String,
    pub customer: Option<String>,
    /// `payment`, `subscription` or `setup`.
    pub mode: String,
    /// `paid`, `unpaid` or `no_payment_required`.
    pub payment_status: String,
    /// In the currency's minor unit.
    pub amount_total: Option<i64>,
    /// Seconds since the epoch.
    pub created: i64,
    pub payment_intent: Option<String>,
    /// Metadata that we stored in it.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

/// The purchase that a payment belongs to, by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub enum Payment {
    Invoice(String),
    Session(String),
}

/// A charge of a payment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Charge {
    pub payment_intent: Option<String>,
}

/// A refund of a payment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Refund {
    pub id: String,
    /// In the currency's minor unit.
    pub amount: i64,
    /// `pending`, `requires_action`, `succeeded`, `failed` or `canceled`.
    pub status: Option<String>,
    pub payment_intent: Option<String>,
}

/// A dispute: the payer contests a payment at the bank.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Dispute {
    pub id: String,
    /// In the currency's minor unit.
    pub amount: i64,
    pub status: DisputeStatus,
    pub payment_intent: Option<String>,
}

/// Status of a dispute (<https://docs.stripe.com/api/disputes/object#dispute_object-status>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeStatus {
    /// The bank inquires. No money has moved.
    WarningNeedsResponse,
    /// The bank reviews the response. No money has moved.
    WarningUnderReview,
    /// The inquiry is closed.
    WarningClosed,
    /// The money is withdrawn, and the bank waits for a response.
    NeedsResponse,
    /// The money is withdrawn, and the bank reviews the response.
    UnderReview,
    /// The money was returned to us.
    Won,
    /// The money stays with the payer.
    Lost,
    /// The dispute was prevented.
    Prevented,
    /// A status that this version does not know.
    #[serde(other)]
    Unknown,
}

impl Line {
    /// Returns the id of the line's price.
    #[must_use]
    pub fn price(&self) -> Option<&str> {
        Some(&self.pricing.as_ref()?.price_details.as_ref()?.price)
    }

    /// Returns `true` if the line corrects the bill of a period that has begun.
    #[must_use]
    pub fn is_proration(&self) -> bool {
        self.origins().any(|origin| origin.proration)
    }

    /// Returns `true` if the line credits what an earlier line charged. Its amount may be zero.
    #[must_use]
    pub fn is_credit(&self) -> bool {
        let is_credited = |origin: &LineOrigin| {
            origin.proration_details.as_ref().is_some_and(|details| details.credited_items.is_some())
        };
        self.amount < 0 || (self.amount == 0 && self.origins().any(is_credited))
    }

    /// Returns the id of the item of a subscription that the line bills.
    #[must_use]
    pub fn subscription_item(&self) -> Option<&str> {
        self.origins().find_map(|origin| origin.subscription_item.as_deref())
    }

    fn origins(&self) -> impl Iterator<Item = &LineOrigin> {
        let parents = self.parent.iter();
        parents.flat_map(|parent| parent.subscription_item_details.iter().chain(&parent.invoice_item_details))
    }
}

impl SubscriptionStatus {
    /// Returns `true` if the customer is entitled to the plan. A failed payment that is retried does not end that.
    #[must_use]
    pub const fn entitles(self) -> bool {
        matches!(self, Self::Trialing | Self::Active | Self::PastDue)
    }

    /// Returns `true` if the subscription has ended for good.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Canceled | Self::IncompleteExpired)
    }
}

impl DisputeStatus {
    /// Returns `true` if the money is withdrawn and may be returned.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::NeedsResponse | Self::UnderReview)
    }
}

impl Refund {
    /// Returns `true` if the money was or will be returned to the payer.
    #[must_use]
    pub fn counts(&self) -> bool {
        !matches!(self.status.as_deref(), Some("failed" | "canceled"))
    }
}
