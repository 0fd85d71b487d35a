//! The function as a deployment would have it, over tables of its own.

use std::{path::Path, sync::Arc, time::Duration};

use sequent_agent::{Engine, execute};
use sequent_data::testing;
use sequent_domain::{ExposeSecret, ProjectId, RunId, TenantId, Timestamp};
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
use sequent_run::{Start, Started, enqueue, start};
use sequent_runlog::{DynamoStorage, LogKey, Settings, Writer};
use sequent_runs_function::{Executions, router};
use serde_json::{Value, json};

const ORIGIN: &str = "https://chat.example.com";

/// The run that the golden events speak of.
pub(crate) const RUN: &str = "run_01K9Z3TB6W1X2Y3Z4A5B6C7D8E";

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
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
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
        let app = Pipeline::with_config("runs", http)
            .store(store)
            .authenticator(Arc::clone(&identity))
            .keyring(vault.clone())
            .around(router(Executions::new(storage.clone(), settings, vault)));
        let demo = sequent_model::Config { demo_tokens_per_second: 0, ..sequent_model::Config::demo() };
        let engine = Engine { settings, ..Engine::new(storage, sequent_model::Client::new(demo)) };
        Self { app, engine, identity }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
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
            tenant: of.tenant(),
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

    /// Starts a run in a project of its own. Keep the writer: it is the run's owner.
    pub(crate) async fn begin(&self, of: &Person, run: RunId) -> Writer<DynamoStorage> {
        let begin = of.asks(run, ProjectId::new(), true);
        match Box::pin(start(&self.engine.storage, self.engine.settings, &begin, None)).await.unwrap() {
            Started::Owned(writer) => *writer,
            Started::Busy(run) => panic!("{run} is live"),
        }
    }

    /// Starts a run and lets the demo provider answer it to the end.
    pub(crate) async fn complete(&self, of: &Person, run: RunId) {
        let writer = self.begin(of, run).await;
        Box::pin(execute(&self.engine, of.log(run), writer, None)).await.unwrap();
    }

    /// An empty project of theirs.
    pub(crate) async fn project(&self, of: &Person) -> ProjectId {
        let projects = sequent_project::Projects::new(self.engine.store(), of.tenant());
        let name = sequent_project::Name::new("Tides").unwrap();
        projects.create(of.signed_in.user.id, name, Timestamp::now()).await.unwrap().id
    }

    /// Stores a run that waits for the end of another in the same project.
    pub(crate) async fn queue(&self, of: &Person, project: ProjectId, run: RunId) {
        enqueue(&self.engine.storage, self.engine.settings, &of.asks(run, project, false)).await.unwrap();
    }
}

/// Somebody with a tenant of their own.
pub(crate) struct Person {
    pub(crate) token: String,
    signed_in: SignedIn,
}

impl Person {
    pub(crate) fn tenant(&self) -> TenantId {
        self.signed_in.user.tenant_id
    }

    pub(crate) fn user(&self) -> Value {
        json!(self.signed_in.user.id)
    }

    /// Another user of the same tenant, as far as runs are concerned.
    pub(crate) fn colleague(&self) -> Self {
        let mut signed_in = self.signed_in.clone();
        signed_in.user.id = sequent_domain::UserId::new();
        Self { token: String::new(), signed_in }
    }

    pub(crate) fn log(&self, run: RunId) -> LogKey {
        LogKey { tenant: self.tenant(), run }
    }

    fn asks(&self, run: RunId, project: ProjectId, new_project: bool) -> Start {
        Start {
            tenant: self.tenant(),
            user: self.signed_in.user.id,
            run,
            project,
            new_project,
            content: "When is high tide?".to_owned(),
            model: None,
            work: sequent_run::Work::default(),
            parent: None,
            claims: Vec::new(),
            replaces: None,
        }
    }
}

/// A request that came through the CDN.
pub(crate) fn request(method: &str, path: &str, of: &Person) -> Event {
    Event::new(method, path).header("x-origin-verify", "example-origin-secret").bearer(&of.token)
}

/// The golden event of this name, with the credential in it replaced by this person's.
pub(crate) fn golden(name: &str, of: &Person) -> Event {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text.replace(EXAMPLE_JWT, &of.token)).unwrap();
    Event::from_file(file.path())
}
