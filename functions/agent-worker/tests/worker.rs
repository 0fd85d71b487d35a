//! Deliveries of runs to a worker, over tables of their own.
#![expect(clippy::unwrap_used, reason = "a failed step should panic at its line")]

use std::time::Duration;

use sequent_agent::Engine;
use sequent_agent_worker_function::Worker;
use sequent_aws::queue::{Batch, BatchWorker};
use sequent_conversation::{
    Delivery, Error, MessageRole, NewRun, ParentRun, Projects, Run, RunStatus, Runs, TurnRequest, cancel,
    create, create_claimed, finish, wake_next,
};
use sequent_core::{ProjectId, RunId, TenantId, UserId};
use sequent_event::{Body, CancelReason, RunOutcome};
use sequent_model::{Client, Config};
use sequent_runlog::{DynamoStorage, Finish, Lease, LogKey, Settings, Storage, Writer, read_all};
use serde_json::{Value, json};

struct Bench {
    worker: Worker,
    engine: Engine,
    tenant: TenantId,
    user: UserId,
}

impl Bench {
    async fn new() -> Self {
        let storage = DynamoStorage::new(sequent_tables::testing::store().await);
        let settings = Settings { idle_check: Duration::from_millis(20), ..Settings::default() };
        let engine = Engine { settings, ..Engine::new(storage, Client::new(Config::demo())) };
        let worker = Worker::new(engine.clone());
        let tenant = "ten_01K9Z3TB6W0000000000000001".parse().unwrap();
        Self { worker, engine, tenant, user: UserId::new() }
    }

    fn new_run(&self, project: Option<ProjectId>, content: &str) -> NewRun {
        let id = project.unwrap_or_else(ProjectId::new);
        NewRun { new_project: project.is_none(), ..NewRun::new(self.tenant, self.user, id, content) }
    }

    async fn create(&self, new: &NewRun) {
        create(&self.engine.runs(), new, TurnRequest::Claim).await.unwrap();
    }

    async fn create_waiting(&self, new: &NewRun) {
        create(&self.engine.runs(), new, TurnRequest::Wait).await.unwrap();
    }

    async fn create_claimed(&self, new: &NewRun) -> Box<Writer<DynamoStorage>> {
        create_claimed(&self.engine.runs(), new, None).await.unwrap()
    }

    async fn cancel(&self, run: RunId) {
        let runs = self.engine.runs();
        Box::pin(cancel(&runs, self.key(run), None, CancelReason::Requested)).await.unwrap();
    }

    fn key(&self, run: RunId) -> LogKey {
        LogKey { tenant: self.tenant, run }
    }

    async fn deliver(&self, run: RunId) -> Value {
        let body = Delivery::from(self.key(run)).to_json();
        self.handle(json!({ "Records": [{ "messageId": "m", "body": body }] })).await
    }

    async fn handle(&self, batch: Value) -> Value {
        let batch: Batch = serde_json::from_value(batch).unwrap();
        serde_json::to_value(Box::pin(self.worker.handle(batch, None)).await).unwrap()["batchItemFailures"]
            .clone()
    }

    async fn run(&self, run: RunId) -> Run {
        Runs::new(self.engine.store(), self.tenant).get(run).await.unwrap()
    }

    async fn log(&self, run: RunId) -> Vec<Body> {
        let segments = read_all(&self.engine.storage, self.key(run)).await.unwrap();
        let entries = segments.into_iter().flat_map(|segment| segment.entries);
        entries.map(|entry| entry.body().unwrap().clone()).collect()
    }

    /// The time at which the run was last queued, which the stream of the table delivers.
    async fn queued_at(&self, run: RunId) -> Option<i64> {
        let key = sequent_tables::key::run(self.tenant, run);
        let row: Value = self.engine.store().get(&key).await.unwrap().unwrap();
        row["queued_at"].as_i64()
    }
}

fn golden(case: &str) -> Value {
    serde_json::from_str(&sequent_core::golden::text("agent-worker", case)).unwrap()
}

#[tokio::test]
async fn a_delivered_run_is_executed_to_its_end() {
    let bench = Bench::new().await;
    let run = "run_01K9Z3TB6W1X2Y3Z4A5B6C7D8E".parse().unwrap();
    let new = NewRun { run, ..bench.new_run(None, "/demo tokens=20 rate=0") };
    bench.create(&new).await;
    assert!(bench.queued_at(run).await.is_some(), "the stream delivers it");
    assert_eq!(bench.handle(golden("run")).await, json!([]));
    let row = bench.run(run).await;
    assert_eq!(row.status, RunStatus::Success);
    let project = Projects::new(bench.engine.store(), bench.tenant).get(new.project).await.unwrap();
    assert_eq!(project.live_run_id, None);
    let before = bench.log(run).await;
    assert_eq!(bench.handle(golden("run")).await, json!([]), "a duplicate is accepted");
    assert_eq!(bench.log(run).await, before, "and changes nothing");
}

#[tokio::test]
async fn a_poisonous_message_fails_alone() {
    let bench = Bench::new().await;
    let run = "run_01K9Z3TB6W1X2Y3Z4A5B6C7D8E".parse().unwrap();
    bench.create(&NewRun { run, ..bench.new_run(None, "/demo tokens=5 rate=0") }).await;
    let event = golden("poison");
    let poisonous = [0, 1].map(|at| json!({ "itemIdentifier": event["Records"][at]["messageId"] }));
    assert_eq!(bench.handle(event).await, json!(poisonous));
    assert_eq!(bench.run(run).await.status, RunStatus::Success);
    assert_eq!(bench.deliver(RunId::new()).await, json!([]), "a run that does not exist is no failure");
}

#[tokio::test]
async fn simultaneous_deliveries_execute_once() {
    let bench = Bench::new().await;
    let new = bench.new_run(None, "/demo tokens=10 rate=0");
    bench.create(&new).await;
    let deliveries = (0..8).map(|_| bench.deliver(new.run));
    let failures = futures::future::join_all(deliveries).await;
    assert_eq!(failures, vec![json!([]); 8]);
    let claims = bench.log(new.run).await.into_iter().filter(|body| matches!(body, Body::RunClaimed { .. }));
    assert_eq!(claims.count(), 1);
    assert_eq!(bench.run(new.run).await.status, RunStatus::Success);
}

#[tokio::test]
async fn runs_of_a_project_take_their_turns_and_wake_each_other() {
    let bench = Bench::new().await;
    let runs = bench.engine.runs();
    let live = bench.new_run(None, "hello");
    let owner = bench.create_claimed(&live).await;
    let waiting: Vec<NewRun> =
        (0..3).map(|_| bench.new_run(Some(live.project), "/demo tokens=3 rate=0")).collect();
    let refused = create(&runs, &waiting[0], TurnRequest::Claim).await;
    assert!(matches!(refused, Err(Error::Busy(run)) if run == live.run), "{refused:?}");
    for new in &waiting {
        bench.create_waiting(new).await;
        assert_eq!(bench.deliver(new.run).await, json!([]));
        assert_eq!(bench.run(new.run).await.status, RunStatus::Pending, "the live run goes first");
    }

    let known = *owner.signals().borrow();
    let row = bench.run(live.run).await;
    let end = Body::RunFinished { thread_id: live.project, run_id: live.run, outcome: RunOutcome::Cancelled };
    let ended = finish(&owner, bench.tenant, &row, known, vec![end]).await.unwrap();
    assert!(matches!(ended, Finish::Done(_)));
    let order: Vec<RunId> = waiting.iter().map(|new| new.run).collect();
    assert_eq!(bench.deliver(order[2]).await, json!([]));
    assert_eq!(bench.run(order[2]).await.status, RunStatus::Pending, "the earliest run is executed first");

    let mut queued = Vec::new();
    for run in &order {
        queued.push(bench.queued_at(*run).await.unwrap());
    }
    // Repeated until the time differs: the attribute has a resolution of a millisecond.
    while bench.queued_at(order[0]).await == Some(queued[0]) {
        wake_next(bench.engine.store(), bench.tenant, live.project).await.unwrap();
    }
    for (at, run) in order.iter().enumerate() {
        assert_eq!(bench.deliver(*run).await, json!([]));
        assert_eq!(bench.run(*run).await.status, RunStatus::Success);
        if let Some(next) = order.get(at + 1) {
            let queued_again = bench.queued_at(*next).await.unwrap();
            assert!(queued_again > queued[at + 1], "the end of one run wakes the next");
        }
    }
}

#[tokio::test]
async fn a_pending_run_that_has_the_turn_goes_before_earlier_runs() {
    let bench = Bench::new().await;
    let first = bench.new_run(None, "/demo tokens=3 rate=0");
    bench.create(&first).await;
    let early = bench.new_run(Some(first.project), "/demo tokens=3 rate=0");
    bench.create_waiting(&early).await;
    bench.cancel(first.run).await;
    // Between the end of one run and the delivery of the next, a new run may claim the turn.
    let late = bench.new_run(Some(first.project), "/demo tokens=3 rate=0");
    bench.create(&late).await;
    assert_eq!(bench.deliver(early.run).await, json!([]));
    assert_eq!(bench.run(early.run).await.status, RunStatus::Pending);
    for run in [late.run, early.run] {
        assert_eq!(bench.deliver(run).await, json!([]));
        assert_eq!(bench.run(run).await.status, RunStatus::Success, "neither waits for the other forever");
    }
}

#[tokio::test]
async fn a_run_whose_project_was_deleted_is_cancelled() {
    let bench = Bench::new().await;
    let first = bench.new_run(None, "hello");
    bench.create(&first).await;
    let waiting = bench.new_run(Some(first.project), "hello again");
    bench.create_waiting(&waiting).await;
    bench.cancel(first.run).await;
    Projects::new(bench.engine.store(), bench.tenant).delete(first.project).await.unwrap();
    assert_eq!(bench.deliver(waiting.run).await, json!([]));
    assert_eq!(bench.run(waiting.run).await.status, RunStatus::Cancelled);
}

#[tokio::test]
async fn a_child_run_leaves_the_turn_to_its_parent() {
    let bench = Bench::new().await;
    let parent = bench.new_run(None, "hello");
    let owner = bench.create_claimed(&parent).await;
    let child = NewRun {
        parent: Some(ParentRun { run: parent.run, epoch: 1 }),
        ..bench.new_run(Some(parent.project), "/demo tokens=3 rate=0")
    };
    // Creating it twice creates it once.
    for _ in 0..2 {
        bench.create_waiting(&child).await;
    }
    let users = |log: &[Body]| log.iter().filter(|body| matches!(body, Body::UserMessage { .. })).count();
    assert_eq!(users(&bench.log(child.run).await), 1);
    assert_eq!(bench.deliver(child.run).await, json!([]));
    assert_eq!(bench.run(child.run).await.status, RunStatus::Success);
    let projects = Projects::new(bench.engine.store(), bench.tenant);
    let messages = projects.latest_messages(parent.project, 10).await.unwrap();
    assert_eq!(messages.iter().map(|message| message.role).collect::<Vec<_>>(), [MessageRole::User]);
    assert_eq!(messages[0].run_id, parent.run);
    assert_eq!(projects.get(parent.project).await.unwrap().live_run_id, Some(parent.run));
    drop(owner);

    let orphan = NewRun {
        parent: Some(ParentRun { run: RunId::new(), epoch: 1 }),
        ..bench.new_run(Some(parent.project), "hello")
    };
    let refused = create(&bench.engine.runs(), &orphan, TurnRequest::Wait).await;
    assert!(matches!(refused, Err(Error::RunNotFound)), "{refused:?}");
}

#[tokio::test]
async fn a_worker_that_shuts_down_hands_its_run_over() {
    let bench = Bench::new().await;
    let new = bench.new_run(None, "/demo tokens=2000 rate=50");
    bench.create(&new).await;
    let queued = bench.queued_at(new.run).await.unwrap();
    let begun = async {
        while !bench.log(new.run).await.iter().any(|body| matches!(body, Body::TextMessageStart { .. })) {
            tokio::task::yield_now().await;
        }
        bench.worker.shut_down().await;
    };
    let (failures, ()) = tokio::join!(bench.deliver(new.run), begun);
    assert_eq!(failures, json!([]));
    assert_eq!(
        bench.engine.storage.lease(bench.key(new.run)).await.unwrap(),
        Lease::Free,
        "the lease is released"
    );
    assert!(bench.queued_at(new.run).await.unwrap() > queued, "and the run is queued");
    let log = bench.log(new.run).await;
    assert!(!log.iter().any(Body::is_terminal), "without an end");
    assert_eq!(bench.run(new.run).await.status, RunStatus::Running);
}
