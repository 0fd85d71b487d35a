//! Requests that meet a key, a name or a project that is in use.

use sequent_core::{Scopes, TenantId, UserId, Via};
use sequent_runlog::Settings;
use sequent_tables::{idempotency::PayloadHash, key};
use serde_json::json;

use super::*;
use crate::{Projects, Runs};

struct Bench {
    starter: RunStarter,
    caller: Principal,
}

impl Bench {
    async fn new() -> Self {
        let store = sequent_tables::testing::store().await;
        let runs = RunStore::new(DynamoStorage::new(store.clone()), Settings::default());
        let caller = Principal {
            tenant: TenantId::new(),
            user: UserId::new(),
            session: None,
            api_key: None,
            scopes: Scopes::ALL,
            via: Via::Bearer,
        };
        Self { starter: RunStarter::new(runs, Credits::new(store, None, Default::default())), caller }
    }

    fn request(&self, project: Destination) -> RunRequest {
        RunRequest {
            caller: self.caller.clone(),
            project,
            prompt: Prompt::try_from("hello".to_owned()).expect("a prompt"),
            model: None,
            options: RunOptions::default(),
            on_conflict: OnConflict::Reject,
            replaces: None,
            idempotency: None,
        }
    }

    fn keyed(&self, text: &str) -> Option<idempotency::Request> {
        let record = key::idempotency(self.caller.tenant, "tests", text);
        Some(idempotency::Request { record, payload: PayloadHash::of("POST", "/tests", b"") })
    }

    /// A new project with the client's name `chat`.
    fn named(&self) -> Destination {
        let id = ProjectId::new();
        let row = Row::new(&key::chat_name(self.caller.tenant, "chat"), &json!({ "project_id": id }));
        Destination::NewProject { id, rows: vec![row.expect("a row")] }
    }
}

#[tokio::test]
async fn a_repeated_request_gets_the_same_run() {
    let bench = Bench::new().await;
    let request =
        || RunRequest { idempotency: bench.keyed("key"), ..bench.request(Destination::or_new(None)) };
    let first = bench.starter.submit(&request()).await.expect("started");
    let again = bench.starter.submit(&request()).await.expect("replayed");
    assert!(!first.replayed && again.replayed);
    assert_eq!((first.run, first.project), (again.run, again.project));
}

#[tokio::test]
async fn a_name_that_another_request_has_claimed_is_refused_even_with_a_key() {
    let bench = Bench::new().await;
    let first = RunRequest { idempotency: bench.keyed("one"), ..bench.request(bench.named()) };
    bench.starter.submit(&first).await.expect("started");
    let second = RunRequest { idempotency: bench.keyed("two"), ..bench.request(bench.named()) };
    let refused = bench.starter.submit(&second).await.map(|started| started.run);
    assert!(matches!(refused, Err(Error::ClaimTaken)), "{refused:?}");
}

#[tokio::test]
async fn a_busy_project_refuses_a_run_or_lets_it_wait() {
    let bench = Bench::new().await;
    let live = bench.starter.submit(&bench.request(Destination::or_new(None))).await.expect("started");
    let in_project = || bench.request(Destination::Project(live.project));
    let refused = bench.starter.submit(&in_project()).await.map(|started| started.run);
    assert!(matches!(refused, Err(Error::Busy(run)) if run == live.run), "{refused:?}");
    let refused = bench.starter.start(&in_project()).await.map(|started| started.run);
    assert!(matches!(refused, Err(Error::Busy(run)) if run == live.run), "{refused:?}");

    let waiting = RunRequest { on_conflict: OnConflict::Enqueue, ..in_project() };
    let waiting = bench.starter.start(&waiting).await.expect("enqueued");
    assert!(waiting.owner.is_none(), "a worker executes it later");
    let store = bench.starter.runs().tables();
    let project = Projects::new(store, bench.caller.tenant).get(live.project).await.expect("exists");
    assert_eq!(project.live_run_id, Some(live.run));
}

#[tokio::test]
async fn an_interrupting_run_takes_the_turn() {
    let bench = Bench::new().await;
    let live = bench.starter.submit(&bench.request(Destination::or_new(None))).await.expect("started");
    let request = bench.request(Destination::Project(live.project));
    let request = RunRequest { on_conflict: OnConflict::Interrupt, ..request };
    let next = bench.starter.start(&request).await.expect("started");
    assert!(next.owner.is_some(), "the caller executes it");
    let store = bench.starter.runs().tables();
    let project = Projects::new(store, bench.caller.tenant).get(live.project).await.expect("exists");
    assert_eq!(project.live_run_id, Some(next.run));
    let ended = Runs::new(store, bench.caller.tenant).get(live.run).await.expect("exists");
    assert_eq!(ended.status, crate::RunStatus::Cancelled);
}
