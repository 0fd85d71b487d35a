//! The function as a deployment would have it, over tables of its own.

use std::{sync::Arc, time::Duration};

use sequent_core::{ExposeSecret, JobId, TenantId, Timestamp};
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
use sequent_jobs::{
    Delivery, NewJob, Registry, Worker, enqueue,
    kinds::{HelloInput, HelloWorld},
};
use sequent_jobs_function::router;
use sequent_runlog::{DynamoStorage, Settings};
use sequent_tables::testing;
use serde_json::json;

const ORIGIN: &str = "https://chat.example.com";

/// The job that the golden events speak of.
pub(crate) const JOB: &str = "job_01K9Z3TB6W1X2Y3Z4A5B6C7D8E";

/// What the golden events have where a real request has a credential.
const EXAMPLE_JWT: &str =
    "eyJhbGciOiJFZERTQSIsImtpZCI6ImV4YW1wbGUiLCJ0eXAiOiJhdCtqd3QifQ.eyJzdWIiOiJ1c3JfZXhhbXBsZSJ9.ZXhhbXBsZQ";

pub(crate) struct Deployment {
    app: App,
    storage: DynamoStorage,
    identity: Arc<Identity>,
}

impl Deployment {
    /// In production, behind the CDN whose secret the golden events carry.
    pub(crate) async fn new() -> Self {
        let store = testing::store().await;
        let secret = json!({ "seed": "a seed for tests", "origin_secret": "example-origin-secret", "admin_key": "example-admin-key" });
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
        let app = Pipeline::with_config("jobs", http)
            .store(store)
            .identity(Arc::clone(&identity))
            .around(router(sequent_jobs_function::App::new(storage.clone(), vault)));
        Self { app, storage, identity }
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

    /// The job that the golden events speak of, which has failed.
    pub(crate) async fn failed_job(&self, of: &Person) {
        let new = NewJob {
            id: JOB.parse().unwrap(),
            job_type: "from_the_future".to_owned(),
            ..NewJob::of::<HelloWorld>(of.tenant(), &HelloInput::default())
        };
        enqueue(self.storage.store(), &new, Timestamp::now()).await.unwrap();
        self.work(of.tenant(), new.id).await;
    }

    /// Has a worker look at the job.
    pub(crate) async fn work(&self, tenant_id: TenantId, job_id: JobId) {
        let registry = Registry::new().with(HelloWorld);
        let worker = Worker::new(registry, self.storage.clone(), Settings::default());
        Box::pin(worker.work(Delivery { tenant_id, job_id }, None)).await.unwrap();
    }
}

/// Somebody with a tenant of their own.
pub(crate) struct Person {
    pub(crate) token: String,
    pub(crate) signed_in: SignedIn,
}

impl Person {
    pub(crate) fn tenant(&self) -> TenantId {
        self.signed_in.user.tenant_id
    }
}

/// A request that came through the CDN.
pub(crate) fn request(method: &str, path: &str, of: &Person) -> Event {
    Event::new(method, path).header("x-origin-verify", "example-origin-secret").bearer(&of.token)
}

/// The golden event of this name, with the credential in it replaced by this person's.
pub(crate) fn golden(case: &str, of: &Person) -> Event {
    Event::from_text(&sequent_core::golden::text("jobs", case).replace(EXAMPLE_JWT, &of.token))
}
