//! What a purchase buys if its price is unusual, and how events that were never delivered are found.

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

    /// Adds a paid invoice of the first customer with these quantities and amounts of `price_pro`, and applies it.
    async fn bills(&self, id: &str, lines: &[(i64, i64)]) {
        let customer = self.fake.all("customer")[0]["id"].clone();
        let total: i64 = lines.iter().map(|(_, amount)| amount).sum();
        let line = |(quantity, amount): &(i64, i64)| {
            json!({
                "id": "il_1", "amount": amount, "quantity": quantity, "period": {"start": 1, "end": 4_000_000_000_i64},
                "pricing": {"price_details": {"price": "price_pro"}},
                "parent": {"subscription_item_details": {"proration": true}},
            })
        };
        self.fake.insert(json!({
            "id": id, "object": "invoice", "customer": customer, "status": "paid", "amount_paid": total.max(0),
            "total": total, "currency": "usd", "created": 1, "number": null, "hosted_invoice_url": null,
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
        json!({}),
    ];
    for form in forms {
        let shop = Shop::open().await;
        shop.buys(SMALL).await;
        let mut price = json!({"id": "price_pro", "object": "price", "currency": "usd", "unit_amount": null});
        price.as_object_mut().unwrap().extend(form.as_object().unwrap().clone());
        shop.fake.insert(price);
        shop.bills("in_up", &[(5, -1500), (6, 1800)]).await;
        assert_eq!(shop.account().await.available, MicroCredits::whole(20), "one more unit: {form}");
        shop.bills("in_down", &[(6, -1800), (5, 1500)]).await;
        shop.bills("in_back", &[(6, -1800)]).await;
        assert!(shop.account().await.available <= MicroCredits::whole(20), "a return buys nothing: {form}");
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
