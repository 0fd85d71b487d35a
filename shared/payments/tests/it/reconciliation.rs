//! Purchases with unusual prices, and the search for events that were never delivered.

use std::{future::Future, pin::pin, task::Poll};

use sequent_billing::Account;
use sequent_core::{MicroCredits, TenantId, Timestamp};
use sequent_jobs::Job;
use sequent_stripe::{Kind, Subject};
use sequent_tables::{PageRequest, Update, key};
use serde_json::{Value, json};

use crate::shop::{PRO, SMALL, Shop};

impl Shop {
    async fn account(&self) -> Account {
        self.store.get(&key::account(self.buyer.tenant)).await.unwrap().unwrap()
    }

    /// Gives `price_pro` this form.
    fn has_price(&self, form: &Value) {
        let mut price = json!({"id": "price_pro", "object": "price", "currency": "usd", "unit_amount": null});
        price.as_object_mut().unwrap().extend(form.as_object().unwrap().clone());
        self.fake.insert(price);
    }

    /// Adds a paid invoice with these quantities and amounts of corrections of `price_pro`, and applies it.
    async fn corrects(&self, id: &str, lines: &[(i64, i64)]) {
        self.bills(id, "usd", true, lines).await;
    }

    /// Adds a paid invoice of the first customer with lines of `price_pro`, and applies it.
    async fn bills(&self, id: &str, currency: &str, proration: bool, lines: &[(i64, i64)]) {
        let customer = self.fake.all("customer")[0]["id"].clone();
        let total: i64 = lines.iter().map(|(_, amount)| amount).sum();
        let line = |(quantity, amount): &(i64, i64)| {
            json!({
                "id": "il_1", "amount": amount, "quantity": quantity, "period": {"start": 1, "end": 4_000_000_000_i64},
                "pricing": {"price_details": {"price": "price_pro"}},
                "parent": {"subscription_item_details": {"proration": proration}},
            })
        };
        self.fake.insert(json!({
            "id": id, "object": "invoice", "customer": customer, "status": "paid", "amount_paid": total.max(0),
            "total": total, "currency": currency, "created": 1, "number": null, "hosted_invoice_url": null,
            "invoice_pdf": null, "lines": {"data": lines.iter().map(line).collect::<Vec<Value>>()},
            "payments": {"data": []},
        }));
        self.payments.sync(&Subject { kind: Kind::Invoice, id: id.to_owned() }).await.unwrap();
    }
}

#[tokio::test]
async fn a_change_of_quantity_buys_the_difference_whatever_form_the_price_has() {
    let tiers = json!([{"up_to": null, "unit_amount": 300}]);
    let forms = [
        json!({"unit_amount": 300}),
        json!({"unit_amount_decimal": "300.0"}),
        json!({"tiers_mode": "graduated", "tiers": tiers}),
    ];
    for form in forms {
        let shop = Shop::open().await;
        shop.buys(SMALL).await;
        shop.has_price(&form);
        shop.corrects("in_up", &[(5, -1500), (6, 1800)]).await;
        assert_eq!(shop.account().await.available, MicroCredits::whole(20), "one more unit: {form}");
        shop.corrects("in_down", &[(6, -1800), (5, 1500)]).await;
        shop.corrects("in_back", &[(6, -1800)]).await;
        assert!(shop.account().await.available <= MicroCredits::whole(20), "a return buys nothing: {form}");
    }
}

#[tokio::test]
async fn the_lines_of_tiers_buy_what_the_tiers_cost_together() {
    let shop = Shop::open().await;
    shop.buys(SMALL).await;
    let tiers = json!([
        {"up_to": 1000, "unit_amount": 0, "flat_amount": 900},
        {"up_to": null, "unit_amount_decimal": "3.6", "flat_amount": 0},
    ]);
    shop.has_price(&json!({"tiers_mode": "graduated", "tiers": tiers}));
    shop.bills("in_flat", "usd", false, &[(1000, 0), (0, 900)]).await;
    assert_eq!(shop.account().await.available, MicroCredits::whole(20 * 1000));
    shop.bills("in_both", "usd", false, &[(1000, 0), (0, 900), (31, 112), (0, 0)]).await;
    assert_eq!(shop.account().await.available, MicroCredits::whole(20 * 2031));
}

#[tokio::test]
async fn a_part_of_a_period_buys_the_part_that_its_amount_is_in_the_tiers_of_the_currency() {
    let shop = Shop::open().await;
    shop.buys(SMALL).await;
    let euros = json!({"eur": {"tiers": [{"up_to": null, "unit_amount": 400}]}});
    let dollars = json!([{"up_to": null, "unit_amount": 300}]);
    shop.has_price(&json!({"tiers_mode": "graduated", "tiers": dollars, "currency_options": euros}));
    // A tenth of the period is left.
    shop.bills("in_up", "eur", true, &[(5, -200), (6, 240)]).await;
    assert_eq!(shop.account().await.available, MicroCredits::whole(2));
    shop.bills("in_period", "eur", false, &[(6, 2400)]).await;
    assert_eq!(shop.account().await.available, MicroCredits::whole(122));
}

#[tokio::test]
async fn a_part_of_a_period_buys_nothing_if_the_amount_of_the_whole_is_unknown() {
    let shop = Shop::open().await;
    shop.buys(SMALL).await;
    for form in [json!({}), json!({"tiers_mode": "graduated"}), json!({"unit_amount": 300})] {
        shop.has_price(&form);
        shop.bills("in_cents", "eur", true, &[(6, 4)]).await;
        shop.bills("in_change", "eur", true, &[(5, -4), (6, 5)]).await;
        assert_eq!(shop.account().await.available, MicroCredits::ZERO, "{form}");
    }
}

#[tokio::test]
async fn attributes_of_a_newer_version_survive_the_changes_of_a_purchase() {
    let shop = Shop::open().await;
    shop.buys(SMALL).await;
    shop.hear_all().await;
    let session = shop.fake.all("checkout.session")[0]["id"].as_str().unwrap().to_owned();
    let place = key::purchase(shop.buyer.tenant, &session);
    shop.store.write(Update::of(&place).set("newer", "kept")).await.unwrap();
    let payment = shop.fake.all("payment_intent")[0]["id"].as_str().unwrap().to_owned();
    shop.fake.refund(&payment, 100).unwrap();
    shop.hear_all().await;
    let row: Value = shop.store.get(&place).await.unwrap().unwrap();
    assert_eq!((&row["newer"], &row["reversed"]), (&json!("kept"), &json!(1_000_000)), "{row}");
}

/// Polls a future at most `polls` times. Dropping it then is a crash.
async fn until<F: Future>(future: F, mut polls: u32) -> Option<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(move |context| {
        if polls == 0 {
            return Poll::Ready(None);
        }
        polls -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

#[tokio::test]
async fn a_reconciliation_that_is_cut_off_is_continued_and_no_event_is_left_out() {
    let shop = Shop::open().await;
    shop.buys(PRO).await;
    let subscription = shop.fake.all("subscription")[0]["id"].as_str().unwrap().to_owned();
    for _ in 0..55 {
        shop.fake.advance(60);
        shop.fake.renew(&subscription, true).unwrap();
    }
    let events = |page: Option<String>| {
        let client = sequent_stripe::Client::new(shop.fake.clone());
        async move { client.undelivered(0, page.as_deref()).await.unwrap() }
    };
    assert!(events(None).await.next.is_some(), "there is more than a page");
    let reached = || async { shop.store.get::<Value>(&key::reconciliation()).await.unwrap() };

    // Cuts it off as soon as the first page is done.
    let mut polls = 100;
    while reached().await.is_none() {
        let cut = Box::pin(until(shop.payments.reconcile(Timestamp::now()), polls)).await;
        assert!(cut.is_none(), "it is cut off before its end");
        polls *= 2;
    }
    let first = events(None).await;
    assert_eq!(reached().await.unwrap()["event"].as_str(), first.next.as_deref());

    // Events that come meanwhile are newer than the place that was reached.
    shop.fake.renew(&subscription, true).unwrap();
    shop.payments.reconcile(Timestamp::now()).await.unwrap();
    assert_eq!(reached().await, None, "the next one begins with the newest event");
    let mut page = Some(events(None).await);
    while let Some(found) = page {
        for event in &found.events {
            let claim = key::job_key(TenantId::SYSTEM, "sync_stripe", &event.id);
            assert!(shop.store.get::<Value>(&claim).await.unwrap().is_some(), "{event:?}");
        }
        page = match found.next {
            Some(next) => Some(events(Some(next)).await),
            None => None,
        };
    }
}

#[tokio::test]
async fn a_reconciliation_goes_on_where_stripe_has_forgotten_the_event_that_it_reached() {
    let shop = Shop::open().await;
    shop.buys(PRO).await;
    let reached =
        sequent_tables::Row::new(&key::reconciliation(), &json!({"event": "evt_forgotten"})).unwrap();
    shop.store.put(reached).await.unwrap();
    let (found, repaired) = shop.payments.reconcile(Timestamp::now()).await.unwrap();
    assert!(found > 0 && repaired > 0);
    let jobs = PageRequest::new(key::jobs(TenantId::SYSTEM));
    assert_eq!(shop.store.page::<Job>(&jobs).await.unwrap().items.len(), repaired);
}
