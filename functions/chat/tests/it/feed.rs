//! The feed as a stream.

use http_body_util::BodyExt as _;
use sequent_agent::Engine;
use sequent_billing::Credits;
use sequent_chat_function::{App, router};
use sequent_core::{ProjectId, RunId, Timestamp};
use sequent_feed::{Cause, Caused, Feed, FeedChange, KEPT};
use sequent_http::{
    axum::body::Body,
    testing::deployment::{Deployment, Person, request},
};
use sequent_model::{Client, Config};
use sequent_runlog::DynamoStorage;
use serde_json::Value;

/// A person with a feed.
struct Reader {
    deployment: Deployment,
    feed: Feed,
    ada: Person,
}

impl Reader {
    async fn new() -> Self {
        let mut shared = None;
        let deployment = Deployment::new("chat", |store, _| {
            shared = Some(store.clone());
            let engine = Engine::new(DynamoStorage::new(store.clone()), Client::new(Config::demo()));
            router(App::new(engine, Credits::new(store.clone(), None, Default::default())))
        });
        let deployment = deployment.await;
        let ada = deployment.sign_up("ada@example.com").await;
        Self { deployment, feed: Feed::new(shared.unwrap()), ada }
    }

    /// Adds entries for runs that begin.
    async fn tell(&self, runs: usize, at: Timestamp) {
        let created = (0..runs).map(|_| {
            let run_id = RunId::new();
            let project_id = ProjectId::new();
            let user_id = self.ada.user();
            let change =
                FeedChange::RunCreated { run_id, project_id, user_id, agent_id: None, agent_version: None };
            Caused { cause: Cause::creation_of(run_id), change }
        });
        self.feed.append(self.ada.tenant(), created.collect(), at).await.unwrap();
    }

    async fn open(&self, path: &str) -> Stream {
        let response = self.deployment.open(&request("GET", path, &self.ada)).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Stream { body: response.into_body(), text: String::new() }
    }
}

/// An open stream, as its client reads it.
struct Stream {
    body: Body,
    text: String,
}

impl Stream {
    /// Reads until there are so many entries. Returns their positions.
    async fn entries(&mut self, count: usize) -> Vec<u64> {
        loop {
            let ids = self.text.lines().filter_map(|line| line.strip_prefix("id: "));
            let ids: Vec<u64> = ids.map(|id| id.parse().unwrap()).collect();
            if ids.len() >= count {
                return ids;
            }
            let frame = self.body.frame().await.expect("the stream goes on").unwrap();
            self.text += std::str::from_utf8(frame.data_ref().unwrap()).unwrap();
        }
    }
}

#[tokio::test]
async fn a_stream_has_what_was_told_before_it_and_what_is_told_since() {
    let reader = Reader::new().await;
    reader.tell(3, Timestamp::now()).await;
    let mut stream = reader.open("/api/feed?after=1").await;
    assert_eq!(stream.entries(2).await, [2, 3]);
    reader.tell(2, Timestamp::now()).await;
    assert_eq!(stream.entries(4).await, [2, 3, 4, 5]);
    assert!(stream.text.contains("\nevent: run.created\n"), "{}", stream.text);
}

#[tokio::test]
async fn a_stream_of_other_types_moves_the_cursor_and_has_no_event() {
    let reader = Reader::new().await;
    reader.tell(3, Timestamp::now()).await;
    let mut stream = reader.open("/api/feed?types=artifact.created,run.ended").await;
    assert_eq!(stream.entries(1).await, [3]);
    assert_eq!(stream.text, ": the feed\n\nid: 3\n\n");
}

#[tokio::test]
async fn a_page_of_a_rare_type_is_found_by_few_reads() {
    let reader = Reader::new().await;
    reader.tell(450, Timestamp::now()).await;
    let rare = Caused {
        cause: Cause::of("rare".into()),
        change: FeedChange::CreditsLow { balance: 1, threshold: None },
    };
    reader.feed.append(reader.ada.tenant(), vec![rare], Timestamp::now()).await.unwrap();
    reader.tell(3, Timestamp::now()).await;
    let page = async |query: &str| -> Value {
        let path = format!("/api/feed?{query}");
        let request = request("GET", &path, &reader.ada).header("accept", "application/json");
        serde_json::from_slice(&reader.deployment.send(&request).await.body).unwrap()
    };
    let found = page("types=credits.low&limit=1").await;
    assert_eq!(
        (&found["entries"][0]["seq"], &found["next_after"], &found["has_more"]),
        (&451.into(), &451.into(), &true.into())
    );
    let rest = page("types=credits.low&limit=1&after=451").await;
    assert_eq!(
        (rest["entries"].as_array().unwrap().len(), &rest["next_after"], &rest["has_more"]),
        (0, &454.into(), &false.into())
    );
}

#[tokio::test]
async fn a_cursor_whose_entries_have_expired_is_gone() {
    let reader = Reader::new().await;
    reader.tell(3, Timestamp::now() - KEPT - std::time::Duration::from_secs(60)).await;
    reader.tell(1, Timestamp::now()).await;
    let answer = reader.deployment.send(&request("GET", "/api/feed?after=1", &reader.ada)).await;
    let problem: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (answer.status.as_u16(), &problem["code"], &problem["oldest"]),
        (410, &"cursor_expired".into(), &3.into())
    );
}
