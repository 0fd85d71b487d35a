//! A customer that was deleted at Stripe while no event about it has arrived.

use sequent_billing::Account;
use sequent_core::MicroCredits;
use sequent_payments::Error;
use sequent_stripe::SubscriptionStatus;
use sequent_tables::key;

use crate::shop::{BACK, PRO, SMALL, Shop};

#[tokio::test]
async fn the_next_purchase_makes_another_and_late_events_about_the_first_change_nothing() {
    let shop = Shop::open().await;
    shop.buys(PRO).await;
    shop.hear_all().await;
    assert_eq!(shop.plan().await, "pro");
    let first = shop.fake.all("customer")[0]["id"].as_str().unwrap().to_owned();
    let unheard = shop.fake.events().len();
    shop.fake.delete_customer(&first).unwrap();

    // According to our rows it has a subscription. The portal request reveals that the customer is gone.
    let error = shop.payments.checkout(shop.buyer, PRO, BACK).await.unwrap_err();
    assert!(matches!(error, Error::Subscribed), "{error}");
    let error = shop.payments.portal(shop.buyer, BACK).await.unwrap_err();
    assert!(matches!(error, Error::NoCustomer), "{error}");
    assert_eq!(shop.plan().await, "free");

    shop.buys(PRO).await;
    let second = shop.fake.all("subscription").last().unwrap().clone();
    assert_ne!(second["customer"], first.as_str());
    assert_eq!(second["status"], "active", "there is one trial");
    // Events that have not arrived yet, newest first: the end of the first customer comes last.
    for event in shop.fake.events()[unheard..].iter().rev() {
        shop.hear(event).await;
    }
    assert_eq!(shop.plan().await, "pro");
    let shown = shop.payments.subscription(shop.buyer.tenant).await.unwrap().unwrap();
    assert_eq!(
        (shown.id.as_str(), shown.status),
        (second["id"].as_str().unwrap(), SubscriptionStatus::Active)
    );
}

#[tokio::test]
async fn a_pack_is_sold_to_another_at_once() {
    let mut shop = Shop::open().await;
    shop.buys(SMALL).await;
    let first = shop.fake.all("customer")[0]["id"].as_str().unwrap().to_owned();
    shop.fake.delete_customer(&first).unwrap();
    shop.buyer.key = Some("another-key");
    shop.buys(SMALL).await;
    shop.hear_all().await;
    let account: Account = shop.store.get(&key::account(shop.buyer.tenant)).await.unwrap().unwrap();
    assert_eq!(account.available, MicroCredits(10_000_000));
    assert_eq!(shop.fake.all("customer").len(), 2);
    assert!(shop.payments.invoices(shop.buyer.tenant, 10, None).await.unwrap().data.is_empty());
}
