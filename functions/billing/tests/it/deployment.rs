//! The function in a deployment that sells a plan and a pack.

use std::ops::Deref;

use sequent_billing::{Credits, Markup, Plans, Terms};
use sequent_billing_function::{App, router};
use sequent_core::{MicroCredits, Timestamp};
use sequent_http::testing::deployment as testing;
use sequent_model::price::Table;
use sequent_payments::{Catalog, Payments};
use sequent_stripe::{Client, Event, testing::Fake};

/// The tenant in the golden events.
pub(crate) const TENANT: &str = "ten_01JABCDEFGHJKMNPQRSTVWXYZ0";
const CATALOG: &str = r#"{
    "plans": {"pro": {"prices": {"monthly": {"price": "price_pro", "credits": 20000000}}}},
    "packs": {"small": {"price": "price_small", "credits": 5000000}}
}"#;

pub(crate) struct Deployment {
    function: testing::Deployment,
    stripe: Fake,
    payments: Option<Payments>,
}

impl Deref for Deployment {
    type Target = testing::Deployment;

    fn deref(&self) -> &Self::Target {
        &self.function
    }
}

impl Deployment {
    pub(crate) async fn new() -> Self {
        Self::with(Some(terms())).await
    }

    /// A deployment in which runs are free.
    pub(crate) async fn without_billing() -> Self {
        Self::with(None).await
    }

    async fn with(terms: Option<Terms>) -> Self {
        let stripe = Fake::new("", Timestamp::now().seconds());
        stripe.add_price("price_pro", 2000, true);
        stripe.add_price("price_small", 500, false);
        let mut payments = None;
        let function = testing::Deployment::new("billing", |store, vault| {
            let credits = Credits::new(store.clone(), terms, Table::default());
            let catalog = Catalog::from_json(CATALOG).unwrap();
            payments = Payments::new(store.clone(), Client::new(stripe.clone()), catalog, &credits);
            router(App::new(store.clone(), credits, vault.clone()).selling(payments.clone()))
        })
        .await;
        Self { function, stripe, payments }
    }

    /// Pays every open checkout and applies all events of Stripe.
    pub(crate) async fn pay(&self) {
        for session in self.stripe.all("checkout.session") {
            self.stripe.pay(session["id"].as_str().unwrap(), true).unwrap();
        }
        for event in self.stripe.events() {
            if let Some(subject) = Event::read(event.to_string().as_bytes()).unwrap().subject {
                self.payments.as_ref().unwrap().sync(&subject).await.unwrap();
            }
        }
    }
}

fn terms() -> Terms {
    Terms {
        plans: Plans::default(),
        markup: Markup(100),
        usual_hold: MicroCredits(1000),
        welcome: MicroCredits(1_000_000),
        unverified_usd: None,
        metered: false,
    }
}
