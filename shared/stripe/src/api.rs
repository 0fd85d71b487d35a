//! The requests to Stripe, one method each.

use crate::{
    Charge, Checkout, Client, Customer, Dispute, Error, Event, Invoice, Line, List, Payment, Portal, Price,
    Refund, Request, Session, Subscription, object::InvoicePayment,
};

/// The types of events that must not be missed. Every other type concerns an object that one of these also reports. A list
/// request takes at most 20 types (<https://docs.stripe.com/api/events/list>).
const TYPES: [&str; 18] = [
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.funds_reinstated",
    "charge.dispute.updated",
    "charge.refunded",
    "checkout.session.async_payment_succeeded",
    "checkout.session.completed",
    "customer.deleted",
    "customer.subscription.created",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "customer.subscription.updated",
    "invoice.paid",
    "invoice.payment_succeeded",
    "refund.created",
    "refund.failed",
    "refund.updated",
];

/// Parameters of a new checkout page.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub struct NewCheckout<'a> {
    /// Id of the paying customer.
    pub customer: &'a str,
    pub sale: Sale<'a>,
    /// Id of the price.
    pub price: &'a str,
    pub quantity: u32,
    /// Page that Stripe opens after the payment.
    pub success_url: &'a str,
    /// Page that Stripe opens if the customer goes back.
    pub cancel_url: &'a str,
}

/// A page of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPage {
    /// The events of the page, newest first.
    pub events: Vec<Event>,
    /// Id of the last event. `None` on the last page.
    pub next: Option<String>,
}

/// The kind of a purchase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sale<'a> {
    /// A subscription: the days of its trial, and the metadata to store in it.
    Subscription(Option<u32>, &'a [(&'static str, String)]),
    /// A single payment: the metadata to store in its session.
    Once(&'a [(&'static str, String)]),
}

impl Client {
    /// Creates a customer. The same key returns the same customer.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_customer(
        &self,
        key: &str,
        tenant: &str,
        email: Option<&str>,
    ) -> Result<Customer, Error> {
        let request = Request::post("/v1/customers", key).with("metadata[tenant_id]", tenant);
        let request = match email {
            Some(email) => request.with("email", email),
            None => request,
        };
        self.send(request).await
    }

    /// Fetches a customer, also one that was deleted.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn customer(&self, id: &str) -> Result<Option<Customer>, Error> {
        self.find(Request::get(format!("/v1/customers/{id}"))).await
    }

    /// Creates a checkout page. The same key returns the same page.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_checkout(&self, key: &str, new: &NewCheckout<'_>) -> Result<Checkout, Error> {
        let request = Request::post("/v1/checkout/sessions", key)
            .with("customer", new.customer)
            .with("line_items[0][price]", new.price)
            .with("line_items[0][quantity]", new.quantity)
            .with("success_url", new.success_url)
            .with("cancel_url", new.cancel_url);
        let request = match &new.sale {
            Sale::Subscription(trial_days, metadata) => {
                let request = request.with("mode", "subscription");
                let request = match trial_days {
                    Some(days) => request.with("subscription_data[trial_period_days]", days),
                    None => request,
                };
                metadata.iter().fold(request, |request, (name, value)| {
                    request.with(format!("subscription_data[metadata][{name}]"), value)
                })
            }
            Sale::Once(metadata) => {
                let request = request.with("mode", "payment");
                metadata
                    .iter()
                    .fold(request, |request, (name, value)| request.with(format!("metadata[{name}]"), value))
            }
        };
        self.send(request).await
    }

    /// Creates a page on which a customer manages its subscriptions.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_portal(&self, key: &str, customer: &str, return_url: &str) -> Result<Portal, Error> {
        let request = Request::post("/v1/billing_portal/sessions", key)
            .with("customer", customer)
            .with("return_url", return_url);
        self.send(request).await
    }

    /// Reports usage to a meter. The same identifier is counted once.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn report_usage(
        &self,
        (event_name, identifier): (&str, &str),
        customer: &str,
        value: u64,
        at: i64,
    ) -> Result<(), Error> {
        let request = Request::post("/v1/billing/meter_events", format!("meter-{identifier}"))
            .with("event_name", event_name)
            .with("identifier", identifier)
            .with("payload[stripe_customer_id]", customer)
            .with("payload[value]", value)
            .with("timestamp", at);
        self.send::<serde::de::IgnoredAny>(request).await.map(|_| ())
    }

    /// Fetches a subscription.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn subscription(&self, id: &str) -> Result<Option<Subscription>, Error> {
        self.find(Request::get(format!("/v1/subscriptions/{id}"))).await
    }

    /// Fetches all subscriptions of a customer, also those that have ended.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn subscriptions(&self, customer: &str) -> Result<Vec<Subscription>, Error> {
        let request = Request::get("/v1/subscriptions").with("customer", customer).with("status", "all");
        self.all(request, |subscription: &Subscription| &subscription.id).await
    }

    /// Fetches an invoice with all its lines and payments.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn invoice(&self, id: &str) -> Result<Option<Invoice>, Error> {
        let request = Request::get(format!("/v1/invoices/{id}")).with("expand[]", "payments");
        let Some(mut invoice) = self.find::<Invoice>(request).await? else { return Ok(None) };
        if invoice.lines.has_more {
            let request = Request::get(format!("/v1/invoices/{id}/lines"));
            invoice.lines.data = self.all(request, |line: &Line| &line.id).await?;
            invoice.lines.has_more = false;
        }
        Ok(Some(invoice))
    }

    /// Fetches a page of a customer's invoices, newest first, starting after the invoice `after`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn invoices(
        &self,
        customer: &str,
        limit: u32,
        after: Option<&str>,
    ) -> Result<List<Invoice>, Error> {
        let request = Request::get("/v1/invoices").with("customer", customer).with("limit", limit);
        let request = match after {
            Some(after) => request.with("starting_after", after),
            None => request,
        };
        self.send(request).await
    }

    /// Fetches a checkout session.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn session(&self, id: &str) -> Result<Option<Session>, Error> {
        self.find(Request::get(format!("/v1/checkout/sessions/{id}"))).await
    }

    /// Finds the purchase that a payment was made for. Returns `None` if it belongs to none of our purchases.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn payment(&self, intent: &str) -> Result<Option<Payment>, Error> {
        let request = Request::get("/v1/invoice_payments")
            .with("payment[type]", "payment_intent")
            .with("payment[payment_intent]", intent);
        let invoices: List<InvoicePayment> = self.send(request).await?;
        if let Some(paid) = invoices.data.into_iter().next() {
            return Ok(Some(Payment::Invoice(paid.invoice)));
        }
        let request = Request::get("/v1/checkout/sessions").with("payment_intent", intent);
        let sessions: List<Session> = self.send(request).await?;
        Ok(sessions.data.into_iter().next().map(|session| Payment::Session(session.id)))
    }

    /// Fetches a charge.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn charge(&self, id: &str) -> Result<Option<Charge>, Error> {
        self.find(Request::get(format!("/v1/charges/{id}"))).await
    }

    /// Fetches a refund.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn refund(&self, id: &str) -> Result<Option<Refund>, Error> {
        self.find(Request::get(format!("/v1/refunds/{id}"))).await
    }

    /// Fetches a dispute.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn dispute(&self, id: &str) -> Result<Option<Dispute>, Error> {
        self.find(Request::get(format!("/v1/disputes/{id}"))).await
    }

    /// Fetches the refunds of a payment.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn refunds(&self, intent: &str) -> Result<Vec<Refund>, Error> {
        let request = Request::get("/v1/refunds").with("payment_intent", intent);
        self.all(request, |refund: &Refund| &refund.id).await
    }

    /// Fetches the disputes about a payment.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn disputes(&self, intent: &str) -> Result<Vec<Dispute>, Error> {
        let request = Request::get("/v1/disputes").with("payment_intent", intent);
        self.all(request, |dispute: &Dispute| &dispute.id).await
    }

    /// Fetches a price in all its currencies, with its tiers in its default currency and in `currency`.
    ///
    /// Stripe returns the tiers of another currency only if the request names the currency. The path has three of the four
    /// levels that it allows (<https://docs.stripe.com/api/expanding_objects>).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn price(&self, id: &str, currency: &str) -> Result<Option<Price>, Error> {
        let request = Request::get(format!("/v1/prices/{id}"))
            .with("expand[]", "currency_options")
            .with("expand[]", "tiers")
            .with("expand[]", format!("currency_options.{currency}.tiers"));
        self.find(request).await
    }

    /// Fetches a page of the events since `since` (seconds since the epoch) that did not reach every endpoint, limited to the
    /// types that must not be missed, newest first. `after` is the [`EventPage::next`] of the page before. Stripe keeps events
    /// for 30 days (<https://docs.stripe.com/api/events/list>).
    ///
    /// # Errors
    /// See [`Error`]. [`Error::is_missing`] if Stripe does not have the event `after` any more.
    pub async fn undelivered(&self, since: i64, after: Option<&str>) -> Result<EventPage, Error> {
        let request = Request::get("/v1/events").with("delivery_success", false).with("created[gte]", since);
        let request = TYPES.iter().fold(request, |request, name| request.with("types[]", name));
        let request = request.with("limit", 100);
        let request = match after {
            Some(after) => request.with("starting_after", after),
            None => request,
        };
        let page: List<serde_json::Value> = self.send(request).await?;
        let last = page.data.last().and_then(|event| event["id"].as_str());
        Ok(EventPage {
            next: last.filter(|_| page.has_more).map(str::to_owned),
            events: page
                .data
                .iter()
                .filter_map(|event| Event::read(event.to_string().as_bytes()).ok())
                .collect(),
        })
    }
}
