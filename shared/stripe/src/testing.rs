//! A Stripe of our own making: it keeps customers, subscriptions, invoices and payments, answers the requests that
//! [`Client`](crate::Client) sends in the form of the pinned version, and writes down the events that Stripe would send.
//!
//! What a person or a bank would do, tests do through its methods: pay a checkout, let a renewal fail, ask for money back.

mod answer;
mod world;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{FutureExt, future::BoxFuture};
use serde_json::{Value, json};

use crate::{Answer, Request, Transport, Unsent};
use world::World;

/// Days of a period, and of every trial that says nothing else.
const MONTH: i64 = 30 * 24 * 3600;

/// The server. Clones share what it keeps.
#[derive(Debug, Clone, Default)]
pub struct Fake(Arc<Mutex<World>>);

impl Fake {
    /// An empty account, whose clock stands at `now` (seconds since the epoch). Its name is in the ids that it gives.
    #[must_use]
    pub fn new(account: &str, now: i64) -> Self {
        let fake = Self::default();
        let mut world = fake.world();
        (world.account, world.now) = (account.to_owned(), now);
        drop(world);
        fake
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a price of `unit_amount` cents, for each month if it is `recurring`.
    pub fn add_price(&self, id: &str, unit_amount: i64, recurring: bool) {
        let recurring = recurring.then(|| json!({"interval": "month", "interval_count": 1}));
        let price = json!({
            "id": id, "object": "price", "active": true, "currency": "usd", "unit_amount": unit_amount,
            "currency_options": {"usd": {"unit_amount": unit_amount}}, "recurring": recurring,
        });
        self.world().objects.insert(id.to_owned(), price);
    }

    /// Lets time go by.
    pub fn advance(&self, seconds: i64) {
        self.world().now += seconds;
    }

    /// Answers a request, as the server does.
    #[must_use]
    pub fn answer(&self, request: &Request) -> Answer {
        answer::answer(&mut self.world(), request)
    }

    /// Pays an open checkout page, or, unless `at_once`, begins a payment that takes days. `None` if there is no such page.
    pub fn pay(&self, session: &str, at_once: bool) -> Option<()> {
        self.world().pay(session, at_once)
    }

    /// Ends a payment that takes days.
    pub fn end_payment(&self, session: &str, well: bool) -> Option<()> {
        self.world().end_payment(session, well)
    }

    /// Begins the next period of a subscription, whose payment may fail.
    pub fn renew(&self, subscription: &str, paid: bool) -> Option<()> {
        self.world().renew(subscription, paid)
    }

    /// Pays what is open of a subscription.
    pub fn recover(&self, subscription: &str) -> Option<()> {
        self.world().recover(subscription)
    }

    /// Gives up on what is open of a subscription.
    pub fn give_up(&self, subscription: &str) -> Option<()> {
        self.world().set_status(subscription, "unpaid")
    }

    /// Moves a subscription to another price, and bills the difference.
    pub fn change_price(&self, subscription: &str, price: &str) -> Option<()> {
        self.world().change_price(subscription, price)
    }

    /// Has a subscription end with its period, or go on after all.
    pub fn cancel_at_period_end(&self, subscription: &str, ends: bool) -> Option<()> {
        self.world().cancel_at_period_end(subscription, ends)
    }

    /// Ends a subscription.
    pub fn cancel(&self, subscription: &str) -> Option<()> {
        self.world().cancel(subscription)
    }

    /// Deletes a customer, which ends what it subscribes to.
    pub fn delete_customer(&self, customer: &str) -> Option<()> {
        self.world().delete_customer(customer)
    }

    /// Gives back `amount` cents of a payment; the refund's id.
    pub fn refund(&self, payment_intent: &str, amount: i64) -> Option<String> {
        self.world().refund(payment_intent, amount)
    }

    /// The bank sends a refund back.
    pub fn fail_refund(&self, refund: &str) -> Option<()> {
        self.world().fail_refund(refund)
    }

    /// The payer disputes a payment; the dispute's id.
    pub fn dispute(&self, payment_intent: &str) -> Option<String> {
        self.world().dispute(payment_intent)
    }

    /// The bank decides a dispute.
    pub fn close_dispute(&self, dispute: &str, won: bool) -> Option<()> {
        self.world().close_dispute(dispute, won)
    }

    /// All objects of a kind, such as `subscription`, in the order in which they were made.
    #[must_use]
    pub fn all(&self, object: &str) -> Vec<Value> {
        let world = self.world();
        world.objects.values().filter(|value| value["object"] == object).cloned().collect()
    }

    /// The events written down so far, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        self.world().events.iter().map(|(event, _)| event.clone()).collect()
    }

    /// Notes that an event has reached its endpoint.
    pub fn delivered(&self, event: &str) {
        let mut world = self.world();
        for (value, delivered) in &mut world.events {
            *delivered |= value["id"] == event;
        }
    }
}

impl Transport for Fake {
    fn send<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Answer, Unsent>> {
        // As over a network, others get a turn before and after.
        async move {
            tokio::task::yield_now().await;
            let answer = self.answer(request);
            tokio::task::yield_now().await;
            Ok(answer)
        }
        .boxed()
    }
}
