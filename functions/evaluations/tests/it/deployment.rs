//! The function with an agent and its runs.

use std::ops::Deref;

use sequent_agent::{Engine, execute};
use sequent_conversation::{NewRun, RunOptions, create_claimed};
use sequent_core::{ProjectId, RunId, Timestamp};
use sequent_definitions::{AgentKey, NewAgent, NewVersion, Surroundings};
use sequent_evaluations_function::{App, router};
pub(crate) use sequent_http::testing::deployment::{Person, request};
use sequent_http::testing::{Answer, Event, deployment as testing};
use sequent_runlog::{DynamoStorage, LogKey};
use serde_json::{Map, Value, json};

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
        let routes = |store: &sequent_tables::Store, vault: &sequent_identity::Vault| {
            router(App::new(store.clone(), vault.clone()))
        };
        let function = testing::Deployment::new("evaluations", routes).await;
        let demo = sequent_model::Config { demo_tokens_per_second: 0, ..sequent_model::Config::demo() };
        let storage = DynamoStorage::new(function.store().clone());
        let engine = Engine::new(storage, sequent_model::Client::new(demo));
        Self { function, engine }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Creates the agent `support`.
    pub(crate) async fn define(&self, of: &Person) {
        let definition = json!({"instructions": "Help {{ name }}.", "variables": {"name": {"type": "string", "default": "Ada"}}});
        let content = serde_json::from_value(definition).unwrap();
        let version = NewVersion { content, change: None, user: of.user() };
        let new = NewAgent { name: "support".parse().unwrap(), version };
        self.engine.agents.create(of.tenant(), &new, Timestamp::now()).await.unwrap();
    }

    /// Has the agent answer this message.
    pub(crate) async fn answered(&self, of: &Person, content: &str) -> RunId {
        let key: AgentKey = "support".parse().unwrap();
        let reference = format!("{key}").parse().unwrap();
        let variables = Map::from_iter([("name".to_owned(), json!("Bob"))]);
        let surroundings = Surroundings::on(Timestamp::now());
        let chosen = self
            .engine
            .agents
            .choose(of.tenant(), Some(&reference), &variables, &surroundings)
            .await
            .unwrap();
        let options = RunOptions { agent: chosen.map(|chosen| chosen.agent), ..RunOptions::default() };
        let new = NewRun {
            new_project: true,
            options,
            ..NewRun::new(of.tenant(), of.user(), ProjectId::new(), content.to_owned())
        };
        let writer = Box::pin(create_claimed(&self.engine.runs(), &new, None)).await.unwrap();
        let key = LogKey { tenant: of.tenant(), run: new.run };
        Box::pin(execute(&self.engine, key, *writer, None)).await.unwrap();
        new.run
    }

    /// Sends a request with a body.
    pub(crate) async fn call(&self, of: &Person, method: &str, path: &str, body: Value) -> Answer {
        self.send(&request(method, path, of).json(&body)).await
    }

    /// Reads what must exist.
    pub(crate) async fn read(&self, of: &Person, path: &str) -> Value {
        let answer = self.send(&request("GET", path, of)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }
}

/// A golden event of this function, with this person's credentials.
pub(crate) fn golden(case: &str, of: &Person) -> Event {
    sequent_http::testing::deployment::golden("evaluations", case, of)
}
