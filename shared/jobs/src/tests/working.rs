//! What the worker makes of handlers that work, fail, hang and die.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use sequent_aws::queue::BatchWorker as _;
use sequent_core::{TenantId, Timestamp};
use sequent_runlog::{DynamoStorage, Settings};
use sequent_tables::testing;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    Claim, Context, Delivery, Done, Failed, Job, Jobs, Kind, New, Registry, Retry, Status, Worked, Worker,
    cancel, claim, enqueue, redrive,
};

/// Does what its input says, and counts how often it was begun.
struct Puppet(Arc<AtomicU32>);

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Act {
    Succeed,
    /// Fails until it was begun so often.
    FailUntil(u32),
    Refuse,
    Panic,
    Hang,
    Report,
}

impl Kind for Puppet {
    const TYPE: &'static str = "puppet";
    const TIMEOUT: Duration = Duration::from_millis(300);
    const RETRY: Retry =
        Retry { attempts: 3, first: Duration::from_millis(20), longest: Duration::from_millis(40) };
    type Input = Act;

    fn key(_: &Act) -> Option<String> {
        None
    }

    async fn run(&self, act: Act, context: Context) -> Result<Done, Failed> {
        let begun = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        match act {
            Act::Succeed => Ok(Done::text(format!("attempt {}", context.attempt))),
            Act::FailUntil(times) if begun < times => Err(Failed::Retry("not yet".into())),
            Act::FailUntil(_) => Ok(Done::text("at last")),
            Act::Refuse => Err(Failed::Poison("never".into())),
            Act::Panic => panic!("out of luck"),
            Act::Hang => std::future::pending().await,
            Act::Report => {
                context.progress.say(40, "Nearly half of it.");
                std::future::pending().await
            }
        }
    }
}

struct Bench {
    worker: Worker,
    storage: DynamoStorage,
    tenant: TenantId,
    begun: Arc<AtomicU32>,
}

impl Bench {
    async fn new() -> Self {
        let storage = DynamoStorage::new(testing::store().await);
        let begun = Arc::new(AtomicU32::new(0));
        let settings = Settings {
            lease: Duration::from_millis(600),
            renew: Duration::from_millis(50),
            ..Settings::default()
        };
        let worker = Worker::new(Registry::new().with(Puppet(begun.clone())), storage.clone(), settings);
        Self { worker, storage, tenant: TenantId::new(), begun }
    }

    async fn enqueue(&self, act: Act) -> Delivery {
        let new = New::of::<Puppet>(self.tenant, &act);
        self.enqueue_new(&new).await
    }

    async fn enqueue_new(&self, new: &New) -> Delivery {
        enqueue(self.storage.store(), new, Timestamp::now()).await.unwrap();
        Delivery { tenant_id: self.tenant, job_id: new.id }
    }

    async fn work(&self, delivery: Delivery) -> Worked {
        self.worker.work(delivery, None).await.unwrap()
    }

    async fn job(&self, delivery: Delivery) -> Job {
        Jobs::new(self.storage.store(), self.tenant).get(delivery.job_id).await.unwrap()
    }
}

#[tokio::test]
async fn a_job_is_done_once_however_often_it_is_delivered() {
    let bench = Bench::new().await;
    let delivery = bench.enqueue(Act::Succeed).await;
    assert_eq!(bench.work(delivery).await, Worked::Success);
    assert_eq!(bench.work(delivery).await, Worked::Nothing);
    let job = bench.job(delivery).await;
    assert_eq!((job.status, job.attempt, job.result.as_deref()), (Status::Success, 1, Some("attempt 1")));
    let nobodys = Delivery { job_id: sequent_core::JobId::new(), ..delivery };
    assert_eq!(bench.work(nobodys).await, Worked::Nothing);
    assert_eq!(bench.begun.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn failures_are_retried_as_often_as_the_kind_says_and_no_more() {
    let bench = Bench::new().await;
    let delivery = bench.enqueue(Act::FailUntil(3)).await;
    assert_eq!(bench.work(delivery).await, Worked::Again);
    assert_eq!(bench.work(delivery).await, Worked::Again, "it waits out the pause");
    assert_eq!(bench.work(delivery).await, Worked::Success);
    assert_eq!(bench.job(delivery).await.failures, 2);

    for (act, code) in [(Act::FailUntil(99), "failed"), (Act::Panic, "panicked"), (Act::Hang, "timeout")] {
        let delivery = bench.enqueue(act).await;
        for expected in [Worked::Again, Worked::Again, Worked::Failed, Worked::Nothing] {
            assert_eq!(bench.work(delivery).await, expected, "{code}");
        }
        let job = bench.job(delivery).await;
        assert_eq!((job.status, job.failures, &*job.error.unwrap().code), (Status::Error, 3, code));
    }
}

#[tokio::test]
async fn poison_fails_at_once_with_its_cause_and_a_redrive_tries_again() {
    let bench = Bench::new().await;
    let unknown =
        New { job_type: "from_the_future".into(), ..New::of::<Puppet>(bench.tenant, &Act::Succeed) };
    let unfit = New { input: json!({"dance": 3}), ..New::of::<Puppet>(bench.tenant, &Act::Succeed) };
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
        assert_eq!(bench.work(delivery).await, Worked::Failed, "it is poison still");
        assert_eq!(bench.job(delivery).await.redrives, 1);
    }
}

#[tokio::test]
async fn progress_can_be_read_meanwhile_and_a_cancel_ends_it() {
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
    assert_eq!((job.status, &*job.error.unwrap().code), (Status::Error, "cancelled"));
}

#[tokio::test]
async fn an_attempt_without_time_is_given_back_and_one_that_leaves_too() {
    let bench = Bench::new().await;
    let delivery = bench.enqueue(Act::Report).await;
    let soon = Some(Instant::now() + Duration::from_millis(80));
    assert_eq!(bench.worker.work(delivery, soon).await.unwrap(), Worked::HandedBack);
    let job = bench.job(delivery).await;
    assert_eq!((job.status, job.attempt, job.failures), (Status::Pending, 1, 0));

    let leaving = async {
        while bench.job(delivery).await.status != Status::Running {
            sleep(Duration::from_millis(5)).await;
        }
        bench.worker.shut_down().await;
    };
    let (worked, ()) = tokio::join!(bench.work(delivery), leaving);
    assert_eq!(worked, Worked::HandedBack);
}

#[tokio::test]
async fn a_lease_is_kept_while_it_works_and_lost_to_whoever_waits_it_out() {
    let bench = Bench::new().await;
    let delivery = bench.enqueue(Act::Report).await;
    let (store, lease) = (bench.storage.store(), Duration::from_millis(600));
    let taking = async {
        while bench.job(delivery).await.status != Status::Running {
            sleep(Duration::from_millis(5)).await;
        }
        let now = Timestamp::now();
        let held = claim(store, bench.tenant, delivery.job_id, now, lease).await.unwrap();
        assert_eq!(held, Claim::Held);
        // Another clock, far ahead: the worker is taken for dead although it lives.
        let later = now + Duration::from_secs(60);
        let taken = claim(store, bench.tenant, delivery.job_id, later, lease).await.unwrap();
        assert!(matches!(taken, Claim::Won(job) if job.attempt == 2 && job.lost == 1));
    };
    let (worked, ()) = tokio::join!(bench.work(delivery), taking);
    assert_eq!(worked, Worked::Fenced);
    assert_eq!(bench.job(delivery).await.status, Status::Running, "the successor's");
}
