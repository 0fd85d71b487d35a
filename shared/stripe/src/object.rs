//! Objects of Stripe, as far as we read them. Fields that we do not know are passed over.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct List<T> {
    /// What is on it.
    pub data: Vec<T>,
    /// Whether there is another after it.
    #[serde(default)]
    pub has_more: bool,
}

/// Somebody who pays.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Customer {
    /// Its id.
    pub id: String,
    /// Whether it was deleted.
    #[serde(default)]
    pub deleted: bool,
}

/// A checkout page that was made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Checkout {
    /// The session's id.
    pub id: String,
    /// Where to pay.
    pub url: Option<String>,
    /// Until when, in seconds since the epoch.
    pub expires_at: i64,
}

/// A page on which a customer manages what it pays for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Portal {
    /// Where it is.
    pub url: String,
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Subscription {
    /// Its id.
    pub id: String,
    /// Whose.
    pub customer: String,
    /// Where it stands.
    pub status: SubscriptionStatus,
    /// When it was made, in seconds since the epoch.
    pub created: i64,
    /// Whether it ends with its period.
    #[serde(default)]
    pub cancel_at_period_end: bool,
    /// When it will end, if that is so.
    pub cancel_at: Option<i64>,
    /// When its trial ends, or ended.
    pub trial_end: Option<i64>,
    /// What is subscribed to.
    pub items: List<Item>,
    /// What we wrote down when it was sold.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

/// What is subscribed to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Item {
    /// Its price.
    pub price: PriceId,
    /// The end of what is paid for, in seconds since the epoch.
    pub current_period_end: i64,
}

/// A price, by its id.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PriceId {
    /// The id.
    pub id: String,
}

/// Where a subscription stands (<https://docs.stripe.com/api/subscriptions/object#subscription_object-status>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionStatus {
    /// Its first payment has not been made.
    Incomplete,
    /// Its first payment was not made in time.
    IncompleteExpired,
    /// It is tried out.
    Trialing,
    /// It is paid for.
    Active,
    /// A payment failed and is tried again.
    PastDue,
    /// It has ended.
    Canceled,
    /// Payments failed until nobody tried any more.
    Unpaid,
    /// Its trial ended without a way to pay.
    Paused,
    /// What this version of ours does not know.
    #[serde(other)]
    Unknown,
}

/// An invoice.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Invoice {
    /// Its id.
    pub id: String,
    /// Whose.
    pub customer: Option<String>,
    /// Where it stands.
    pub status: Option<InvoiceStatus>,
    /// What was paid, in the currency's smallest unit.
    pub amount_paid: i64,
    /// What it comes to.
    pub total: i64,
    /// In which currency.
    pub currency: String,
    /// When it was made, in seconds since the epoch.
    pub created: i64,
    /// Its number, for people.
    pub number: Option<String>,
    /// Where it can be seen and paid.
    pub hosted_invoice_url: Option<String>,
    /// Where its document is.
    pub invoice_pdf: Option<String>,
    /// What it is for: the first ten lines of it.
    pub lines: List<Line>,
    /// The payments made for it, if they were asked for.
    pub payments: Option<List<InvoicePayment>>,
}

/// Where an invoice stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceStatus {
    /// It may still be changed.
    Draft,
    /// It is to be paid.
    Open,
    /// It was paid.
    Paid,
    /// It will not be paid.
    Uncollectible,
    /// It was a mistake.
    Void,
    /// What this version of ours does not know.
    #[serde(other)]
    Unknown,
}

/// A line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Line {
    /// Its id.
    pub id: String,
    /// What it comes to before discounts, in the currency's smallest unit; negative for what is given back.
    pub amount: i64,
    /// How many.
    pub quantity: Option<i64>,
    /// The time it is for.
    pub period: Period,
    /// What is paid for.
    pub pricing: Option<Pricing>,
}

/// A span of time, in seconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Period {
    /// Its beginning.
    pub start: i64,
    /// Its end.
    pub end: i64,
}

/// What a line is for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Pricing {
    /// The price.
    pub price_details: Option<PriceDetails>,
}

/// The price of a line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PriceDetails {
    /// Its id.
    pub price: String,
}

/// A payment made for an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct InvoicePayment {
    /// The invoice.
    pub invoice: String,
    /// How.
    pub payment: PaymentOf,
}

/// How something was paid.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PaymentOf {
    /// The payment intent, if there is one.
    pub payment_intent: Option<String>,
}

/// A checkout session, as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// Who pays.
    pub customer: Option<String>,
    /// `payment`, `subscription` or `setup`.
    pub mode: String,
    /// `paid`, `unpaid` or `no_payment_required`.
    pub payment_status: String,
    /// What it comes to, in the currency's smallest unit.
    pub amount_total: Option<i64>,
    /// When it was made, in seconds since the epoch.
    pub created: i64,
    /// How it was paid.
    pub payment_intent: Option<String>,
    /// What we wrote down when we made it.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

/// What a payment came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payment {
    /// An invoice.
    Invoice(String),
    /// A checkout session.
    Session(String),
}

/// A charge.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Charge {
    /// The payment it belongs to.
    pub payment_intent: Option<String>,
}

/// Money given back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Refund {
    /// Its id.
    pub id: String,
    /// How much, in the currency's smallest unit.
    pub amount: i64,
    /// `pending`, `requires_action`, `succeeded`, `failed` or `canceled`.
    pub status: Option<String>,
    /// The payment that is given back.
    pub payment_intent: Option<String>,
}

/// A payment that its payer disputes with the bank.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Dispute {
    /// Its id.
    pub id: String,
    /// How much, in the currency's smallest unit.
    pub amount: i64,
    /// Where it stands.
    pub status: DisputeStatus,
    /// The payment that is disputed.
    pub payment_intent: Option<String>,
}

/// Where a dispute stands (<https://docs.stripe.com/api/disputes/object#dispute_object-status>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeStatus {
    /// The bank asks; no money has moved.
    WarningNeedsResponse,
    /// The bank looks at what was answered; no money has moved.
    WarningUnderReview,
    /// The bank is content.
    WarningClosed,
    /// The money is gone until there is an answer.
    NeedsResponse,
    /// The money is gone while the bank looks at the answer.
    UnderReview,
    /// The money is back.
    Won,
    /// The money stays gone.
    Lost,
    /// It did not come to a dispute.
    Prevented,
    /// What this version of ours does not know.
    #[serde(other)]
    Unknown,
}

/// What something costs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Price {
    /// Its id.
    pub id: String,
    /// The price's own currency.
    pub currency: String,
    /// One unit of it, in the currency's smallest unit; none if it depends on how many.
    pub unit_amount: Option<i64>,
    /// The same in other currencies.
    #[serde(default)]
    pub currency_options: BTreeMap<String, CurrencyOption>,
}

/// A price in another currency.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CurrencyOption {
    /// One unit of it.
    pub unit_amount: Option<i64>,
}

impl Price {
    /// One unit of it in `currency`.
    #[must_use]
    pub fn unit(&self, currency: &str) -> Option<i64> {
        if self.currency == currency {
            return self.unit_amount;
        }
        self.currency_options.get(currency).and_then(|option| option.unit_amount)
    }
}

impl Line {
    /// The id of its price.
    #[must_use]
    pub fn price(&self) -> Option<&str> {
        Some(&self.pricing.as_ref()?.price_details.as_ref()?.price)
    }
}

impl SubscriptionStatus {
    /// Whether what is subscribed to may be used. While a failed payment is tried again it may.
    #[must_use]
    pub const fn entitles(self) -> bool {
        matches!(self, Self::Trialing | Self::Active | Self::PastDue)
    }

    /// Whether it has ended for good.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Canceled | Self::IncompleteExpired)
    }
}

impl DisputeStatus {
    /// Whether the money is gone, and may come back.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::NeedsResponse | Self::UnderReview)
    }
}

impl Refund {
    /// Whether the money goes back, or has gone.
    #[must_use]
    pub fn counts(&self) -> bool {
        !matches!(self.status.as_deref(), Some("failed" | "canceled"))
    }
}
