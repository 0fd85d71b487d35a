//! The worker with handlers that succeed, fail, hang and panic.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use sequent_aws::queue::{Batch, BatchWorker as _};
use sequent_core::{ArtifactId, TenantId, Timestamp};
use sequent_event::{Body, Entity, Totals};
use sequent_runlog::{DynamoStorage, Settings};
use sequent_tables::{Row, Store, Transaction, Write, key, testing};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    Context, Delivery, Done, Failed, Job, JobClaim, JobKind, JobStatus, Jobs, MessageHandler, NewJob,
    Registry, RetryPolicy, Worked, Worker, cancel, claim, enqueue, redrive,
};

/// Acts as its input asks, and counts its attempts.
pub(super) struct Puppet(Arc<AtomicU32>);

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Act {
    Succeed,
    /// Fails until this many attempts were made.
    FailUntil(u32),
    /// Fails, and asks for this many seconds before the next attempt.
    FailFor(u64),
    /// Is not in turn at first.
    Wait,
    Refuse,
    Panic,
    Hang,
    Report,
    /// Spends this many tokens in each attempt, and acts then.
    Spend(u64, Box<Act>),
    /// Cancels its own job, as an administrator would, and acts then.
    OutliveCancel(Box<Act>),
    /// Succeeds with this many events for the log of the run.
    LeaveEvents(usize),
    /// Succeeds with a row of this many bytes.
    LeaveRow(usize),
}

impl JobKind for Puppet {
    const TYPE: &'static str = "puppet";
    const RETRY: RetryPolicy =
        RetryPolicy { attempts: 3, first: Duration::from_millis(20), longest: Duration::from_millis(40) };
    type Input = Act;

    fn key(_: &Act) -> Option<String> {
        None
    }

    async fn run(&self, act: Act, context: Context) -> Result<Done, Failed> {
        let begun = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        let act = match act {
            Act::Spend(tokens, act) => {
                context.usage.add(&Totals { output_tokens: tokens, ..Totals::default() });
                *act
            }
            act => act,
        };
        let act = match act {
            Act::OutliveCancel(act) => {
                cancel(&context.storage, context.tenant, context.job, "enough", Timestamp::now())
                    .await
                    .unwrap();
                *act
            }
            act => act,
        };
        match act {
            Act::OutliveCancel(_) => Err(Failed::Poison("one cancellation at a time".into())),
            Act::Spend(..) => Err(Failed::Poison("one purchase at a time".into())),
            Act::LeaveEvents(count) => Ok(with_events(&context, count)),
            Act::LeaveRow(bytes) => Ok(with_row(&context, bytes)),
            Act::Succeed => Ok(Done::text(format!("attempt {}", context.attempt))),
            Act::FailUntil(times) if begun < times => Err(Failed::Retry("not yet".into())),
            Act::FailUntil(_) => Ok(Done::text("at last")),
            Act::FailFor(seconds) => {
                Err(Failed::RetryAfter { why: "busy".into(), pause: Duration::from_secs(seconds) })
            }
            Act::Wait if begun == 1 => Err(Failed::NotNow { pause: Duration::from_secs(1) }),
            Act::Wait => Ok(Done::text("in turn")),
            Act::Refuse => Err(Failed::Poison("never".into())),
            Act::Panic => panic!("out of luck"),
            Act::Hang => std::future::pending().await,
            Act::Report => {
                context.progress.report(40, "Nearly half of it.");
                std::future::pending().await
            }
        }
    }
}

/// A puppet that may not take long.
struct HastyPuppet(Puppet);

impl JobKind for HastyPuppet {
    const TYPE: &'static str = "hasty_puppet";
    const TIMEOUT: Duration = Duration::from_millis(100);
    const RETRY: RetryPolicy = Puppet::RETRY;
    type Input = Act;

    fn key(_: &Act) -> Option<String> {
        None
    }

    async fn run(&self, act: Act, context: Context) -> Result<Done, Failed> {
        self.0.run(act, context).await
    }
}

/// An event and a row for each of many entities, whose names are as long as they may be.
fn with_events(context: &Context, count: usize) -> Done {
    let entity = |at| Entity {
        entity_type: "organization".into(),
        name: format!("{at}{}", "🌊".repeat(199)),
        mentions: u32::MAX,
        artifact_id: ArtifactId::from_bits(1),
        job_id: context.job,
    };
    let entities: Vec<Entity> = (0..count).map(entity).collect();
    let row = |entity: &Entity| Row::new(&key::greeting(context.tenant, &entity.name), entity).unwrap();
    let rows: Vec<Row> = entities.iter().map(row).collect();
    let writes =
        move |writes: Transaction| rows.iter().cloned().map(Write::put).fold(writes, Transaction::write);
    let events = entities.into_iter().map(Body::EntityExtracted).collect();
    Done { events, writes: Some(Arc::new(writes)), ..Done::text("\"".repeat(Done::MAX_RESULT)) }
}

fn with_row(context: &Context, bytes: usize) -> Done {
    let row = json!({"text": "x".repeat(bytes)});
    let row = Row::new(&key::greeting(context.tenant, "a large row"), &row).unwrap();
    let write = move |transaction: Transaction| transaction.write(Write::put(row.clone()));
    Done { writes: Some(Arc::new(write)), ..Done::text("a row") }
}

/// A job whose kind has a short timeout if the act never ends by itself.
pub(super) fn new_job(tenant: TenantId, act: &Act) -> NewJob {
    let hangs = match act {
        Act::Spend(_, then) => matches!(**then, Act::Hang),
        act => matches!(act, Act::Hang),
    };
    if hangs { NewJob::of::<HastyPuppet>(tenant, act) } else { NewJob::of::<Puppet>(tenant, act) }
}

pub(super) struct Bench {
    pub(super) worker: Worker,
    pub(super) storage: DynamoStorage,
    pub(super) tenant: TenantId,
    pub(super) begun: Arc<AtomicU32>,
}

impl Bench {
    pub(super) async fn new() -> Self {
        Self::over(testing::store().await)
    }

    pub(super) fn over(store: Store) -> Self {
        Self::renewing(store, Duration::from_millis(50))
    }

    /// A bench whose leases are renewed after `renew`.
    pub(super) fn renewing(store: Store, renew: Duration) -> Self {
        let storage = DynamoStorage::new(store);
        let begun = Arc::new(AtomicU32::new(0));
        let settings = Settings { lease: Duration::from_secs(30), renew, ..Settings::default() };
        let kinds = Registry::new().with(Puppet(begun.clone())).with(HastyPuppet(Puppet(begun.clone())));
        let worker = Worker::new(kinds, storage.clone(), settings);
        Self { worker, storage, tenant: TenantId::new(), begun }
    }

    pub(super) async fn enqueue(&self, act: Act) -> Delivery {
        self.enqueue_new(&new_job(self.tenant, &act)).await
    }

    pub(super) async fn enqueue_new(&self, new: &NewJob) -> Delivery {
        enqueue(self.storage.store(), new, Timestamp::now()).await.unwrap();
        Delivery { tenant_id: self.tenant, job_id: new.id }
    }

    pub(super) async fn work(&self, delivery: Delivery) -> Worked {
        self.worker.work(delivery, None).await.unwrap()
    }

    pub(super) async fn job(&self, delivery: Delivery) -> Job {
        Jobs::new(self.storage.store(), self.tenant).get(delivery.job_id).await.unwrap()
    }
}

/// Takes the messages that begin with `other`, and fails once.
#[derive(Debug, Clone, Default)]
struct Others(Arc<AtomicU32>);

impl MessageHandler for Others {
    fn handle(
        &self,
        text: &str,
    ) -> Option<BoxFuture<'static, Result<(), Box<dyn std::error::Error + Send + Sync>>>> {
        let handled = text.starts_with("other").then(|| self.0.fetch_add(1, Ordering::SeqCst))?;
        Some(Box::pin(async move { if handled == 0 { Err("not yet".into()) } else { Ok(()) } }))
    }
}

#[tokio::test]
async fn messages_that_are_not_about_jobs_have_a_handler() {
    let bench = Bench::new().await;
    let others = Others::default();
    let worker = bench.worker.clone().with_messages(others.clone());
    let delivery = bench.enqueue(Act::Succeed).await;
    let batch = || {
        let records = json!([
            {"messageId": "m1", "body": "other things"},
            {"messageId": "m2", "body": delivery.to_json()},
        ]);
        serde_json::from_value::<Batch>(json!({"Records": records})).unwrap()
    };
    let failed = serde_json::to_value(worker.handle(batch(), None).await).unwrap();
    assert_eq!(failed["batchItemFailures"], json!([{"itemIdentifier": "m1"}]), "it is received again");
    assert!(worker.handle(batch(), None).await.is_empty());
    assert_eq!(others.0.load(Ordering::SeqCst), 2);
    assert_eq!(bench.job(delivery).await.status, JobStatus::Success);
}

#[tokio::test]
async fn a_job_runs_once_even_if_it_is_delivered_twice() {
    let bench = Bench::new().await;
    let delivery = bench.enqueue(Act::Succeed).await;
    assert_eq!(bench.work(delivery).await, Worked::Success);
    assert_eq!(bench.work(delivery).await, Worked::Nothing);
    let job = bench.job(delivery).await;
    assert_eq!((job.status, job.attempt, job.result.as_deref()), (JobStatus::Success, 1, Some("attempt 1")));
    let unknown = Delivery { job_id: sequent_core::JobId::new(), ..delivery };
    assert_eq!(bench.work(unknown).await, Worked::Nothing);
    assert_eq!(bench.begun.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_failure_that_asks_for_a_pause_is_not_retried_before() {
    let bench = Bench::new().await;
    let before = Timestamp::now();
    for (seconds, shortest) in [(3_600, Duration::from_secs(3_600)), (0, Duration::from_millis(10))] {
        let delivery = bench.enqueue(Act::FailFor(seconds)).await;
        assert_eq!(bench.work(delivery).await, Worked::Again);
        let job = bench.job(delivery).await;
        assert!(job.not_before.is_some_and(|at| at >= before + shortest), "{job:?}");
    }
}

#[tokio::test]
async fn a_job_that_is_not_in_turn_waits_and_no_failure_is_counted() {
    let bench = Bench::new().await;
    let delivery = bench.enqueue(Act::Wait).await;
    let before = Timestamp::now();
    assert_eq!(bench.work(delivery).await, Worked::HandedBack);
    let job = bench.job(delivery).await;
    assert_eq!((job.status, job.failures, job.error.is_none()), (JobStatus::Pending, 0, true), "{job:?}");
    assert!(job.not_before.is_some_and(|at| at > before), "{job:?}");
    assert_eq!(bench.work(delivery).await, Worked::Success, "the worker waits for the pause");
}

#[tokio::test]
async fn failures_are_retried_as_often_as_the_policy_of_the_kind_allows() {
    let bench = Bench::new().await;
    let delivery = bench.enqueue(Act::FailUntil(3)).await;
    assert_eq!(bench.work(delivery).await, Worked::Again);
    assert_eq!(bench.work(delivery).await, Worked::Again, "the worker waits for the pause");
    assert_eq!(bench.work(delivery).await, Worked::Success);
    assert_eq!(bench.job(delivery).await.failures, 2);

    for (act, code) in [(Act::FailUntil(99), "failed"), (Act::Panic, "panicked"), (Act::Hang, "timeout")] {
        let delivery = bench.enqueue(act).await;
        for expected in [Worked::Again, Worked::Again, Worked::Failed, Worked::Nothing] {
            assert_eq!(bench.work(delivery).await, expected, "{code}");
        }
        let job = bench.job(delivery).await;
        assert_eq!((job.status, job.failures, &*job.error.unwrap().code), (JobStatus::Error, 3, code));
    }
}

#[tokio::test]
async fn poison_fails_at_once_and_a_redrive_retries_it() {
    let bench = Bench::new().await;
    let unknown =
        NewJob { job_type: "from_the_future".into(), ..NewJob::of::<Puppet>(bench.tenant, &Act::Succeed) };
    let unfit = NewJob { input: json!({"dance": 3}), ..NewJob::of::<Puppet>(bench.tenant, &Act::Succeed) };
    let cases = [
        (bench.enqueue(Act::Refuse).await, "never"),
        (bench.enqueue_new(&unknown).await, "There is no type of job `from_the_future`."),
        (bench.enqueue_new(&unfit).await, "The input cannot be read"),
    ];
    for (delivery, why) in cases {
        assert_eq!(bench.work(delivery).await, Worked::Failed);
        let error = bench.job(delivery).await.error.unwrap();
        assert!(error.code == "poison" && error.message.starts_with(why), "{error:?}");
        redrive(bench.storage.store(), bench.tenant, delivery.job_id, Timestamp::now()).await.unwrap();
        assert_eq!(bench.work(delivery).await, Worked::Failed, "the input is still poison");
        assert_eq!(bench.job(delivery).await.redrives, 1);
    }
}

#[tokio::test]
async fn progress_is_stored_during_an_attempt_and_a_cancellation_ends_it() {
    let bench = Bench::new().await;
    let delivery = bench.enqueue(Act::Report).await;
    let watching = async {
        loop {
            if let Some(progress) = bench.job(delivery).await.progress {
                assert_eq!((progress.percent, &*progress.message), (40, "Nearly half of it."));
                break;
            }
            sleep(Duration::from_millis(5)).await;
        }
        cancel(&bench.storage, bench.tenant, delivery.job_id, "enough", Timestamp::now()).await.unwrap();
    };
    let (worked, ()) = tokio::join!(bench.work(delivery), watching);
    assert_eq!(worked, Worked::Fenced);
    let job = bench.job(delivery).await;
    assert_eq!((job.status, &*job.error.unwrap().code), (JobStatus::Error, "cancelled"));
}

#[tokio::test]
async fn an_attempt_is_handed_back_at_the_deadline_and_at_shutdown() {
    let bench = Bench::new().await;
    let delivery = bench.enqueue(Act::Report).await;
    let soon = Some(Instant::now() + Duration::from_millis(80));
    assert_eq!(bench.worker.work(delivery, soon).await.unwrap(), Worked::HandedBack);
    let job = bench.job(delivery).await;
    assert_eq!((job.status, job.attempt, job.failures), (JobStatus::Pending, 1, 0));

    let leaving = async {
        while bench.job(delivery).await.status != JobStatus::Running {
            sleep(Duration::from_millis(5)).await;
        }
        bench.worker.shut_down().await;
    };
    let (worked, ()) = tokio::join!(bench.work(delivery), leaving);
    assert_eq!(worked, Worked::HandedBack);
}

#[tokio::test]
async fn a_lease_is_renewed_during_an_attempt_and_lost_when_it_runs_out() {
    let bench = Bench::new().await;
    let delivery = bench.enqueue(Act::Report).await;
    let store = bench.storage.store();
    let lease = Duration::from_secs(30);
    let taking = async {
        while bench.job(delivery).await.status != JobStatus::Running {
            sleep(Duration::from_millis(5)).await;
        }
        let now = Timestamp::now();
        let held = claim(store, bench.tenant, delivery.job_id, now, lease).await.unwrap();
        assert_eq!(held, JobClaim::Held);
        // Another worker with a clock far ahead takes the job over, although the first worker is alive.
        let later = now + Duration::from_secs(60);
        let taken = claim(store, bench.tenant, delivery.job_id, later, lease).await.unwrap();
        assert!(matches!(taken, JobClaim::Won(job) if job.attempt == 2 && job.lost == 1));
    };
    let (worked, ()) = tokio::join!(bench.work(delivery), taking);
    assert_eq!(worked, Worked::Fenced);
    assert_eq!(bench.job(delivery).await.status, JobStatus::Running, "the second worker has the job");
}
