//! The function with agents and prompts.

use std::ops::Deref;

use sequent_agents_function::{App, router};
pub(crate) use sequent_http::testing::deployment::{Person, request};
use sequent_http::testing::{Answer, Event, deployment as testing};
use sequent_tool::Guard;
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
            router(App::new(store.clone(), vault.clone(), Guard::default()))
        };
        Self(testing::Deployment::new("agents", routes).await)
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

    /// Reads what must exist.
    pub(crate) async fn read(&self, of: &Person, path: &str) -> Value {
        let answer = self.send(&request("GET", path, of)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Creates the tool of the golden events, and the agent and the prompt, each with two versions, of which the first is in
    /// production.
    pub(crate) async fn furnish(&self, of: &Person) {
        let house_style = json!({"name": "house-style", "template": "Be kind.\nBe brief."});
        self.made(of, "POST", "/api/prompts", house_style).await;
        let second = json!({"template": "Be kind.\nBe exact, {{ user_name }}.", "change": "Exact answers."});
        self.made(of, "POST", "/api/prompts/house-style/versions", second).await;
        let support = json!({"name": "support", "definition": {"description": "Helps."}, "change": "The first version."});
        self.made(of, "POST", "/api/agents", support).await;
        let second = json!({"definition": {"description": "Helps with tides."}});
        self.made(of, "POST", "/api/agents/support/versions", second).await;
        let schema = json!({"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]});
        let find_order = json!({"name": "find_order", "description": "Finds an order by its number.", "method": "GET",
            "url": "https://api.example.com/orders/{id}", "input_schema": schema,
            "headers": [{"name": "Authorization", "value": "Bearer golden-secret", "secret": true}]});
        self.made(of, "POST", "/api/tools", find_order).await;
        for path in ["/api/prompts/house-style", "/api/agents/support"] {
            let path = format!("{path}/labels/production");
            self.made(of, "PUT", &path, json!({"version": 1})).await;
        }
    }
}

/// A golden event of this function, with this person's credentials.
pub(crate) fn golden(case: &str, of: &Person) -> Event {
    sequent_http::testing::deployment::golden("agents", case, of)
}
