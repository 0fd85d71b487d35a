//! Which runs a sweep sends on, and which it leaves alone.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic where it stands")]

use std::time::Duration;

use sequent_aws::queue::testing::{self, Received};
use sequent_conversation::{
    Delivery, GRACE, Runs, Start, Started, Status, Submitted, Work, cancel, finish, start, submit,
};
use sequent_core::{InterruptId, ProjectId, RunId, TenantId, Timestamp, UserId, golden};
use sequent_event::{Body, CancelReason, Interrupt, Outcome, Question, Reason};
use sequent_runlog::{Claim, DynamoStorage, LogKey, Settings, Storage, take_over};
use sequent_scheduler_function::{Event, Scheduler, Swept, Task};

#[test]
fn a_schedules_event_says_what_it_is_time_for() {
    for (case, task) in [
        ("every-minute", Task::Sweep),
        ("rotate-signing-key", Task::RotateSigningKey),
        ("collect-garbage", Task::CollectGarbage),
    ] {
        let event: Event = serde_json::from_str(&golden::text("scheduler", case)).unwrap();
        assert_eq!(event, Event { task });
    }
    assert!(serde_json::from_str::<Event>(r#"{"task":"rotate"}"#).is_err(), "no sweep for a task unknown");
}

struct Bench {
    storage: DynamoStorage,
    scheduler: Scheduler,
    received: Received,
    tenant: TenantId,
}

impl Bench {
    async fn new() -> Self {
        let storage = DynamoStorage::new(sequent_tables::testing::store().await);
        let (queue, received) = testing::queue().await;
        let scheduler = Scheduler::new(storage.clone(), queue);
        Self { storage, scheduler, received, tenant: TenantId::new() }
    }

    fn asks(&self) -> Start {
        Start {
            tenant: self.tenant,
            user: UserId::new(),
            run: RunId::new(),
            project: ProjectId::new(),
            new_project: true,
            content: "When is high tide?".to_owned(),
            model: None,
            work: Work::default(),
            parent: None,
            claims: Vec::new(),
            held: None,
            replaces: None,
        }
    }

    async fn pending(&self) -> LogKey {
        let asks = self.asks();
        let submitted = submit(&self.storage, Settings::default(), &asks).await.unwrap();
        assert_eq!(submitted, Submitted::Accepted);
        LogKey { tenant: self.tenant, run: asks.run }
    }

    async fn sweep(&self, after: Duration) -> Swept {
        self.scheduler.sweep(Timestamp::now() + after).await.unwrap()
    }

    /// The runs that were sent since the last look.
    fn sent(&self, before: usize) -> Vec<RunId> {
        let messages = self.received.messages();
        let mut runs: Vec<RunId> =
            messages[before..].iter().map(|text| Delivery::from_json(text).unwrap().run_id).collect();
        runs.sort();
        runs
    }
}

#[tokio::test]
async fn an_undelivered_run_is_sent_once_its_time_has_come_and_not_again_at_once() {
    let bench = Bench::new().await;
    // More than a page, on every shard.
    let mut runs = Vec::new();
    for _ in 0..30 {
        runs.push(bench.pending().await.run);
    }
    runs.sort();
    assert_eq!(bench.sweep(Duration::ZERO).await, Swept::default(), "the stream delivers them");
    let later = GRACE + Duration::from_secs(1);
    assert_eq!(bench.sweep(later).await, Swept { due: 30, sent: 30, failed: 0 });
    assert_eq!(bench.sent(0), runs);
    assert_eq!(bench.sweep(later).await, Swept::default(), "they were postponed");
    assert_eq!(bench.sweep(later + Duration::from_secs(120)).await.sent, 30, "still nobody took them");
}

#[tokio::test]
async fn two_sweeps_at_the_same_time_send_a_run_once() {
    let bench = Bench::new().await;
    for _ in 0..20 {
        bench.pending().await;
    }
    let later = GRACE + Duration::from_secs(1);
    let (one, other) = tokio::join!(bench.sweep(later), bench.sweep(later));
    assert_eq!(one.sent + other.sent, 20, "{one:?} {other:?}");
    assert_eq!(bench.sent(0).len(), 20);
}

#[tokio::test]
async fn a_living_owner_is_left_alone_and_a_dead_ones_run_is_sent() {
    let bench = Bench::new().await;
    let settings = Settings::default();
    let asks = bench.asks();
    let Started::Owned(owner) = start(&bench.storage, settings, &asks, None).await.unwrap() else {
        panic!("nothing is in the way")
    };
    assert_eq!(bench.sweep(settings.lease / 2).await, Swept::default());
    let key = LogKey { tenant: bench.tenant, run: asks.run };
    assert_eq!(bench.sweep(settings.lease * 2).await, Swept { due: 1, sent: 1, failed: 0 });
    assert_eq!(bench.sent(0), [asks.run]);

    // Given up in order, it is found at once.
    owner.release().await.unwrap();
    assert_eq!(bench.storage.lease(key).await.unwrap(), None);
    assert_eq!(bench.sweep(Duration::ZERO).await, Swept { due: 1, sent: 1, failed: 0 });
    let claim = take_over(&bench.storage, key, settings, false, None).await.unwrap();
    assert!(matches!(claim, Claim::Won(_)), "{claim:?}");
    assert_eq!(bench.sweep(Duration::ZERO).await, Swept::default(), "it has an owner again");
}

#[tokio::test]
async fn a_question_that_nobody_answers_in_time_is_closed_and_its_run_goes_on() {
    let bench = Bench::new().await;
    let asks = bench.asks();
    let Started::Owned(owner) = start(&bench.storage, Settings::default(), &asks, None).await.unwrap() else {
        panic!("nothing is in the way")
    };
    let expires_at = Timestamp::now() + Duration::from_secs(3600);
    let question = Question {
        reason: Reason::Question,
        message: "Which harbour?".to_owned(),
        tool_call_id: None,
        response_schema: None,
        expires_at: Some(expires_at),
    };
    let interrupt = Interrupt { id: InterruptId::new(), question: question.clone() };
    let asked = Body::ClarificationNeeded { interrupt_id: interrupt.id, question };
    owner.append(asked).await.unwrap();
    let outcome = Outcome::Interrupt { interrupts: vec![interrupt] };
    let end = Body::RunFinished { thread_id: asks.project, run_id: asks.run, outcome };
    let runs = Runs::new(bench.storage.store(), bench.tenant);
    let (row, known) = (runs.get(asks.run).await.unwrap(), *owner.signals().borrow());
    finish(&bench.storage, &owner, bench.tenant, &row, known, vec![end]).await.unwrap();
    assert_eq!(runs.get(asks.run).await.unwrap().interrupts.len(), 1);

    assert_eq!(bench.sweep(Duration::from_secs(3500)).await, Swept::default(), "there is time yet");
    assert_eq!(bench.sweep(Duration::from_secs(3700)).await, Swept { due: 1, sent: 0, failed: 0 });
    let row = runs.get(asks.run).await.unwrap();
    assert_eq!((row.status, row.interrupts.len()), (Status::Interrupted, 0));
    let key = LogKey { tenant: bench.tenant, run: asks.run };
    let marked: serde_json::Value =
        bench.storage.store().get(&sequent_tables::key::run(key.tenant, key.run)).await.unwrap().unwrap();
    assert!(marked["queued_at"].is_i64(), "the stream delivers it");
    assert_eq!(bench.sweep(GRACE * 2).await, Swept { due: 1, sent: 1, failed: 0 }, "or the sweep");
    let claim = take_over(&bench.storage, key, Settings::default(), false, None).await.unwrap();
    assert!(matches!(claim, Claim::Won(_)), "{claim:?}");
}

#[tokio::test]
async fn an_ended_run_leaves_the_index() {
    let bench = Bench::new().await;
    let key = bench.pending().await;
    let ending =
        cancel(&bench.storage, Settings::default(), key.tenant, key.run, None, CancelReason::Requested);
    Box::pin(ending).await.unwrap();
    assert_eq!(bench.sweep(GRACE * 10).await, Swept::default());
}

#[tokio::test]
async fn what_the_queue_refuses_is_found_again() {
    let bench = Bench::new().await;
    let key = bench.pending().await;
    bench.received.refuse(Delivery::from(key).to_json());
    assert_eq!(bench.sweep(GRACE * 2).await, Swept { due: 1, sent: 0, failed: 1 });
    bench.received.take_all();
    assert_eq!(bench.sweep(GRACE * 10).await, Swept { due: 1, sent: 1, failed: 0 });
}
