//! The test server for Stripe as a process beside a stack, and a stack that sells through it.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::{
    surface::{Call, Person},
    system::{PATIENCE, System},
};

const KEY: &str = "sk_test_of_the_tests";
/// The secret that signs its events.
pub(crate) const SIGNING: &str = "whsec_of_the_tests";
const CATALOG: &str = r#"{
    "plans": {"pro": {"prices": {"monthly": {"price": "price_pro", "credits": 60000}}},
              "team": {"prices": {"monthly": {"price": "price_team", "credits": 500000},
                                  "yearly": {"price": "price_year", "credits": 6000000}}, "trial_days": 7, "trial_credits": 9000}},
    "packs": {"small": {"price": "price_small", "credits": 100000, "expires_days": 365}}
}"#;

/// The test server for Stripe.
pub(crate) struct Stripe {
    pub(crate) url: String,
    client: reqwest::Client,
    _process: Child,
}

impl Stripe {
    async fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_sequent-e2e-stripe"))
            .args([KEY, SIGNING])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let url = lines.next_line().await.unwrap().unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default(); // another test of the process was first
        let stripe = Self { url, client: reqwest::Client::new(), _process: process };
        for (id, amount, recurring) in [
            ("price_pro", 2000, true),
            ("price_team", 7000, true),
            ("price_year", 70_000, true),
            ("price_small", 500, false),
        ] {
            stripe.has("price", json!({"id": id, "unit_amount": amount, "recurring": recurring})).await;
        }
        stripe
    }

    /// Performs an action and returns the id of the new object.
    pub(crate) async fn has(&self, action: &str, body: Value) -> String {
        let answer =
            self.client.post(format!("{}/control/{action}", self.url)).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{action} {body}: {}", answer.status());
        answer.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn all(&self, object: &str) -> Vec<Value> {
        self.client
            .get(format!("{}/control/all/{object}", self.url))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    /// Returns the id of the latest object of a kind.
    pub(crate) async fn latest(&self, object: &str) -> String {
        self.all(object).await.last().unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// Subscribes the person, with payments for two months.
    pub(crate) async fn subscribed(&self, person: &Person) {
        let page = buy(person, json!({"plan": "pro"})).await;
        self.pays(&page).await;
        let id = self.latest("subscription").await;
        self.has("renew", json!({"id": id})).await;
        until(person, "/api/billing/credits", "two months", |credits| {
            credits["granted"].as_i64() >= Some(120_000)
        })
        .await;
    }

    /// Pays a checkout page.
    pub(crate) async fn pays(&self, page: &Value) {
        let session = page["url"].as_str().unwrap().rsplit('/').next().unwrap();
        self.has("pay", json!({"id": session})).await;
    }
}

/// Starts the test server and a stack that sells through it, whose functions also get `env`.
pub(crate) async fn selling(env: &[(&str, &str)]) -> (Stripe, System) {
    let stripe = Stripe::start().await;
    let usual = [("BILLING", "on"), ("BILLING_CATALOG", CATALOG), ("STRIPE_API_BASE", &stripe.url)];
    let env: Vec<_> = usual.into_iter().chain(env.iter().copied()).collect();
    let system = System::start_with(&env, |options| {
        options.stripe_secret_key = Some(KEY.to_owned());
        options.stripe_webhook_secret = Some(SIGNING.to_owned());
    })
    .await;
    stripe.has("webhook", json!({"url": webhook(&system)})).await;
    (stripe, system)
}

/// Returns the webhook address of the stack.
pub(crate) fn webhook(system: &System) -> String {
    format!("{}/api/webhooks/stripe", system.stack.origin_url().trim_end_matches('/'))
}

/// Creates a checkout page.
pub(crate) async fn buy(person: &Person, body: Value) -> Value {
    let call = Call::to("/api/billing/checkout").body(body);
    let answer = person.read("POST", &call, &person.bearer()).await;
    assert_eq!(answer.status, 201, "{}", answer.json());
    answer.json()
}

/// Polls `path` until the response fulfils `expected`.
pub(crate) async fn until(
    person: &Person,
    path: &str,
    what: &str,
    expected: impl Fn(&Value) -> bool,
) -> Value {
    let mut seen = Value::Null;
    let asked = Instant::now();
    while asked.elapsed() < PATIENCE {
        seen = person.get(path).await;
        if expected(&seen) {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what}: {seen}");
}
