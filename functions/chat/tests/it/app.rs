//! The function over tables of its own, for callers of two tenants.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use sequent_agent::Engine;
use sequent_artifacts::Artifacts;
use sequent_attachments::Extractor;
use sequent_billing::Credits;
use sequent_chat_function::{App as Chat, router};
use sequent_core::{Principal, Scope, Scopes, SessionId, TenantId, UserId, Via};
use sequent_http::{
    App, Config, Pipeline,
    rate_limit::Limits,
    testing::{Answer, Event},
};
use sequent_identity::Vault;
use sequent_model::Client;
use sequent_runlog::{DynamoStorage, Settings};
use sequent_tool::{Call, Handler, Output, Tool, ToolKind};
use serde_json::{Value, json};

pub(crate) const ORIGIN: &str = "example-origin-secret";

/// The token that the golden events have.
const EXAMPLE_JWT: &str =
    "eyJhbGciOiJFZERTQSIsImtpZCI6ImV4YW1wbGUiLCJ0eXAiOiJhdCtqd3QifQ.eyJzdWIiOiJ1c3JfZXhhbXBsZSJ9.ZXhhbXBsZQ";

fn caller(tenant: TenantId) -> Principal {
    Principal {
        tenant,
        user: UserId::new(),
        session: Some(SessionId::new()),
        api_key: None,
        scopes: Scopes::ALL,
        via: Via::Bearer,
    }
}

/// A tool that a person must approve.
fn wire() -> Tool {
    struct Wire;
    impl Handler for Wire {
        fn call<'a>(&'a self, _: Call<'a>) -> BoxFuture<'a, Result<Output, sequent_tool::Error>> {
            Box::pin(async { Ok(Output::text("wired")) })
        }
    }
    let tool = Tool::new("wire", "Wires money.", json!({}), ToolKind::Runs(Arc::new(Wire)));
    Tool { needs_approval: true, ..tool }
}

pub(crate) async fn app() -> App {
    app_over(DynamoStorage::new(sequent_tables::testing::store().await), TenantId::new())
}

/// As [`app`], over these tables, with the first caller in this tenant.
pub(crate) fn app_over(storage: DynamoStorage, tenant: TenantId) -> App {
    app_with(storage, tenant, |credits| credits)
}

/// As [`app_over`], with other limits.
pub(crate) fn app_with(
    storage: DynamoStorage,
    tenant: TenantId,
    limited: impl FnOnce(Credits) -> Credits,
) -> App {
    app_of(storage, tenant, limited, None)
}

/// As [`app_with`], with a bucket.
pub(crate) fn app_of(
    storage: DynamoStorage,
    tenant: TenantId,
    limited: impl FnOnce(Credits) -> Credits,
    artifacts: Option<Artifacts>,
) -> App {
    let settings = Settings { lease: Duration::from_secs(2), ..Settings::default() };
    let store = storage.store().clone();
    let engine = Engine::new(storage, Client::new(sequent_model::Config::demo()));
    // The children are processes of the function itself.
    let extractor = Extractor::of_program(env!("CARGO_BIN_EXE_sequent-chat-function"));
    let mut engine = Engine { settings, artifacts, extractor, ..engine };
    Arc::make_mut(&mut engine.tools).add(wire()).unwrap();
    let credits = limited(Credits::new(store.clone(), None, Default::default()));
    let config = Config { limits: Limits::NONE, ..Config::for_tests() };
    let secret = json!({ "seed": "a seed for tests", "origin_secret": ORIGIN });
    let vault = Vault::fixed(&secret.to_string().into()).unwrap();
    let me = caller(tenant);
    let key = |scopes: &[Scope]| Principal { scopes: scopes.iter().copied().collect(), ..me.clone() };
    let callers = [
        ("chat key", key(&[Scope::Chat])),
        ("full key", key(&Scope::ALL[..Scope::ALL.len() - 1])),
        ("approving key", key(&[Scope::RunsWrite, Scope::Approvals])),
        ("other", caller(TenantId::new())),
        (EXAMPLE_JWT, me.clone()),
        ("me", me),
    ];
    Pipeline::with_config("chat", config)
        .store(store)
        .callers(vault, callers)
        .around(router(Chat::new(engine, credits)))
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

/// Returns the `data` of every frame, in order.
pub(crate) fn frames(answer: &Answer) -> Vec<String> {
    answer.text().lines().filter_map(|line| line.strip_prefix("data: ").map(str::to_owned)).collect()
}

pub(crate) fn events(answer: &Answer) -> Vec<Value> {
    frames(answer).iter().map(|data| serde_json::from_str(data).unwrap()).collect()
}
