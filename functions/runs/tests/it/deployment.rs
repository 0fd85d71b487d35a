//! The function over tables of its own, with an engine that executes runs.

use std::ops::Deref;

use sequent_agent::{Engine, execute};
use sequent_billing::Credits;
use sequent_conversation::{NewRun, ProjectName, Projects, RunOptions, TurnRequest, create, create_claimed};
use sequent_core::{ProjectId, RunId, Timestamp};
use sequent_http::testing::Event;
use sequent_http::testing::deployment as testing;
pub(crate) use sequent_http::testing::deployment::{Person, request};
use sequent_runlog::{DynamoStorage, LogKey, Settings, Writer};
use sequent_runs_function::{App, router};

/// The run that the golden events name.
pub(crate) const RUN: &str = "run_01K9Z3TB6W1X2Y3Z4A5B6C7D8E";

pub(crate) struct Deployment {
    function: testing::Deployment,
    engine: Engine,
}

impl Deref for Deployment {
    type Target = testing::Deployment;

    fn deref(&self) -> &Self::Target {
        &self.function
    }
}

impl Deployment {
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let function = testing::Deployment::new("runs", |store, vault| {
            router(App::new(
                DynamoStorage::new(store.clone()),
                settings,
                vault.clone(),
                Credits::new(store.clone(), None, Default::default()),
            ))
        });
        let function = function.await;
        let storage = DynamoStorage::new(function.store().clone());
        let demo = sequent_model::Config { demo_tokens_per_second: 0, ..sequent_model::Config::demo() };
        let engine = Engine { settings, ..Engine::new(storage, sequent_model::Client::new(demo)) };
        Self { function, engine }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Creates a run in a new project and claims it. Keep the writer: when it is dropped, the run has no owner.
    pub(crate) async fn begin(&self, of: &Person, run: RunId) -> Writer<DynamoStorage> {
        self.begin_with(of, run, RunOptions::default()).await
    }

    async fn begin_with(&self, of: &Person, run: RunId, options: RunOptions) -> Writer<DynamoStorage> {
        let new = NewRun { new_project: true, options, ..new_run(of, run, ProjectId::new()) };
        *Box::pin(create_claimed(&self.engine.runs(), &new, None)).await.unwrap()
    }

    /// Creates a run and executes it to its end with the demo provider.
    pub(crate) async fn complete(&self, of: &Person, run: RunId) {
        self.complete_with(of, run, RunOptions::default()).await;
    }

    /// As [`complete`](Self::complete), with options.
    pub(crate) async fn complete_with(&self, of: &Person, run: RunId, options: RunOptions) {
        let writer = self.begin_with(of, run, options).await;
        Box::pin(execute(&self.engine, log_key(of, run), writer, None)).await.unwrap();
    }

    /// Creates an empty project.
    pub(crate) async fn project(&self, of: &Person) -> ProjectId {
        let projects = Projects::new(self.engine.store(), of.tenant());
        let name = ProjectName::new("Tides").unwrap();
        projects.create(of.user(), name, Timestamp::now()).await.unwrap().id
    }

    /// Creates a run that waits for the live run of the project.
    pub(crate) async fn queue(&self, of: &Person, project: ProjectId, run: RunId) {
        create(&self.engine.runs(), &new_run(of, run, project), TurnRequest::Wait).await.unwrap();
    }
}

pub(crate) fn log_key(of: &Person, run: RunId) -> LogKey {
    LogKey { tenant: of.tenant(), run }
}

fn new_run(of: &Person, run: RunId, project: ProjectId) -> NewRun {
    NewRun { run, ..NewRun::new(of.tenant(), of.user(), project, "When is high tide?") }
}

/// A golden event of this function with the credentials of `of`.
pub(crate) fn golden(case: &str, of: &Person) -> Event {
    sequent_http::testing::deployment::golden("runs", case, of)
}
