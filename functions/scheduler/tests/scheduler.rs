//! The sweeps over runs and the tasks of schedules.
#![expect(clippy::unwrap_used, reason = "a failed step should panic at its line")]

use std::time::Duration;

use sequent_aws::queue::testing::{self, Received};
use sequent_conversation::{
    Delivery, GRACE, NewRun, Run, RunStatus, RunStore, Runs, TurnRequest, cancel, create, create_claimed,
    finish,
};
use sequent_core::{
    InterruptId, Principal, ProjectId, RunId, Scopes, TenantId, Timestamp, UserId, Via, golden,
};
use sequent_event::{Body, CancelReason, Interrupt, Question, Reason, RunOutcome};
use sequent_jobs::{
    Delivery as JobDelivery, NewJob, enqueue,
    kinds::{HelloInput, HelloWorld},
};
use sequent_runlog::{
    Claim, Decision, DynamoStorage, Lease, LogKey, Settings, Storage, WAIT_CHECK, claim, decide,
};
use sequent_scheduler_function::{
    JobSweeper, PeriodicJobs, RunSweeper, ScheduleSweeper, ScheduledEvent, SweptJobs, SweptRuns,
    SweptSchedules, Task,
};
use sequent_schedules::{ScheduleDelivery, Schedules};

#[test]
fn a_schedules_event_contains_its_task() {
    for (case, task) in [
        ("every-minute", Task::Sweep),
        ("rotate-signing-key", Task::RotateSigningKey),
        ("collect-garbage", Task::CollectGarbage),
        ("enqueue-hourly-jobs", Task::EnqueueHourlyJobs),
        ("enqueue-daily-jobs", Task::EnqueueDailyJobs),
        ("create-setup-code", Task::CreateSetupCode),
    ] {
        let event: ScheduledEvent = serde_json::from_str(&golden::text("scheduler", case)).unwrap();
        assert_eq!(event, ScheduledEvent { task });
    }
    assert!(
        serde_json::from_str::<ScheduledEvent>(r#"{"task":"rotate"}"#).is_err(),
        "an unknown task is not a sweep"
    );
}

struct Bench {
    storage: DynamoStorage,
    sweeper: RunSweeper,
    received: Received,
    tenant: TenantId,
}

impl Bench {
    async fn new() -> Self {
        let storage = DynamoStorage::new(sequent_tables::testing::store().await);
        let (queue, received) = testing::queue().await;
        let sweeper = RunSweeper::new(storage.clone(), queue);
        Self { storage, sweeper, received, tenant: TenantId::new() }
    }

    fn runs(&self) -> RunStore {
        RunStore::new(self.storage.clone(), Settings::default())
    }

    fn new_run(&self) -> NewRun {
        let project = ProjectId::new();
        NewRun { new_project: true, ..NewRun::new(self.tenant, UserId::new(), project, "When is high tide?") }
    }

    async fn pending(&self) -> LogKey {
        let new = self.new_run();
        create(&self.runs(), &new, TurnRequest::Claim).await.unwrap();
        LogKey { tenant: self.tenant, run: new.run }
    }

    /// A run that asks a question, which expires in an hour.
    async fn interrupted(&self) -> LogKey {
        let new = self.new_run();
        let owner = create_claimed(&self.runs(), &new, None).await.unwrap();
        let question = Question {
            reason: Reason::Question,
            message: "Which harbour?".to_owned(),
            tool_call_id: None,
            call: None,
            response_schema: None,
            expires_at: Some(Timestamp::now() + Duration::from_secs(3600)),
        };
        let interrupt = Interrupt { id: InterruptId::new(), question: question.clone() };
        let asked = Body::ClarificationNeeded { interrupt_id: interrupt.id, question };
        owner.append(asked).await.unwrap();
        let outcome = RunOutcome::Interrupt { interrupts: vec![interrupt] };
        let end = Body::RunFinished { thread_id: new.project, run_id: new.run, outcome };
        let row = self.run(new.run).await;
        let known = *owner.signals().borrow();
        finish(&owner, self.tenant, &row, known, vec![end]).await.unwrap();
        LogKey { tenant: self.tenant, run: new.run }
    }

    async fn run(&self, id: RunId) -> Run {
        Runs::new(self.storage.store(), self.tenant).get(id).await.unwrap()
    }

    async fn sweep(&self, after: Duration) -> SweptRuns {
        self.sweeper.sweep(Timestamp::now() + after).await.unwrap()
    }

    /// The runs that were sent after the first `before` messages.
    fn sent(&self, before: usize) -> Vec<RunId> {
        let messages = self.received.messages();
        assert!(self.received.groups().iter().all(|group| *group == Some(self.tenant.to_string())));
        let mut runs: Vec<RunId> =
            messages[before..].iter().map(|text| Delivery::from_json(text).unwrap().run_id).collect();
        runs.sort();
        runs
    }
}

#[tokio::test]
async fn an_undelivered_run_is_sent_when_it_is_due_and_then_postponed() {
    let bench = Bench::new().await;
    // More than a page, on every shard.
    let mut runs = Vec::new();
    for _ in 0..30 {
        runs.push(bench.pending().await.run);
    }
    runs.sort();
    assert_eq!(bench.sweep(Duration::ZERO).await, SweptRuns::default(), "the stream delivers them");
    let later = GRACE + Duration::from_secs(1);
    assert_eq!(bench.sweep(later).await, SweptRuns { due: 30, sent: 30, failed: 0 });
    assert_eq!(bench.sent(0), runs);
    assert_eq!(bench.sweep(later).await, SweptRuns::default(), "they were postponed");
    assert_eq!(bench.sweep(later + Duration::from_secs(120)).await.sent, 30, "no worker claimed them");
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
async fn a_run_is_sent_only_after_the_lease_of_its_owner_has_ended() {
    let bench = Bench::new().await;
    let settings = Settings::default();
    let new = bench.new_run();
    let owner = create_claimed(&bench.runs(), &new, None).await.unwrap();
    assert_eq!(bench.sweep(settings.lease / 2).await, SweptRuns::default());
    let key = LogKey { tenant: bench.tenant, run: new.run };
    assert_eq!(bench.sweep(settings.lease * 2).await, SweptRuns { due: 1, sent: 1, failed: 0 });
    assert_eq!(bench.sent(0), [new.run]);

    // A released lease makes the run due at once.
    owner.release().await.unwrap();
    assert_eq!(bench.storage.lease(key).await.unwrap(), Lease::Free);
    assert_eq!(bench.sweep(Duration::ZERO).await, SweptRuns { due: 1, sent: 1, failed: 0 });
    let claim = claim(&bench.storage, key, settings, false, None).await.unwrap();
    assert!(matches!(claim, Claim::Won(_)), "{claim:?}");
    assert_eq!(bench.sweep(Duration::ZERO).await, SweptRuns::default(), "the run has an owner again");
}

#[tokio::test]
async fn a_waiting_run_is_sent_after_minutes_only() {
    let bench = Bench::new().await;
    let new = bench.new_run();
    let owner = create_claimed(&bench.runs(), &new, None).await.unwrap();
    let acted = owner.opening().last;
    owner.wait(acted, Timestamp::now() + Duration::from_secs(24 * 3600)).await.unwrap();
    let key = LogKey { tenant: bench.tenant, run: new.run };
    assert!(matches!(bench.storage.lease(key).await.unwrap(), Lease::Waiting(_)));
    assert_eq!(bench.sweep(WAIT_CHECK / 2).await, SweptRuns::default());
    let once = SweptRuns { due: 1, sent: 1, failed: 0 };
    assert_eq!(bench.sweep(WAIT_CHECK + Duration::from_secs(1)).await, once, "its wake-up may be lost");
    assert_eq!(bench.sweep(WAIT_CHECK + Duration::from_secs(120)).await, SweptRuns::default());

    let brief = bench.new_run();
    let owner = create_claimed(&bench.runs(), &brief, None).await.unwrap();
    let acted = owner.opening().last;
    owner.wait(acted, Timestamp::now() + Duration::from_secs(60)).await.unwrap();
    assert_eq!(bench.sweep(Duration::from_secs(61)).await, once, "its time is over");
}

#[tokio::test]
async fn an_expired_question_is_closed_and_its_run_continues() {
    let bench = Bench::new().await;
    let key = bench.interrupted().await;
    assert_eq!(bench.run(key.run).await.interrupts.len(), 1);

    assert_eq!(
        bench.sweep(Duration::from_secs(3500)).await,
        SweptRuns::default(),
        "the question is still open"
    );
    assert_eq!(bench.sweep(Duration::from_secs(3700)).await, SweptRuns { due: 1, sent: 0, failed: 0 });
    let row = bench.run(key.run).await;
    assert_eq!((row.status, row.interrupts.len()), (RunStatus::Interrupted, 0));
    let marked: serde_json::Value =
        bench.storage.store().get(&sequent_tables::key::run(key.tenant, key.run)).await.unwrap().unwrap();
    assert!(marked["queued_at"].is_i64(), "the stream delivers it");
    assert_eq!(
        bench.sweep(GRACE * 2).await,
        SweptRuns { due: 1, sent: 1, failed: 0 },
        "or the sweep sends it"
    );
    let claim = claim(&bench.storage, key, Settings::default(), false, None).await.unwrap();
    assert!(matches!(claim, Claim::Won(_)), "{claim:?}");
}

/// The row of the run does not show that it can be resumed, as after the death of a process that cancelled it.
#[tokio::test]
async fn a_run_that_waits_for_no_answer_is_sent_whatever_its_row_says() {
    let bench = Bench::new().await;
    let key = bench.interrupted().await;
    let cancel = || Body::CancelRequested { by: None, reason: CancelReason::Requested };
    let decided = decide(&bench.storage, key, |_| Ok::<_, ()>((vec![cancel()], None))).await.unwrap();
    assert!(matches!(decided, Decision::Stored(_)));
    let in_eight_days = Duration::from_secs(8 * 24 * 3600);
    assert_eq!(bench.sweep(in_eight_days).await, SweptRuns { due: 1, sent: 1, failed: 0 });
    assert_eq!(bench.sent(0), [key.run]);
}

#[tokio::test]
async fn an_ended_run_is_removed_from_the_index() {
    let bench = Bench::new().await;
    let key = bench.pending().await;
    let runs = bench.runs();
    Box::pin(cancel(&runs, key, None, CancelReason::Requested)).await.unwrap();
    assert_eq!(bench.sweep(GRACE * 10).await, SweptRuns::default());
}

#[tokio::test]
async fn a_run_that_the_queue_refuses_is_sent_by_a_later_sweep() {
    let bench = Bench::new().await;
    let key = bench.pending().await;
    bench.received.refuse(Delivery::from(key).to_json());
    assert_eq!(bench.sweep(GRACE * 2).await, SweptRuns { due: 1, sent: 0, failed: 1 });
    bench.received.take_all();
    assert_eq!(bench.sweep(GRACE * 10).await, SweptRuns { due: 1, sent: 1, failed: 0 });
}

#[tokio::test]
async fn an_undelivered_job_is_sent_to_its_queue_and_then_postponed() {
    let store = sequent_tables::testing::store().await;
    let (jobs, received) = testing::queue().await;
    let (exports, other) = testing::queue().await;
    let new = NewJob::of::<HelloWorld>(TenantId::new(), &HelloInput::default());
    enqueue(&store, &new, Timestamp::now()).await.unwrap();
    let sweeper = JobSweeper::new(store, jobs, exports);
    assert_eq!(
        sweeper.sweep(Timestamp::now()).await.unwrap(),
        SweptJobs::default(),
        "the stream delivers it"
    );
    let later = Timestamp::now() + Duration::from_secs(3600);
    assert_eq!(sweeper.sweep(later).await.unwrap(), SweptJobs { sent: 1, failed: 0 });
    let delivery = JobDelivery { tenant_id: new.tenant, job_id: new.id };
    assert_eq!(received.messages(), [delivery.to_json()]);
    assert_eq!(received.groups(), [Some(new.tenant.to_string())]);
    assert!(other.messages().is_empty());
    assert_eq!(sweeper.sweep(later).await.unwrap(), SweptJobs::default(), "the job was postponed");
}

#[tokio::test]
async fn a_schedule_is_sent_a_minute_ahead_and_delayed_until_its_time() {
    let store = sequent_tables::testing::store().await;
    let (queue, received) = testing::queue().await;
    let caller = Principal {
        tenant: TenantId::new(),
        user: UserId::new(),
        session: None,
        api_key: None,
        scopes: Scopes::ALL,
        via: Via::Bearer,
    };
    let spec = serde_json::json!({"name": "Tides", "input": "When is high tide?", "every_seconds": 3600});
    let spec = serde_json::from_value(spec).unwrap();
    let now = Timestamp::now();
    let schedule = Schedules::new(store.clone()).create(&caller, spec, now).await.unwrap();
    let sweeper = ScheduleSweeper::new(store, queue);
    let due = now + Duration::from_secs(3600);
    let early = due - Duration::from_secs(61);
    assert_eq!(sweeper.sweep(early).await.unwrap(), SweptSchedules::default());
    let ahead = due - Duration::from_secs(30);
    assert_eq!(sweeper.sweep(ahead).await.unwrap(), SweptSchedules { sent: 1, failed: 0 });
    let delivery = ScheduleDelivery { tenant_id: caller.tenant, schedule_id: schedule.id };
    assert_eq!(received.messages(), [delivery.to_json()]);
    assert_eq!(received.groups(), [Some(caller.tenant.to_string())]);
    assert_eq!(sweeper.sweep(due).await.unwrap(), SweptSchedules::default(), "it was postponed");
    let lost = due + Duration::from_secs(60);
    assert_eq!(sweeper.sweep(lost).await.unwrap(), SweptSchedules { sent: 1, failed: 0 });
}

#[tokio::test]
async fn a_periodic_job_is_enqueued_once_for_its_hour_or_day() {
    let store = sequent_tables::testing::store().await;
    let now = Timestamp::now();
    let periodic = PeriodicJobs::new(store.clone(), true);
    assert_eq!(periodic.enqueue_hourly(now).await.unwrap(), 1);
    assert_eq!(periodic.enqueue_hourly(now).await.unwrap(), 0);
    assert_eq!(periodic.enqueue_daily(now).await.unwrap(), 1);
    assert_eq!(periodic.enqueue_daily(now).await.unwrap(), 0);
    let sells_nothing = PeriodicJobs::new(store, false);
    let next_hour = now + Duration::from_secs(3600);
    assert_eq!(sells_nothing.enqueue_hourly(next_hour).await.unwrap(), 0);
}
