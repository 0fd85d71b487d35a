//! A deployment that sells a plan and a pack at the test server.

use sequent_billing::{Account, Credits, Markup, Plans, Terms};
use sequent_core::{MicroCredits, TenantId, Timestamp};
use sequent_model::price::Table;
use sequent_payments::{Article, Buyer, Catalog, Payments};
use sequent_stripe::{Client, Event, testing::Fake};
use sequent_tables::{Store, key, testing};
use serde_json::Value;

const CATALOG: &str = r#"{
    "plans": {"pro": {"prices": {"monthly": {"price": "price_pro", "credits": 20000000}}, "trial_days": 7}},
    "packs": {"small": {"price": "price_small", "credits": 5000000}}
}"#;
pub(crate) const PRO: Article<'_> = Article::Plan { plan: "pro", price: None };
pub(crate) const SMALL: Article<'_> = Article::Pack { pack: "small", quantity: 1 };
pub(crate) const BACK: &str = "https://example.com/billing";

pub(crate) struct Shop {
    pub(crate) fake: Fake,
    pub(crate) store: Store,
    pub(crate) payments: Payments,
    pub(crate) buyer: Buyer<'static>,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let fake = Fake::new("", Timestamp::now().seconds());
        fake.add_price("price_pro", 2000, true);
        fake.add_price("price_small", 500, false);
        let store = testing::store().await;
        let terms = Terms {
            plans: Plans::default(),
            markup: Markup(100),
            usual_hold: MicroCredits(1000),
            welcome: MicroCredits::ZERO,
            unverified_usd: None,
            metered: false,
        };
        let credits = Credits::new(store.clone(), Some(terms), Table::default());
        let catalog = Catalog::from_json(CATALOG).unwrap();
        let payments = Payments::new(store.clone(), Client::new(fake.clone()), catalog, &credits).unwrap();
        let buyer = Buyer { tenant: TenantId::new(), email: Some("ada@example.com"), key: Some("one-key") };
        Self { fake, store, payments, buyer }
    }

    pub(crate) async fn buys(&self, article: Article<'_>) {
        let page = self.payments.checkout(self.buyer, article, BACK).await.unwrap();
        self.fake.pay(&page.id, true).unwrap();
    }

    pub(crate) async fn hear(&self, event: &Value) {
        if let Some(subject) = Event::read(event.to_string().as_bytes()).unwrap().subject {
            self.payments.sync(&subject).await.unwrap();
        }
    }

    pub(crate) async fn hear_all(&self) {
        for event in &self.fake.events() {
            self.hear(event).await;
        }
    }

    pub(crate) async fn plan(&self) -> String {
        self.store.get::<Account>(&key::account(self.buyer.tenant)).await.unwrap().unwrap().plan
    }
}
