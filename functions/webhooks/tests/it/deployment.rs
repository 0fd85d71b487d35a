//! The function, and a person with a webhook and a hook.

use std::ops::Deref;

use sequent_billing::Credits;
use sequent_http::testing::deployment as testing;
pub(crate) use sequent_http::testing::deployment::{Person, request};
use sequent_http::testing::{Answer, Event};
use sequent_runlog::{DynamoStorage, Settings};
use sequent_tool::Guard;
use sequent_webhooks_function::{App, router};
use serde_json::{Value, json};

pub(crate) struct Deployment(testing::Deployment);

impl Deref for Deployment {
    type Target = testing::Deployment;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Deployment {
    pub(crate) async fn new() -> Self {
        let routes = |store: &sequent_tables::Store, vault: &sequent_identity::Vault| {
            let credits = Credits::new(store.clone(), None, Default::default());
            let storage = DynamoStorage::new(store.clone());
            router(App::new(storage, Settings::default(), vault.clone(), Guard::default(), credits))
        };
        Self(testing::Deployment::new("webhooks", routes).await)
    }

    /// Sends a request with a body.
    pub(crate) async fn call(&self, of: &Person, method: &str, path: &str, body: Value) -> Answer {
        self.send(&request(method, path, of).json(&body)).await
    }

    /// Sends a request that must succeed, and returns the body of the response.
    pub(crate) async fn made(&self, of: &Person, method: &str, path: &str, body: Value) -> Value {
        let answer = self.call(of, method, path, body).await;
        assert!(answer.status.is_success(), "{method} {path}: {}", answer.text());
        answer.json()
    }

    /// Creates a webhook. Returns its id.
    pub(crate) async fn webhook(&self, of: &Person) -> String {
        let new = json!({"url": "https://example.com/", "events": ["run.finished"]});
        self.made(of, "POST", "/api/webhooks", new).await["id"].as_str().expect("an id").to_owned()
    }

    /// Creates a hook with more than its name and its task. Returns it with its address.
    pub(crate) async fn hook(&self, of: &Person, more: Value) -> Value {
        let mut new = json!({"name": "New tickets", "input": "Sort the ticket."});
        new.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.made(of, "POST", "/api/hooks", new).await
    }

    /// Creates a delivery to a webhook. Returns its id.
    pub(crate) async fn delivery(&self, of: &Person, webhook: &str) -> String {
        let path = format!("/api/webhooks/{webhook}/test");
        self.made(of, "POST", &path, json!({})).await["id"].as_str().expect("an id").to_owned()
    }
}

/// A golden event of this function about this webhook and this delivery, with this person's credentials.
pub(crate) fn golden(case: &str, of: &Person, webhook: &str, delivery: &str) -> Event {
    let ids = [("whk_01K9Z3TB6W1X2Y3Z4A5B6C7D8E", webhook), ("dlv_01K9Z3TB6W1X2Y3Z4A5B6C7D8E", delivery)];
    testing::golden_with("webhooks", case, of, &ids)
}

/// A golden event about this hook, as [`Deployment::hook`] returned it.
pub(crate) fn golden_of_hook(case: &str, of: &Person, hook: &Value) -> Event {
    let ids = [("hok_01K9Z3TB6W1X2Y3Z4A5B6C7D8E", hook["id"].as_str().unwrap()), (TOKEN, token(hook))];
    testing::golden_with("webhooks", case, of, &ids)
}

/// The token in the golden events.
const TOKEN: &str = "hk_Example0Example0Example0Example0Example0Exa";

/// The token in the address of a hook.
pub(crate) fn token(hook: &Value) -> &str {
    let url = hook["url"].as_str().expect("an address");
    url.strip_prefix("https://chat.example.com/api/hooks/").expect("the public address")
}
