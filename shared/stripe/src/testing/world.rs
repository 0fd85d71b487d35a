//! State of the account, and its changes by people and banks.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::MONTH;
use crate::{Answer, VERSION};

type Form = Vec<(String, String)>;

/// The state of one account.
#[derive(Debug, Default)]
pub(super) struct World {
    /// Part of every id.
    pub(super) account: String,
    /// Seconds since the epoch.
    pub(super) now: i64,
    /// Objects by id. Ids of one kind sort by creation.
    pub(super) objects: BTreeMap<String, Value>,
    /// Events, and `true` for those that were delivered.
    pub(super) events: Vec<(Value, bool)>,
    /// Responses by idempotency key, with the request's path and form.
    pub(super) answered: HashMap<String, (String, Form, Answer)>,
    made: u64,
}

impl World {
    /// Returns a new id.
    pub(super) fn id(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}_{}{:08}", self.account, self.made)
    }

    /// Records an event about an object, with a copy of its current state.
    pub(super) fn record(&mut self, event_type: &str, id: &str) {
        let event = json!({
            "id": self.id("evt"), "object": "event", "api_version": VERSION, "created": self.now, "livemode": false,
            "type": event_type, "pending_webhooks": 1, "data": {"object": self.objects[id]},
        });
        self.events.push((event, false));
    }

    fn set(&mut self, id: &str, changes: Value) -> Option<()> {
        let object = self.objects.get_mut(id)?.as_object_mut()?;
        object.extend(changes.as_object()?.clone());
        Some(())
    }

    fn text(&self, id: &str, name: &str) -> Option<String> {
        self.objects.get(id)?[name].as_str().map(str::to_owned)
    }

    /// Makes a payment of `amount` and returns its id. Returns `None` if nothing is due.
    fn payment(&mut self, customer: &str, amount: i64) -> Option<String> {
        if amount <= 0 {
            return None;
        }
        let intent = self.id("pi");
        let charge = self.id("ch");
        let made = json!({
            "id": charge, "object": "charge", "amount": amount, "amount_refunded": 0, "customer": customer,
            "payment_intent": intent, "created": self.now, "status": "succeeded",
        });
        self.objects.insert(charge.clone(), made);
        let made = json!({
            "id": intent, "object": "payment_intent", "amount": amount, "customer": customer, "created": self.now,
            "latest_charge": charge, "status": "succeeded",
        });
        self.objects.insert(intent.clone(), made);
        self.record("charge.succeeded", &charge);
        self.record("payment_intent.succeeded", &intent);
        Some(intent)
    }

    pub(super) fn pay(&mut self, session: &str, at_once: bool) -> Option<()> {
        let object = self.objects.get(session).filter(|object| object["status"] == "open")?.clone();
        let customer = object["customer"].as_str()?.to_owned();
        if self.objects[&customer]["deleted"] == true {
            return None;
        }
        if object["mode"] == "subscription" {
            let subscription = self.subscribe(&customer, &object);
            self.set(
                session,
                json!({"status": "complete", "payment_status": "paid", "subscription": subscription}),
            );
        } else if at_once {
            let intent = self.payment(&customer, object["amount_total"].as_i64()?);
            self.set(
                session,
                json!({"status": "complete", "payment_status": "paid", "payment_intent": intent}),
            );
        } else {
            self.set(session, json!({"status": "complete", "payment_status": "unpaid"}));
        }
        self.record("checkout.session.completed", session);
        Some(())
    }

    pub(super) fn end_payment(&mut self, session: &str, well: bool) -> Option<()> {
        let object = self.objects.get(session)?.clone();
        if object["status"] != "complete" || object["payment_status"] != "unpaid" || object["failed"] == true
        {
            return None;
        }
        if well {
            let intent = self.payment(object["customer"].as_str()?, object["amount_total"].as_i64()?);
            self.set(session, json!({"payment_status": "paid", "payment_intent": intent}));
            self.record("checkout.session.async_payment_succeeded", session);
        } else {
            self.set(session, json!({"failed": true}));
            self.record("checkout.session.async_payment_failed", session);
        }
        Some(())
    }

    fn subscribe(&mut self, customer: &str, session: &Value) -> String {
        let id = self.id("sub");
        let price = session["price"].as_str().unwrap_or_default();
        let trial_end = session["trial_days"].as_i64().map(|days| self.now + days * 24 * 3600);
        let end = trial_end.unwrap_or(self.now + MONTH);
        let made = json!({
            "id": id, "object": "subscription", "customer": customer, "created": self.now, "cancel_at": null,
            "status": if trial_end.is_some() { "trialing" } else { "active" }, "cancel_at_period_end": false,
            "trial_end": trial_end, "metadata": session["subscription_metadata"],
            "items": {"object": "list", "has_more": false, "data": [{
                "id": self.id("si"), "price": {"id": price}, "quantity": 1,
                "current_period_start": self.now, "current_period_end": end,
            }]},
        });
        self.objects.insert(id.clone(), made);
        self.record("customer.subscription.created", &id);
        let unit = if trial_end.is_some() { 0 } else { self.unit(price) };
        let line = self.line(price, unit, (self.now, end), false);
        self.invoice(&id, vec![line], true);
        id
    }

    fn unit(&self, price: &str) -> i64 {
        self.objects[price]["unit_amount"].as_i64().unwrap_or(0)
    }

    fn line(&mut self, price: &str, amount: i64, (start, end): (i64, i64), proration: bool) -> Value {
        json!({
            "id": self.id("il"), "object": "line_item", "amount": amount, "currency": "usd", "quantity": 1,
            "period": {"start": start, "end": end},
            "pricing": {"type": "price_details", "price_details": {"price": price, "product": "prod_1"}},
            "parent": {"type": "subscription_item_details", "subscription_item_details": {"proration": proration}},
        })
    }

    /// Creates an invoice that is paid or stays open.
    fn invoice(&mut self, subscription: &str, lines: Vec<Value>, paid: bool) {
        let customer = self.text(subscription, "customer").unwrap_or_default();
        let id = self.id("in");
        let total: i64 = lines.iter().filter_map(|line| line["amount"].as_i64()).sum();
        let intent = if paid { self.payment(&customer, total) } else { None };
        let payments: Vec<Value> = intent.iter().map(|intent| self.paid_by(&id, intent)).collect();
        let made = json!({
            "id": id, "object": "invoice", "customer": customer, "status": if paid { "paid" } else { "open" },
            "amount_paid": if paid { total.max(0) } else { 0 }, "total": total, "currency": "usd",
            "created": self.now, "number": format!("F-{}", self.made),
            "hosted_invoice_url": format!("https://invoice.example.com/{id}"), "invoice_pdf": null,
            "parent": {"type": "subscription_details", "subscription_details": {"subscription": subscription}},
            "lines": {"object": "list", "data": lines, "has_more": false},
            "payments": {"object": "list", "data": payments, "has_more": false},
        });
        self.objects.insert(id.clone(), made);
        self.record("invoice.created", &id);
        self.record("invoice.finalized", &id);
        self.record(if paid { "invoice.paid" } else { "invoice.payment_failed" }, &id);
    }

    fn paid_by(&mut self, invoice: &str, intent: &str) -> Value {
        json!({
            "id": self.id("inpay"), "object": "invoice_payment", "invoice": invoice, "status": "paid",
            "payment": {"type": "payment_intent", "payment_intent": intent},
        })
    }

    fn item(&self, subscription: &str) -> Option<(String, i64, i64)> {
        let item = &self.objects.get(subscription)?["items"]["data"][0];
        let number = |name: &str| item[name].as_i64();
        let price = item["price"]["id"].as_str()?.to_owned();
        Some((price, number("current_period_start")?, number("current_period_end")?))
    }

    fn is(&self, subscription: &str, statuses: &[&str]) -> Option<()> {
        let status = self.text(subscription, "status")?;
        statuses.contains(&status.as_str()).then_some(())
    }

    pub(super) fn renew(&mut self, subscription: &str, paid: bool) -> Option<()> {
        self.is(subscription, &["active", "trialing"])?;
        let (price, _, end) = self.item(subscription)?;
        self.now = self.now.max(end);
        if self.objects[subscription]["cancel_at_period_end"] == true {
            return self.cancel(subscription);
        }
        let next = end + MONTH;
        let item = &mut self.objects.get_mut(subscription)?["items"]["data"][0];
        item["current_period_start"] = json!(end);
        item["current_period_end"] = json!(next);
        let amount = self.unit(&price);
        let line = self.line(&price, amount, (end, next), false);
        self.invoice(subscription, vec![line], paid);
        self.set_status(subscription, if paid { "active" } else { "past_due" })
    }

    pub(super) fn recover(&mut self, subscription: &str) -> Option<()> {
        self.is(subscription, &["past_due", "unpaid"])?;
        let open = self.objects.values().find(|object| {
            object["object"] == "invoice"
                && object["status"] == "open"
                && object["parent"]["subscription_details"]["subscription"] == subscription
        })?;
        let id = open["id"].as_str()?.to_owned();
        let total = open["total"].as_i64()?;
        let customer = self.text(subscription, "customer")?;
        let intent = self.payment(&customer, total)?;
        let payment = self.paid_by(&id, &intent);
        let payments = json!({"object": "list", "data": [payment], "has_more": false});
        self.set(&id, json!({"status": "paid", "amount_paid": total, "payments": payments}));
        self.record("invoice.paid", &id);
        self.set_status(subscription, "active")
    }

    pub(super) fn set_status(&mut self, subscription: &str, status: &str) -> Option<()> {
        self.set(subscription, json!({"status": status}))?;
        self.record("customer.subscription.updated", subscription);
        Some(())
    }

    pub(super) fn change_price(&mut self, subscription: &str, price: &str) -> Option<()> {
        self.is(subscription, &["active"])?;
        let (old, start, end) = self.item(subscription)?;
        if old == price {
            return None;
        }
        let left = (end - self.now).max(0);
        let whole = (end - start).max(1);
        let part = |unit: i64| unit * left / whole;
        let back = part(self.unit(&old));
        let due = part(self.unit(price));
        let lines =
            vec![self.line(&old, -back, (self.now, end), true), self.line(price, due, (self.now, end), true)];
        self.objects.get_mut(subscription)?["items"]["data"][0]["price"]["id"] = json!(price);
        self.record("customer.subscription.updated", subscription);
        self.invoice(subscription, lines, true);
        Some(())
    }

    pub(super) fn cancel_at_period_end(&mut self, subscription: &str, ends: bool) -> Option<()> {
        self.is(subscription, &["active", "trialing", "past_due"])?;
        let at = self.item(subscription).map(|(_, _, end)| end).filter(|_| ends);
        self.set(subscription, json!({"cancel_at_period_end": ends, "cancel_at": at}))?;
        self.record("customer.subscription.updated", subscription);
        Some(())
    }

    pub(super) fn cancel(&mut self, subscription: &str) -> Option<()> {
        self.is(subscription, &["active", "trialing", "past_due", "unpaid"])?;
        self.set(subscription, json!({"status": "canceled", "ended_at": self.now}))?;
        self.record("customer.subscription.deleted", subscription);
        Some(())
    }

    pub(super) fn delete_customer(&mut self, customer: &str) -> Option<()> {
        if self.objects.get(customer)?["deleted"] == true {
            return None;
        }
        let of = |one: &&Value| one["object"] == "subscription" && one["customer"] == customer;
        let subscriptions: Vec<Value> = self.objects.values().filter(of).cloned().collect();
        for subscription in subscriptions {
            self.cancel(subscription["id"].as_str()?);
        }
        self.set(customer, json!({"deleted": true}));
        self.record("customer.deleted", customer);
        Some(())
    }

    fn charge(&self, intent: &str) -> Option<(String, i64, i64)> {
        let charge = self.text(intent, "latest_charge")?;
        let number = |name: &str| self.objects.get(&charge)?[name].as_i64();
        let amount = number("amount")?;
        let refunded = number("amount_refunded")?;
        Some((charge, amount, refunded))
    }

    pub(super) fn refund(&mut self, intent: &str, amount: i64) -> Option<String> {
        let (charge, whole, refunded) = self.charge(intent)?;
        if amount <= 0 || refunded + amount > whole {
            return None;
        }
        let id = self.id("re");
        let made = json!({
            "id": id, "object": "refund", "amount": amount, "charge": charge, "payment_intent": intent,
            "status": "succeeded", "created": self.now,
        });
        self.objects.insert(id.clone(), made);
        self.set(&charge, json!({"amount_refunded": refunded + amount}));
        self.record("refund.created", &id);
        self.record("charge.refunded", &charge);
        Some(id)
    }

    pub(super) fn fail_refund(&mut self, refund: &str) -> Option<()> {
        if self.text(refund, "status")? != "succeeded" {
            return None;
        }
        let (charge, _, refunded) = self.charge(&self.text(refund, "payment_intent")?)?;
        let amount = self.objects[refund]["amount"].as_i64()?;
        self.set(refund, json!({"status": "failed"}));
        self.set(&charge, json!({"amount_refunded": refunded - amount}));
        self.record("refund.failed", refund);
        Some(())
    }

    pub(super) fn dispute(&mut self, intent: &str) -> Option<String> {
        let (charge, whole, refunded) = self.charge(intent)?;
        let disputed = self
            .objects
            .values()
            .any(|object| object["object"] == "dispute" && object["charge"] == charge.as_str());
        if disputed || refunded >= whole {
            return None;
        }
        let id = self.id("dp");
        let made = json!({
            "id": id, "object": "dispute", "amount": whole - refunded, "charge": charge, "payment_intent": intent,
            "status": "needs_response", "reason": "fraudulent", "created": self.now,
        });
        self.objects.insert(id.clone(), made);
        self.record("charge.dispute.created", &id);
        self.record("charge.dispute.funds_withdrawn", &id);
        Some(id)
    }

    pub(super) fn close_dispute(&mut self, dispute: &str, won: bool) -> Option<()> {
        if self.text(dispute, "status")? != "needs_response" {
            return None;
        }
        self.set(dispute, json!({"status": if won { "won" } else { "lost" }}));
        self.record("charge.dispute.closed", dispute);
        Some(())
    }
}
