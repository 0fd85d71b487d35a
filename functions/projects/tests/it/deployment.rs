//! The function as a deployment would have it, over tables of its own.

use std::{path::Path, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sequent_agent::{Engine, execute};
use sequent_data::{Store, testing};
use sequent_domain::{ExposeSecret, ProjectId, RunId, Timestamp};
use sequent_http::{
    App, Config, Keyring as _, Pipeline, Principal, Scope, Scopes, Stage, Via, csrf,
    testing::{Answer, Event},
};
use sequent_identity::{
    Identity, SignedIn, Vault,
    account::NewAccount,
    password::{Cost, Password},
    session::Device,
};
use sequent_model::Client;
use sequent_projects_function::{Conversations, router};
use sequent_run::{Start, Started, start};
use sequent_runlog::{DynamoStorage, LogKey, Writer};
use serde_json::{Value, json};

const ORIGIN: &str = "https://chat.example.com";

/// The project that the golden events speak of.
pub(crate) const PROJECT: &str = "prj_01K9Z3T8Q4V7M2N5B6C8D9E0F1";

/// What the golden events have where a real request has a credential.
const EXAMPLE_JWT: &str =
    "eyJhbGciOiJFZERTQSIsImtpZCI6ImV4YW1wbGUiLCJ0eXAiOiJhdCtqd3QifQ.eyJzdWIiOiJ1c3JfZXhhbXBsZSJ9.ZXhhbXBsZQ";

pub(crate) struct Deployment {
    app: App,
    store: Store,
    vault: Vault,
    identity: Arc<Identity>,
}

impl Deployment {
    /// In production, behind the CDN whose secret the golden events carry, with the demo provider.
    pub(crate) async fn new() -> Self {
        Self::with(Some(demo())).await
    }

    pub(crate) async fn with(models: Option<Client>) -> Self {
        let store = testing::store().await;
        let secret = json!({
            "seed": "a seed for tests", "csrf_key": STANDARD.encode([7; 32]), "origin_secret": "example-origin-secret"
        });
        let vault = Vault::fixed(&secret.to_string().into()).unwrap();
        let config = sequent_identity::Config {
            public_url: ORIGIN.to_owned(),
            access_token_ttl: Duration::from_secs(900),
            password_cost: Cost { memory_kib: 64, iterations: 1, parallelism: 1 },
        };
        let identity = Arc::new(Identity::new(store.clone(), vault.clone(), &config).unwrap());
        let http =
            Config { stage: Stage::Prod, public_origin: Some(ORIGIN.to_owned()), ..Config::for_tests() };
        let app = Pipeline::with_config("projects", http)
            .store(store.clone())
            .authenticator(Arc::clone(&identity))
            .keyring(vault.clone())
            .around(router(Conversations::new(store.clone(), vault.clone(), models)));
        Self { app, store, vault, identity }
    }

    pub(crate) async fn sign_up(&self, email: &str) -> Person {
        let password = Password::presented("correct horse battery".into()).unwrap();
        let account = NewAccount { email: email.parse().unwrap(), password, name: "Ada".to_owned() };
        let signed_in = self.identity.sign_up(account, Device::default(), Timestamp::now()).await.unwrap();
        let csrf = csrf::token(&self.vault.keys().await.unwrap(), signed_in.session.id);
        Person { token: signed_in.access_token.expose_secret().to_owned(), csrf, signed_in }
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

    /// A new conversation whose first message waits for its answer. Keep the writer: it is the run's owner.
    pub(crate) async fn ask(&self, of: &Person, project: ProjectId, content: &str) -> Writer<DynamoStorage> {
        let start_run = Start {
            tenant: of.signed_in.user.tenant_id,
            user: of.signed_in.user.id,
            run: RunId::new(),
            project,
            new_project: true,
            content: content.to_owned(),
            model: None,
            work: sequent_run::Work::default(),
            parent: None,
            claims: Vec::new(),
            replaces: None,
        };
        let engine = self.engine();
        match Box::pin(start(&engine.storage, engine.settings, &start_run, None)).await.unwrap() {
            Started::Owned(writer) => *writer,
            Started::Busy(run) => panic!("{run} is live"),
        }
    }

    /// A new conversation of one exchange, answered by the demo provider.
    pub(crate) async fn converse(&self, of: &Person, project: ProjectId, content: &str) {
        let writer = self.ask(of, project, content).await;
        let run = live_run(&self.send(&get(&format!("/api/projects/{project}"), of)).await);
        let key = LogKey { tenant: of.signed_in.user.tenant_id, run };
        Box::pin(execute(&self.engine(), key, writer, None)).await.unwrap();
    }

    fn engine(&self) -> Engine {
        let storage = DynamoStorage::new(self.store.clone());
        Engine::new(storage, demo())
    }
}

/// The run that answers in the project of this answer.
pub(crate) fn live_run(answer: &Answer) -> RunId {
    serde_json::from_value(answer.json()["live_run_id"].clone()).expect("a run is live")
}

/// The demo provider, as fast as it can.
fn demo() -> Client {
    Client::new(sequent_model::Config { demo_tokens_per_second: 0, ..sequent_model::Config::demo() })
}

/// Somebody with a tenant of their own.
pub(crate) struct Person {
    pub(crate) token: String,
    csrf: String,
    signed_in: SignedIn,
}

impl Person {
    pub(crate) fn user(&self) -> Value {
        json!(self.signed_in.user.id)
    }
}

/// A request that came through the CDN.
pub(crate) fn request(method: &str, path: &str, of: &Person) -> Event {
    Event::new(method, path).header("x-origin-verify", "example-origin-secret").bearer(&of.token)
}

pub(crate) fn get(path: &str, of: &Person) -> Event {
    request("GET", path, of)
}

/// The golden event of this name, with the examples in it replaced by what this deployment gave out.
pub(crate) fn golden(name: &str, of: &Person) -> Event {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = text.replace(EXAMPLE_JWT, &of.token).replace("example-csrf", &of.csrf);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    Event::from_file(file.path())
}
