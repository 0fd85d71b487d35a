//! A deployment of the function, with the project and the run that the golden events name.

use sequent_agent::{Engine, execute};
use sequent_billing::Credits;
use sequent_chat_function::{App, router};
use sequent_conversation::{NewRun, Runs, create_claimed};
use sequent_core::{RunId, Timestamp};
use sequent_definitions::{LabelMove, NewAgent, NewVersion};
use sequent_feed::{Cause, Caused, Feed, FeedChange};
use sequent_http::testing::{
    Answer, Event,
    deployment::{self as testing, Person, golden_with},
};
use sequent_model::{Client, Config};
use sequent_runlog::{DynamoStorage, LogKey, Settings};

/// The project and the run that the golden events name.
const PROJECT: &str = "prj_01K9Z3T8Q4V7M2N5B6C8D9E0F1";
const RUN: &str = "run_01K9Z3TB6W1X2Y3Z4A5B6C7D8E";
/// The question that they answer.
const QUESTION: &str = "int_01K9Z3V5C4D3E2F1G0H9J8K7M6";

/// The first message of the project, whose answer has ended.
pub(crate) const ENDED: &str = "/demo tokens=12 rate=0";
/// As [`ENDED`], but the run waits for an answer.
pub(crate) const ASKS: &str = r#"/demo tokens=1 rate=0 tool=ask_user args={"question":"Which?","options":["a","b"]}
/demo tokens=1 rate=0"#;

/// Messages of the golden events, and a short answer in place of theirs.
const SHORT: [(&str, &str); 3] = [
    ("When is high tide at Cuxhaven?", "/demo tokens=1 rate=0"),
    ("When%20is%20high%20tide%3F", "%2Fdemo%20tokens%3D2%20rate%3D0"),
    ("Hello", "/demo tokens=1 rate=0"),
];

/// A deployment with one project, whose only run has ended or waits for an answer.
pub(crate) struct Deployment {
    function: testing::Deployment,
    engine: Engine,
    ada: Person,
}

impl Deployment {
    pub(crate) async fn with_run(message: &str) -> Self {
        let mut shared = None;
        let function = testing::Deployment::new("chat", |store, _| {
            // Each piece of an answer is an event of its own, so that the events do not depend on timing.
            let settings = Settings { merge: false, ..Settings::default() };
            let model = Client::new(Config { demo_tokens_per_second: 0, ..Config::demo() });
            let engine = Engine::new(DynamoStorage::new(store.clone()), model);
            let engine = shared.insert(Engine { settings, ..engine }).clone();
            router(App::new(engine, Credits::new(store.clone(), None, Default::default())))
        });
        let function = function.await;
        let ada = function.sign_up("ada@example.com").await;
        let deployment = Self { function, engine: shared.unwrap(), ada };
        deployment.execute(message).await;
        deployment
    }

    /// Creates an agent with the label `production`.
    pub(crate) async fn publish(&self, name: &str, definition: &str) {
        let tenant = self.ada.tenant();
        let agents = &self.engine.agents;
        let now = Timestamp::now();
        let content = serde_json::from_str(definition).unwrap();
        let version = NewVersion { content, change: None, user: self.ada.user() };
        agents.create(tenant, &NewAgent { name: name.parse().unwrap(), version }, now).await.unwrap();
        let production = "production".parse().unwrap();
        let to = LabelMove { version: 1, expected: None };
        agents.set_label(tenant, &name.parse().unwrap(), &production, to, now).await.unwrap();
    }

    async fn execute(&self, message: &str) {
        let new = NewRun::new(self.ada.tenant(), self.ada.user(), PROJECT.parse().unwrap(), message);
        let new = NewRun { run: RUN.parse().unwrap(), new_project: true, ..new };
        let writer = create_claimed(&self.engine.runs(), &new, None).await.unwrap();
        Box::pin(execute(&self.engine, self.key(), *writer, None)).await.unwrap();
    }

    /// Tells the feed of the run, as the function that reads the stream of the table does.
    pub(crate) async fn tell_feed(&self) {
        let run_id: RunId = RUN.parse().unwrap();
        let project_id = PROJECT.parse().unwrap();
        let user_id = self.ada.user();
        let created =
            FeedChange::RunCreated { run_id, project_id, user_id, agent_id: None, agent_version: None };
        let started = FeedChange::RunStarted { run_id, project_id, user_id };
        let changes = vec![
            Caused { cause: Cause::creation_of(run_id), change: created },
            Caused { cause: Cause::within(run_id, "started"), change: started },
        ];
        let feed = Feed::new(self.engine.store().clone());
        feed.append(self.ada.tenant(), changes, Timestamp::now()).await.unwrap();
    }

    fn key(&self) -> LogKey {
        LogKey { tenant: self.ada.tenant(), run: RUN.parse().unwrap() }
    }

    /// Sends the event of a case, with an answer to the question that the run asks.
    pub(crate) async fn send(&self, case: &str) -> (Event, Answer) {
        let run = Runs::new(self.engine.store(), self.ada.tenant()).get(RUN.parse().unwrap()).await.unwrap();
        let question = run.interrupts.first().map_or(QUESTION.to_owned(), |question| question.id.to_string());
        let replacements: Vec<_> = SHORT.into_iter().chain([(QUESTION, question.as_str())]).collect();
        let event = golden_with("chat", case, &self.ada, &replacements);
        let answer = self.function.send(&event).await;
        (event, answer)
    }
}
