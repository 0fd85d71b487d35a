//! The function over tables of its own, for two people who do not know each other.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use sequent_agent::Engine;
use sequent_billing::Desk;
use sequent_chat_function::{Chat, router};
use sequent_core::{ExposeSecret, SecretString, TenantId, UserId};
use sequent_http::{
    App, Authenticator, Config, Credential, Keys, Pipeline, Principal, Problem, Scope, Via,
    rate_limit::Limits,
    testing::{Answer, Event},
};
use sequent_model::Client;
use sequent_runlog::{DynamoStorage, Settings};
use serde_json::{Value, json};

pub(crate) const ORIGIN: &str = "example-origin-secret";

/// Knows two people by their tokens, and takes the golden events' token for the first.
struct People([(TenantId, UserId); 2]);

impl Authenticator for People {
    fn authenticate(&self, credential: Credential) -> BoxFuture<'_, Result<Principal, Problem>> {
        let (token, via) = match credential {
            Credential::AccessToken { token, via } => (token, via),
            Credential::ApiKey(_) => return Box::pin(async { Err(Problem::unauthenticated(true)) }),
        };
        let (tenant, user) = self.0[usize::from(token.expose_secret() == "other")];
        let scopes = Scope::ALL.into_iter().collect();
        let session = (via == Via::Cookie).then(sequent_core::SessionId::new);
        let principal = Principal { tenant, user, session, api_key: None, scopes, via };
        Box::pin(async move { Ok(principal) })
    }
}

pub(crate) async fn app() -> App {
    app_over(DynamoStorage::new(sequent_tables::testing::store().await), TenantId::new())
}

/// As [`app`], over these tables, for a first person of this tenant.
pub(crate) fn app_over(storage: DynamoStorage, tenant: TenantId) -> App {
    let settings = Settings { lease: Duration::from_secs(2), ..Settings::default() };
    let store = storage.store().clone();
    let engine = Engine { settings, ..Engine::new(storage, Client::new(sequent_model::Config::demo())) };
    let desk = Desk::new(store.clone(), None, Default::default());
    let config = Config { limits: Limits::NONE, ..Config::for_tests() };
    let key = SecretString::from("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let keys = Arc::new(Keys::new(&key, Some(ORIGIN.into())).unwrap());
    let people = People([(tenant, UserId::new()), (TenantId::new(), UserId::new())]);
    Pipeline::with_config("chat", config)
        .store(store)
        .authenticator(people)
        .keyring(keys)
        .around(router(Chat { engine, desk }))
}

pub(crate) fn event(method: &str, path: &str) -> Event {
    Event::new(method, path).bearer("me").header("x-origin-verify", ORIGIN)
}

pub(crate) fn send(body: &Value) -> Event {
    event("POST", "/api/chat/send").json(body)
}

pub(crate) fn say(content: &str) -> Value {
    json!({"message": {"content": content}})
}

/// The `data` of every frame, in order.
pub(crate) fn frames(answer: &Answer) -> Vec<String> {
    answer.text().lines().filter_map(|line| line.strip_prefix("data: ").map(str::to_owned)).collect()
}

pub(crate) fn events(answer: &Answer) -> Vec<Value> {
    frames(answer).iter().map(|data| serde_json::from_str(data).unwrap()).collect()
}
