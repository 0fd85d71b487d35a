//! What we ask of Stripe, each request by its name.

use crate::{
    Charge, Checkout, Client, Customer, Dispute, Error, Event, Invoice, Line, List, Payment, Portal, Price,
    Refund, Request, Session, Subscription, object::InvoicePayment,
};

/// The events without which something would be missed; all others are about what these are about too. A list takes 20 at most
/// (<https://docs.stripe.com/api/events/list>).
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

/// A checkout page to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCheckout<'a> {
    /// Who pays.
    pub customer: &'a str,
    /// What is bought.
    pub sale: Sale<'a>,
    /// The price's id.
    pub price: &'a str,
    /// How many.
    pub quantity: u32,
    /// Where the payer is sent when it is paid.
    pub success_url: &'a str,
    /// Where the payer is sent who goes back.
    pub cancel_url: &'a str,
}

/// What is bought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sale<'a> {
    /// A subscription, with the days before its first payment and what to write down at it.
    Subscription(Option<u32>, &'a [(&'static str, String)]),
    /// Something once, with what to write down at the session.
    Once(&'a [(&'static str, String)]),
}

impl Client {
    /// Makes a customer; with the same key the same one.
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

    /// A customer, though it was deleted.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn customer(&self, id: &str) -> Result<Option<Customer>, Error> {
        self.find(Request::get(format!("/v1/customers/{id}"))).await
    }

    /// Makes a checkout page; with the same key the same one.
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

    /// Makes a page on which a customer manages what it pays for.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_portal(&self, key: &str, customer: &str, return_url: &str) -> Result<Portal, Error> {
        let request = Request::post("/v1/billing_portal/sessions", key)
            .with("customer", customer)
            .with("return_url", return_url);
        self.send(request).await
    }

    /// Reports what was used; the same identifier once.
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

    /// A subscription.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn subscription(&self, id: &str) -> Result<Option<Subscription>, Error> {
        self.find(Request::get(format!("/v1/subscriptions/{id}"))).await
    }

    /// All subscriptions of a customer, those that have ended too.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn subscriptions(&self, customer: &str) -> Result<Vec<Subscription>, Error> {
        let request = Request::get("/v1/subscriptions").with("customer", customer).with("status", "all");
        self.all(request, |subscription: &Subscription| &subscription.id).await
    }

    /// An invoice, with all its lines and the payments made for it.
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

    /// A page of a customer's invoices, newest first, after the one named.
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

    /// A checkout session.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn session(&self, id: &str) -> Result<Option<Session>, Error> {
        self.find(Request::get(format!("/v1/checkout/sessions/{id}"))).await
    }

    /// What a payment was made for. `None`: for nothing that we sell.
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

    /// A charge.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn charge(&self, id: &str) -> Result<Option<Charge>, Error> {
        self.find(Request::get(format!("/v1/charges/{id}"))).await
    }

    /// A refund.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn refund(&self, id: &str) -> Result<Option<Refund>, Error> {
        self.find(Request::get(format!("/v1/refunds/{id}"))).await
    }

    /// A dispute.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn dispute(&self, id: &str) -> Result<Option<Dispute>, Error> {
        self.find(Request::get(format!("/v1/disputes/{id}"))).await
    }

    /// What was given back of a payment.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn refunds(&self, intent: &str) -> Result<Vec<Refund>, Error> {
        let request = Request::get("/v1/refunds").with("payment_intent", intent);
        self.all(request, |refund: &Refund| &refund.id).await
    }

    /// The disputes about a payment.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn disputes(&self, intent: &str) -> Result<Vec<Dispute>, Error> {
        let request = Request::get("/v1/disputes").with("payment_intent", intent);
        self.all(request, |dispute: &Dispute| &dispute.id).await
    }

    /// A price, in all its currencies.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn price(&self, id: &str) -> Result<Option<Price>, Error> {
        self.find(Request::get(format!("/v1/prices/{id}")).with("expand[]", "currency_options")).await
    }

    /// The events since `since` (seconds since the epoch) that did not reach every endpoint, of the types that matter. Stripe
    /// keeps events for 30 days (<https://docs.stripe.com/api/events/list>).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn undelivered(&self, since: i64) -> Result<Vec<Event>, Error> {
        let request = Request::get("/v1/events").with("delivery_success", false).with("created[gte]", since);
        let request = TYPES.iter().fold(request, |request, name| request.with("types[]", name));
        let all: Vec<serde_json::Value> =
            self.all(request, |event: &serde_json::Value| event["id"].as_str().unwrap_or_default()).await?;
        Ok(all.iter().filter_map(|event| Event::read(event.to_string().as_bytes()).ok()).collect())
    }
}
