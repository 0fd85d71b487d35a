//! The function with an agent and its runs.

use std::{ops::Deref, time::Duration};

use sequent_agent::{Bounds, Engine, execute};
use sequent_billing::Credits;
use sequent_conversation::{NewRun, Run, RunOptions, claim, create_claimed};
use sequent_core::{ProjectId, RunId, Timestamp};
use sequent_definitions::{AgentKey, NewAgent, NewVersion, Surroundings};
use sequent_evaluations_function::{App, router};
pub(crate) use sequent_http::testing::deployment::{Person, request};
use sequent_http::testing::{Answer, Event, deployment as testing};
use sequent_runlog::{DynamoStorage, LogKey, Settings};
use sequent_tables::key::runs;
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
            let credits = Credits::new(store.clone(), None, Default::default());
            router(App::new(DynamoStorage::new(store.clone()), Settings::default(), vault.clone(), credits))
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

    /// Creates a dataset of two questions and starts an evaluation with it. Returns the body of the request and the evaluation.
    pub(crate) async fn evaluate(&self, of: &Person) -> (Value, Value) {
        let question = |n: u32| json!({"input": format!("Question {n}?\n/demo tokens=3 rate=0")});
        let dataset = json!({"name": "tides", "items": {"given": [question(1), question(2)]}});
        let dataset = self.call(of, "POST", "/api/datasets", dataset).await.json();
        let scorers = json!([{"type": "exact"}, {"type": "schema", "schema": {"type": "string"}}]);
        let body = json!({"dataset_id": dataset["id"], "agent": "support", "scorers": scorers});
        let started = self.call(of, "POST", "/api/evaluations", body.clone()).await;
        assert_eq!(started.status, 202, "{}", started.text());
        (body, started.json())
    }

    /// Executes the runs of the tenant until all have ended.
    pub(crate) async fn work(&self, of: &Person) {
        let bounds = Bounds { patience: Duration::ZERO, ..self.engine.bounds };
        let engine = Engine { bounds, ..self.engine.clone() };
        loop {
            let runs: Vec<Run> = self.function.store().every(runs(of.tenant())).await.unwrap();
            let live: Vec<&Run> = runs.iter().filter(|run| !run.has_ended()).collect();
            if live.is_empty() {
                return;
            }
            for run in live {
                let key = LogKey { tenant: of.tenant(), run: run.id };
                if let Some(writer) = Box::pin(claim(&engine.runs(), key, run, None)).await.unwrap() {
                    Box::pin(execute(&engine, key, *writer, None)).await.unwrap();
                }
            }
        }
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

/// The dataset and the evaluation that the golden events name.
const DATASET: &str = "dat_01K9Z3TB6W1X2Y3Z4A5B6C7D8E";
const EVALUATION: &str = "run_01K9Z3TB6W1X2Y3Z4A5B6C7D8E";

/// A golden event of this function, with this person's credentials.
pub(crate) fn golden(case: &str, of: &Person) -> Event {
    sequent_http::testing::deployment::golden("evaluations", case, of)
}

/// A golden event about this evaluation, with this person's credentials.
pub(crate) fn golden_about(case: &str, of: &Person, evaluation: &Value) -> Event {
    let id = |member: &str| evaluation[member].as_str().unwrap();
    let ids = [(DATASET, id("dataset_id")), (EVALUATION, id("id"))];
    sequent_http::testing::deployment::golden_with("evaluations", case, of, &ids)
}
