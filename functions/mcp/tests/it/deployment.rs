//! The function as a deployment would have it, over tables of its own.

use std::{path::Path, sync::Arc, time::Duration};

use sequent_agent::{Engine, execute};
use sequent_data::testing;
use sequent_domain::{ExposeSecret, RunId, Timestamp};
use sequent_http::{
    App, Config, Pipeline, Principal, Scope, Scopes, Stage, Via,
    testing::{Answer, Event},
};
use sequent_identity::{
    Identity, SignedIn, Vault,
    account::NewAccount,
    password::{Cost, Password},
    session::Device,
};
use sequent_mcp::Servers;
use sequent_mcp_function::{Mcp, router};
use sequent_run::{Begin, Runs, begin_pending};
use sequent_runlog::{DynamoStorage, LogKey, Settings};
use sequent_tool::Guard;
use serde_json::json;

const ORIGIN: &str = "https://chat.example.com";

/// What the golden events have where a real request has a credential.
const EXAMPLE_JWT: &str =
    "eyJhbGciOiJFZERTQSIsImtpZCI6ImV4YW1wbGUiLCJ0eXAiOiJhdCtqd3QifQ.eyJzdWIiOiJ1c3JfZXhhbXBsZSJ9.ZXhhbXBsZQ";

pub(crate) struct Deployment {
    app: App,
    engine: Engine,
    identity: Arc<Identity>,
}

impl Deployment {
    /// In production, behind the CDN whose secret the golden events carry.
    pub(crate) async fn new() -> Self {
        let store = testing::store().await;
        let secret = json!({ "seed": "a seed for tests", "origin_secret": "example-origin-secret" });
        let vault = Vault::fixed(&secret.to_string().into()).unwrap();
        let config = sequent_identity::Config {
            public_url: ORIGIN.to_owned(),
            access_token_ttl: Duration::from_secs(900),
            password_cost: Cost { memory_kib: 64, iterations: 1, parallelism: 1 },
        };
        let identity = Arc::new(Identity::new(store.clone(), vault.clone(), &config).unwrap());
        let http =
            Config { stage: Stage::Prod, public_origin: Some(ORIGIN.to_owned()), ..Config::for_tests() };
        let storage = DynamoStorage::new(store.clone());
        let servers = Servers::new(store.clone(), vault.clone(), Guard::default());
        let app = Pipeline::with_config("mcp", http)
            .store(store)
            .authenticator(Arc::clone(&identity))
            .keyring(vault)
            .around(router(Mcp::new(servers, storage.clone(), Settings::default())));
        let demo = sequent_model::Config { demo_tokens_per_second: 0, ..sequent_model::Config::demo() };
        let engine = Engine::new(storage, sequent_model::Client::new(demo));
        Self { app, engine, identity }
    }

    pub(crate) async fn sign_up(&self, email: &str) -> Person {
        let password = Password::presented("correct horse battery".into()).unwrap();
        let account = NewAccount { email: email.parse().unwrap(), password, name: "Ada".to_owned() };
        let signed_in = self.identity.sign_up(account, Device::default(), Timestamp::now()).await.unwrap();
        Person { token: signed_in.access_token.expose_secret().to_owned(), signed_in }
    }

    /// An API key of this person that allows `scopes` and nothing else.
    pub(crate) async fn api_key(&self, of: &Person, scopes: impl IntoIterator<Item = Scope>) -> String {
        let principal = Principal {
            tenant: of.signed_in.user.tenant_id,
            user: of.signed_in.user.id,
            session: Some(of.signed_in.session.id),
            api_key: None,
            scopes: Scopes::ALL,
            via: Via::Bearer,
        };
        let scopes = scopes.into_iter().collect();
        let created =
            self.identity.create_api_key(&principal, "tests".to_owned(), scopes, Timestamp::now()).await;
        created.unwrap().1.expose().to_owned()
    }

    pub(crate) async fn send(&self, event: &Event) -> Answer {
        event.send(&self.app).await
    }

    /// Does what a worker does with a pending run.
    pub(crate) async fn work(&self, of: &Person, run: RunId) {
        let Engine { storage, settings, .. } = &self.engine;
        let key = LogKey { tenant: of.signed_in.user.tenant_id, run };
        let row = Runs::new(storage.store(), key.tenant).get(run).await.unwrap();
        let Begin::Owned(writer) =
            Box::pin(begin_pending(storage, *settings, key, &row, None)).await.unwrap()
        else {
            panic!("{run} is not to be begun");
        };
        Box::pin(execute(&self.engine, key, *writer, None)).await.unwrap();
    }
}

/// Somebody with a tenant of their own.
pub(crate) struct Person {
    pub(crate) token: String,
    signed_in: SignedIn,
}

/// A request that came through the CDN.
pub(crate) fn request(method: &str, path: &str, token: &str) -> Event {
    Event::new(method, path).header("x-origin-verify", "example-origin-secret").bearer(token)
}

/// The golden event of this name, with the examples in it replaced by what this deployment gave out.
pub(crate) fn golden(name: &str, of: &Person) -> Event {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text.replace(EXAMPLE_JWT, &of.token)).unwrap();
    Event::from_file(file.path())
}
