//! A test server that behaves like Stripe: it stores customers, subscriptions, invoices and payments, responds to the requests
//! of [`Client`](crate::Client) in the form of the pinned version, and records the events that Stripe would send.
//!
//! Its methods are the actions of people and banks: pay a checkout, let a renewal fail, refund a payment.

mod answer;
mod world;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{FutureExt, future::BoxFuture};
use serde_json::{Value, json};

use crate::{Answer, Request, Transport, Unsent};
use world::World;

/// Seconds of a billing period.
const MONTH: i64 = 30 * 24 * 3600;

/// The server. Clones share its state.
#[derive(Debug, Clone, Default)]
pub struct Fake(Arc<Mutex<World>>);

impl Fake {
    /// Returns an empty account whose clock shows `now` (seconds since the epoch). Its name is part of the ids that it creates.
    #[must_use]
    pub fn new(account: &str, now: i64) -> Self {
        let fake = Self::default();
        let mut world = fake.world();
        account.clone_into(&mut world.account);
        world.now = now;
        drop(world);
        fake
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a price of `unit_amount` cents, per month if it is `recurring`.
    pub fn add_price(&self, id: &str, unit_amount: i64, recurring: bool) {
        let recurring = recurring.then(|| json!({"interval": "month", "interval_count": 1}));
        let price = json!({
            "id": id, "object": "price", "active": true, "currency": "usd", "unit_amount": unit_amount,
            "currency_options": {"usd": {"unit_amount": unit_amount}}, "recurring": recurring,
        });
        self.world().objects.insert(id.to_owned(), price);
    }

    /// Adds an object, or replaces the one with its `id`.
    ///
    /// # Panics
    /// Panics if the object has no id.
    pub fn insert(&self, object: Value) {
        let id = object["id"].as_str().expect("an object has an id").to_owned();
        self.world().objects.insert(id, object);
    }

    /// Advances the clock of the account.
    pub fn advance(&self, seconds: i64) {
        self.world().now += seconds;
    }

    /// Responds to a request.
    #[must_use]
    pub fn answer(&self, request: &Request) -> Answer {
        answer::answer(&mut self.world(), request)
    }

    /// Pays an open checkout page. Unless `at_once`, the payment takes days. Returns `None` if there is no such page.
    pub fn pay(&self, session: &str, at_once: bool) -> Option<()> {
        self.world().pay(session, at_once)
    }

    /// Completes a payment that takes days.
    pub fn end_payment(&self, session: &str, well: bool) -> Option<()> {
        self.world().end_payment(session, well)
    }

    /// Begins the next period of a subscription. Its payment fails unless `paid`.
    pub fn renew(&self, subscription: &str, paid: bool) -> Option<()> {
        self.world().renew(subscription, paid)
    }

    /// Pays the open invoice of a subscription.
    pub fn recover(&self, subscription: &str) -> Option<()> {
        self.world().recover(subscription)
    }

    /// Ends the retries of an open invoice.
    pub fn give_up(&self, subscription: &str) -> Option<()> {
        self.world().set_status(subscription, "unpaid")
    }

    /// Moves a subscription to another price and bills the difference.
    pub fn change_price(&self, subscription: &str, price: &str) -> Option<()> {
        self.world().change_price(subscription, price)
    }

    /// Schedules the end of a subscription with its period, or withdraws that.
    pub fn cancel_at_period_end(&self, subscription: &str, ends: bool) -> Option<()> {
        self.world().cancel_at_period_end(subscription, ends)
    }

    /// Ends a subscription at once.
    pub fn cancel(&self, subscription: &str) -> Option<()> {
        self.world().cancel(subscription)
    }

    /// Deletes a customer, which ends its subscriptions.
    pub fn delete_customer(&self, customer: &str) -> Option<()> {
        self.world().delete_customer(customer)
    }

    /// Refunds `amount` cents of a payment and returns the refund's id.
    pub fn refund(&self, payment_intent: &str, amount: i64) -> Option<String> {
        self.world().refund(payment_intent, amount)
    }

    /// Lets a refund fail at the bank.
    pub fn fail_refund(&self, refund: &str) -> Option<()> {
        self.world().fail_refund(refund)
    }

    /// Opens a dispute about a payment and returns its id.
    pub fn dispute(&self, payment_intent: &str) -> Option<String> {
        self.world().dispute(payment_intent)
    }

    /// Decides a dispute at the bank.
    pub fn close_dispute(&self, dispute: &str, won: bool) -> Option<()> {
        self.world().close_dispute(dispute, won)
    }

    /// Returns all objects of a kind, such as `subscription`, oldest first.
    #[must_use]
    pub fn all(&self, object: &str) -> Vec<Value> {
        let world = self.world();
        world.objects.values().filter(|value| value["object"] == object).cloned().collect()
    }

    /// Returns the recorded events, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        self.world().events.iter().map(|(event, _)| event.clone()).collect()
    }

    /// Marks an event as delivered.
    pub fn delivered(&self, event: &str) {
        let mut world = self.world();
        for (value, delivered) in &mut world.events {
            *delivered |= value["id"] == event;
        }
    }
}

impl Transport for Fake {
    fn send<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Answer, Unsent>> {
        // Yields, as a request over a network does, so that other tasks run before and after it.
        async move {
            tokio::task::yield_now().await;
            let answer = self.answer(request);
            tokio::task::yield_now().await;
            Ok(answer)
        }
        .boxed()
    }
}
