//! The function with conversations.

use std::ops::Deref;

use sequent_agent::{Engine, execute};
use sequent_billing::Credits;
use sequent_conversation::{NewRun, create_claimed};
use sequent_core::{MicroUsd, ProjectId, RunId, TenantLimits};
use sequent_http::testing::deployment as testing;
pub(crate) use sequent_http::testing::deployment::{Person, request};
use sequent_http::testing::{Answer, Event};
use sequent_model::Client;
use sequent_projects_function::{App, router};
use sequent_runlog::{DynamoStorage, LogKey, Writer};

/// The project in the golden events.
pub(crate) const PROJECT: &str = "prj_01K9Z3T8Q4V7M2N5B6C8D9E0F1";

pub(crate) struct Deployment(testing::Deployment);

impl Deref for Deployment {
    type Target = testing::Deployment;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Deployment {
    /// A deployment with the demo provider.
    pub(crate) async fn new() -> Self {
        Self::with(Some(demo())).await
    }

    pub(crate) async fn with(models: Option<Client>) -> Self {
        let function = testing::Deployment::new("projects", |store, vault| {
            router(App::new(store.clone(), vault.clone(), models))
        });
        Self(function.await)
    }

    /// A deployment whose tenants may spend this much a day.
    pub(crate) async fn with_daily_limit(limit: MicroUsd) -> Self {
        let function = testing::Deployment::new("projects", |store, vault| {
            let limits = TenantLimits { daily_usd: Some(limit), ..TenantLimits::uncapped() };
            let credits = Credits::new(store.clone(), None, Default::default()).with_limits(limits);
            let credits = credits.with_models(demo());
            router(App::new(store.clone(), vault.clone(), Some(demo())).with_credits(credits))
        });
        Self(function.await)
    }

    /// Starts a conversation. Its first message has no answer yet. The returned writer owns the run.
    pub(crate) async fn ask(&self, of: &Person, project: ProjectId, content: &str) -> Writer<DynamoStorage> {
        let new = NewRun { new_project: true, ..NewRun::new(of.tenant(), of.user(), project, content) };
        *Box::pin(create_claimed(&self.engine().runs(), &new, None)).await.unwrap()
    }

    /// Starts a conversation with one message, which the demo provider answers.
    pub(crate) async fn converse(&self, of: &Person, project: ProjectId, content: &str) {
        let writer = self.ask(of, project, content).await;
        let run = live_run(&self.send(&get(&format!("/api/projects/{project}"), of)).await);
        let key = LogKey { tenant: of.tenant(), run };
        Box::pin(execute(&self.engine(), key, writer, None)).await.unwrap();
    }

    fn engine(&self) -> Engine {
        let storage = DynamoStorage::new(self.store().clone());
        Engine::new(storage, demo())
    }
}

/// The live run of the project in this answer.
pub(crate) fn live_run(answer: &Answer) -> RunId {
    serde_json::from_value(answer.json()["live_run_id"].clone()).expect("the project has a live run")
}

/// The demo provider without pauses.
fn demo() -> Client {
    Client::new(sequent_model::Config { demo_tokens_per_second: 0, ..sequent_model::Config::demo() })
}

pub(crate) fn get(path: &str, of: &Person) -> Event {
    request("GET", path, of)
}

/// A golden event of this function, with this person's credentials.
pub(crate) fn golden(case: &str, of: &Person) -> Event {
    sequent_http::testing::deployment::golden("projects", case, of)
}
