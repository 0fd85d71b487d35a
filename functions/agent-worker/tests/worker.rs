//! Deliveries and what becomes of their runs, over tables of their own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic where it stands")]

use std::time::Duration;

use sequent_agent::Engine;
use sequent_agent_worker_function::Worker;
use sequent_aws::queue::{Batch, BatchWorker};
use sequent_conversation::{
    Delivery, Run, Runs, Start, Started, Status, Submitted, Work, cancel, enqueue, start, submit, wake_next,
};
use sequent_conversation::{Projects, Role};
use sequent_core::{ProjectId, RunId, TenantId, UserId};
use sequent_event::{Body, CancelReason, RunOutcome};
use sequent_model::{Client, Config};
use sequent_runlog::{DynamoStorage, Finish, LogKey, Settings, Storage, Writer, read_all};
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

    fn asks(&self, project: Option<ProjectId>, content: &str) -> Start {
        Start {
            tenant: self.tenant,
            user: self.user,
            run: RunId::new(),
            project: project.unwrap_or_else(ProjectId::new),
            new_project: project.is_none(),
            content: content.to_owned(),
            model: None,
            work: Work::default(),
            parent: None,
            claims: Vec::new(),
            held: None,
            replaces: None,
        }
    }

    async fn submit(&self, asks: &Start) {
        let submitted = submit(&self.engine.storage, self.engine.settings, asks).await.unwrap();
        assert_eq!(submitted, Submitted::Accepted);
    }

    async fn own(&self, asks: &Start) -> Box<Writer<DynamoStorage>> {
        match start(&self.engine.storage, self.engine.settings, asks, None).await.unwrap() {
            Started::Owned(writer) => writer,
            Started::Busy(run) => panic!("{run} is in the way"),
        }
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

    /// When the run was marked last; what the stream looks at.
    async fn mark(&self, run: RunId) -> Option<i64> {
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
    let asks = Start { run, ..bench.asks(None, "/demo tokens=20 rate=0") };
    bench.submit(&asks).await;
    assert!(bench.mark(run).await.is_some(), "the stream is told");
    assert_eq!(bench.handle(golden("run")).await, json!([]));
    let row = bench.run(run).await;
    assert_eq!(row.status, Status::Success);
    let project = Projects::new(bench.engine.store(), bench.tenant).get(asks.project).await.unwrap();
    assert_eq!(project.live_run_id, None);
    let before = bench.log(run).await;
    assert_eq!(bench.handle(golden("run")).await, json!([]), "a duplicate is taken");
    assert_eq!(bench.log(run).await, before, "and does nothing");
}

#[tokio::test]
async fn a_poisonous_message_fails_alone() {
    let bench = Bench::new().await;
    let run = "run_01K9Z3TB6W1X2Y3Z4A5B6C7D8E".parse().unwrap();
    bench.submit(&Start { run, ..bench.asks(None, "/demo tokens=5 rate=0") }).await;
    let event = golden("poison");
    let poisonous = [0, 1].map(|at| json!({ "itemIdentifier": event["Records"][at]["messageId"] }));
    assert_eq!(bench.handle(event).await, json!(poisonous));
    assert_eq!(bench.run(run).await.status, Status::Success);
    assert_eq!(bench.deliver(RunId::new()).await, json!([]), "a run that does not exist is nobody's failure");
}

#[tokio::test]
async fn simultaneous_deliveries_execute_once() {
    let bench = Bench::new().await;
    let asks = bench.asks(None, "/demo tokens=10 rate=0");
    bench.submit(&asks).await;
    let deliveries = (0..8).map(|_| bench.deliver(asks.run));
    let failures = futures::future::join_all(deliveries).await;
    assert_eq!(failures, vec![json!([]); 8]);
    let claims = bench.log(asks.run).await.into_iter().filter(|body| matches!(body, Body::RunClaimed { .. }));
    assert_eq!(claims.count(), 1);
    assert_eq!(bench.run(asks.run).await.status, Status::Success);
}

#[tokio::test]
async fn runs_of_a_project_take_their_turns_and_wake_each_other() {
    let bench = Bench::new().await;
    let live = bench.asks(None, "hello");
    let owner = bench.own(&live).await;
    let waiting: Vec<Start> =
        (0..3).map(|_| bench.asks(Some(live.project), "/demo tokens=3 rate=0")).collect();
    let (storage, settings) = (&bench.engine.storage, bench.engine.settings);
    assert_eq!(submit(storage, settings, &waiting[0]).await.unwrap(), Submitted::Busy(live.run));
    for asks in &waiting {
        enqueue(storage, settings, asks).await.unwrap();
        assert_eq!(bench.deliver(asks.run).await, json!([]));
        assert_eq!(bench.run(asks.run).await.status, Status::Pending, "the live run goes first");
    }

    let known = *owner.signals().borrow();
    let row = bench.run(live.run).await;
    let end = Body::RunFinished { thread_id: live.project, run_id: live.run, outcome: RunOutcome::Cancelled };
    let ended =
        sequent_conversation::finish(storage, &owner, bench.tenant, &row, known, vec![end]).await.unwrap();
    assert!(matches!(ended, Finish::Done(_)));
    let mut order: Vec<RunId> = waiting.iter().map(|asks| asks.run).collect();
    order.sort(); // within a millisecond ids are drawn, not counted
    assert_eq!(bench.deliver(order[2]).await, json!([]));
    assert_eq!(bench.run(order[2]).await.status, Status::Pending, "who came first is answered first");

    let mut marks = Vec::new();
    for run in &order {
        marks.push(bench.mark(*run).await.unwrap());
    }
    while_same(&bench, order[0], marks[0], || wake_next(bench.engine.store(), bench.tenant, live.project))
        .await;
    for (at, run) in order.iter().enumerate() {
        assert_eq!(bench.deliver(*run).await, json!([]));
        assert_eq!(bench.run(*run).await.status, Status::Success);
        if let Some(next) = order.get(at + 1) {
            assert!(bench.mark(*next).await.unwrap() > marks[at + 1], "the end of one wakes the next");
        }
    }
}

/// Wakes until the mark moves: two marks of one millisecond are one.
async fn while_same<F>(bench: &Bench, run: RunId, mark: i64, mut wake: impl FnMut() -> F)
where
    F: Future<Output = Result<(), sequent_conversation::Error>>,
{
    while bench.mark(run).await == Some(mark) {
        wake().await.unwrap();
    }
}

#[tokio::test]
async fn a_project_taken_by_a_pending_run_goes_to_it_and_not_to_those_who_came_before() {
    let bench = Bench::new().await;
    let (storage, settings) = (&bench.engine.storage, bench.engine.settings);
    let first = bench.asks(None, "/demo tokens=3 rate=0");
    bench.submit(&first).await;
    // Between the end of one run and the delivery of the next, a submission may take the project.
    let early = bench.asks(Some(first.project), "/demo tokens=3 rate=0");
    enqueue(storage, settings, &early).await.unwrap();
    let ended = cancel(storage, settings, bench.tenant, first.run, None, CancelReason::Requested);
    Box::pin(ended).await.unwrap();
    let late = bench.asks(Some(first.project), "/demo tokens=3 rate=0");
    bench.submit(&late).await;
    assert_eq!(bench.deliver(early.run).await, json!([]));
    assert_eq!(bench.run(early.run).await.status, Status::Pending);
    for run in [late.run, early.run] {
        assert_eq!(bench.deliver(run).await, json!([]));
        assert_eq!(bench.run(run).await.status, Status::Success, "neither waits for the other for ever");
    }
}

#[tokio::test]
async fn a_run_whose_project_is_gone_ends() {
    let bench = Bench::new().await;
    let (storage, settings) = (&bench.engine.storage, bench.engine.settings);
    let first = bench.asks(None, "hello");
    bench.submit(&first).await;
    let waiting = bench.asks(Some(first.project), "hello again");
    enqueue(storage, settings, &waiting).await.unwrap();
    let ended = cancel(storage, settings, bench.tenant, first.run, None, CancelReason::Requested);
    Box::pin(ended).await.unwrap();
    Projects::new(bench.engine.store(), bench.tenant).delete(first.project).await.unwrap();
    assert_eq!(bench.deliver(waiting.run).await, json!([]));
    assert_eq!(bench.run(waiting.run).await.status, Status::Cancelled);
}

#[tokio::test]
async fn a_child_run_leaves_the_project_to_its_parent() {
    let bench = Bench::new().await;
    let parent = bench.asks(None, "hello");
    let owner = bench.own(&parent).await;
    let child =
        Start { parent: Some(parent.run), ..bench.asks(Some(parent.project), "/demo tokens=3 rate=0") };
    for _ in 0..2 {
        enqueue(&bench.engine.storage, bench.engine.settings, &child)
            .await
            .expect("made again, it is the same");
    }
    let users = |log: &[Body]| log.iter().filter(|body| matches!(body, Body::UserMessage { .. })).count();
    assert_eq!(users(&bench.log(child.run).await), 1);
    assert_eq!(bench.deliver(child.run).await, json!([]));
    assert_eq!(bench.run(child.run).await.status, Status::Success);
    let projects = Projects::new(bench.engine.store(), bench.tenant);
    let messages = projects.latest_messages(parent.project, 10).await.unwrap();
    assert_eq!(messages.iter().map(|message| message.role).collect::<Vec<_>>(), [Role::User]);
    assert_eq!(messages[0].run_id, parent.run);
    assert_eq!(projects.get(parent.project).await.unwrap().live_run_id, Some(parent.run));
    drop(owner);

    let orphan = Start { parent: Some(RunId::new()), ..bench.asks(Some(parent.project), "hello") };
    let refused = enqueue(&bench.engine.storage, bench.engine.settings, &orphan).await;
    assert!(matches!(refused, Err(sequent_conversation::Error::NoProject)), "{refused:?}");
}

#[tokio::test]
async fn a_process_that_ends_hands_its_run_over() {
    let bench = Bench::new().await;
    let asks = bench.asks(None, "/demo tokens=2000 rate=50");
    bench.submit(&asks).await;
    let mark = bench.mark(asks.run).await.unwrap();
    let begun = async {
        while !bench.log(asks.run).await.iter().any(|body| matches!(body, Body::TextMessageStart { .. })) {
            tokio::task::yield_now().await;
        }
        bench.worker.shut_down().await;
    };
    let (failures, ()) = tokio::join!(bench.deliver(asks.run), begun);
    assert_eq!(failures, json!([]));
    assert_eq!(bench.engine.storage.lease(bench.key(asks.run)).await.unwrap(), None, "the lease is given up");
    assert!(bench.mark(asks.run).await.unwrap() > mark, "and the run queued");
    let log = bench.log(asks.run).await;
    assert!(!log.iter().any(Body::is_terminal), "without an end");
    assert_eq!(bench.run(asks.run).await.status, Status::Running);
}
