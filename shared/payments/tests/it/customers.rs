//! A customer that was deleted at Stripe while no event about it has arrived.

use sequent_billing::{Account, Credits, Markup, Plans, Terms};
use sequent_core::{MicroCredits, TenantId, Timestamp};
use sequent_model::price::Table;
use sequent_payments::{Article, Buyer, Catalog, Error, Payments};
use sequent_stripe::{Client, Event, SubscriptionStatus, testing::Fake};
use sequent_tables::{Store, key, testing};
use serde_json::Value;

const CATALOG: &str = r#"{
    "plans": {"pro": {"prices": {"monthly": {"price": "price_pro", "credits": 20000000}}, "trial_days": 7}},
    "packs": {"small": {"price": "price_small", "credits": 5000000}}
}"#;
const PRO: Article<'_> = Article::Plan { plan: "pro", price: None };
const SMALL: Article<'_> = Article::Pack { pack: "small", quantity: 1 };
const BACK: &str = "https://example.com/billing";

struct Shop {
    fake: Fake,
    store: Store,
    payments: Payments,
    buyer: Buyer<'static>,
}

impl Shop {
    async fn open() -> Self {
        let fake = Fake::new("", Timestamp::now().seconds());
        fake.add_price("price_pro", 2000, true);
        fake.add_price("price_small", 500, false);
        let store = testing::store().await;
        let terms = Terms {
            plans: Plans::default(),
            markup: Markup(100),
            usual_hold: MicroCredits(1000),
            welcome: MicroCredits::ZERO,
            metered: false,
        };
        let credits = Credits::new(store.clone(), Some(terms), Table::default());
        let catalog = Catalog::from_json(CATALOG).unwrap();
        let payments = Payments::new(store.clone(), Client::new(fake.clone()), catalog, &credits).unwrap();
        let buyer = Buyer { tenant: TenantId::new(), email: Some("ada@example.com"), key: Some("one-key") };
        Self { fake, store, payments, buyer }
    }

    async fn buys(&self, article: Article<'_>) {
        let page = self.payments.checkout(self.buyer, article, BACK).await.unwrap();
        self.fake.pay(&page.id, true).unwrap();
    }

    async fn hear(&self, event: &Value) {
        if let Some(subject) = Event::read(event.to_string().as_bytes()).unwrap().subject {
            self.payments.sync(&subject).await.unwrap();
        }
    }

    async fn hear_all(&self) {
        for event in &self.fake.events() {
            self.hear(event).await;
        }
    }

    async fn plan(&self) -> String {
        self.store.get::<Account>(&key::account(self.buyer.tenant)).await.unwrap().unwrap().plan
    }
}

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
