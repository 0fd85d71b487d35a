//! Random sequences of paid runs: children, jobs that ask a model and fail, cancellations and crashes. Afterwards each bill
//! adds up.
//!
//! `BILL_SEQUENCES` sets their number, and `BILL_SEED` the first seed.

use std::{future::Future, time::Duration};

use futures::{StreamExt, stream};
use sequent_agent::execute;
use sequent_artifacts::{Bucket, testing::bucket};
use sequent_billing::{Account, Cause, LedgerAccount, testing};
use sequent_conversation::{Runs, TurnRequest, cancel, claim, create};
use sequent_core::{JobId, MicroCredits, RunId, TenantId, Timestamp, UserId};
use sequent_event::{Body, CancelReason, Event, Orchestration};
use sequent_jobs::{Delivery, Worked};
use sequent_runlog::{Lease, Storage as _};
use sequent_tables::key;
use tokio::{
    runtime,
    task::spawn_blocking,
    time::{sleep, timeout},
};

use crate::{
    bench::Bench,
    bills::{paying, plan, recorded, settle_late, settled},
    deliveries::{delivering, paying_report, report, worker},
};

/// Sequences of a test run, unless `BILL_SEQUENCES` is set.
const SEQUENCES: u64 = 25;
/// Sequences at a time.
const AT_ONCE: usize = 5;
/// Steps after which a run that has not ended is a failure.
const MAX_STEPS: u32 = 2_000;
/// Longest life of a process that crashes, in milliseconds. Most owners of a run take less time.
const LONGEST_LIFE_MS: u64 = 120;
/// Time in which a run must be settled. The attempt at a cancelled job has the time of a lease to notice.
const PATIENCE: Duration = Duration::from_secs(120);

/// Does `work` in a process of its own, which crashes if the work takes longer than `life`: nothing of it is polled any
/// more, so what it has not stored is lost and its lease stays. Requests that it has sent may still be carried out. Returns
/// `true` if it has crashed.
async fn process(life: Duration, work: impl Future<Output = ()> + Send + 'static) -> bool {
    let process = spawn_blocking(move || {
        let process = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let working = process.spawn(work);
        let ended = process.block_on(async { timeout(life, working).await });
        process.shutdown_background();
        ended.map(Result::unwrap).is_err()
    });
    process.await.unwrap()
}

/// A script for one response, of a random length and with a random end.
fn script(random: &mut fastrand::Rng) -> String {
    let tokens = random.u32(0..400);
    let more = match random.u8(..6) {
        0 => format!(" fail_after={}", random.u32(0..=tokens)),
        1 => " usage=none".to_owned(),
        2 => format!(" reasoning={}", random.u32(0..200)),
        _ => String::new(),
    };
    format!("/demo tokens={tokens} rate=0{more}")
}

/// Creates a run: a plain one, one with a plan, or one whose report is read by a job. It is pending, or its first owner has
/// just released it.
async fn start(bench: &Bench, random: &mut fastrand::Rng) -> RunId {
    let budget = random.u64(300..20_000);
    let script = script(random);
    let new = match random.u8(..3) {
        0 => paying(bench, &script, budget).await,
        1 => {
            let mut planned = paying(bench, &plan(random.usize(1..4), &script), budget).await;
            planned.options.orchestration = Orchestration::Plan;
            planned
        }
        _ => {
            let script = report(&format!("{script} tool=record_entities"), "High water.");
            paying_report(bench, &script, budget * 3).await
        }
    };
    if random.bool() {
        create(&bench.engine.runs(), &new, TurnRequest::Claim).await.unwrap();
    } else {
        bench.owned(&new).await.release().await.unwrap();
    }
    new.run
}

/// Waits until the lease of an owner that has crashed is over.
async fn until_free(bench: &Bench, run: RunId) {
    while let Lease::Held(until) = bench.engine.storage.lease(bench.key(run)).await.unwrap()
        && until > Timestamp::now()
    {
        sleep(until.since(Timestamp::now())).await;
    }
}

/// Lets an owner work on the run, if it needs one. Returns `true` if the process of the owner has crashed.
async fn work(bench: &Bench, bucket: &Bucket, run: RunId, random: &mut fastrand::Rng) -> bool {
    let life = life(random);
    until_free(bench, run).await;
    let (own, _) = delivering(Bench::of_process(bench), bucket);
    let working = async move {
        let Ok(row) = Runs::new(own.engine.store(), own.tenant).get(run).await else { return };
        let writer = claim(&own.engine.runs(), own.key(run), &row, None).await.unwrap();
        match writer {
            Some(writer) => drop(execute(&own.engine, own.key(run), *writer, None).await),
            None => sleep(own.engine.settings.idle_check).await,
        }
    };
    process(life, Box::pin(working)).await
}

/// The life of a process. One of three crashes.
fn life(random: &mut fastrand::Rng) -> Duration {
    Duration::from_millis(if random.u8(..3) == 0 { random.u64(..LONGEST_LIFE_MS) } else { 3_600_000 })
}

/// Lets a worker attempt the job, if it is time. Returns `true` if the process of the worker has crashed.
async fn attempt(bench: &Bench, bucket: &Bucket, job: JobId, random: &mut fastrand::Rng) -> bool {
    let (own, artifacts) = delivering(Bench::of_process(bench), bucket);
    let working = async move {
        let delivery = Delivery { tenant_id: own.tenant, job_id: job };
        let worked = Box::pin(worker(&own, &artifacts).work(delivery, None)).await;
        if matches!(worked, Ok(Worked::Nothing)) {
            sleep(own.engine.settings.idle_check).await;
        }
    };
    process(life(random), working).await
}

/// Something that has not ended.
#[derive(Clone, Copy)]
enum Open {
    Run(RunId),
    Job(JobId),
}

/// The runs and jobs of the sequence that have not ended.
async fn open(bench: &Bench, run: RunId) -> Vec<Open> {
    let state = bench.state(run).await;
    let children = state.children.iter().map(|child| child.run);
    let mut open = Vec::new();
    for run in std::iter::once(run).chain(children) {
        let row = Runs::new(bench.engine.store(), bench.tenant).get(run).await;
        open.extend(row.ok().filter(|row| !row.has_ended()).map(|row| Open::Run(row.id)));
    }
    if !open.is_empty() {
        open.extend(state.open_jobs().map(|job| Open::Job(job.job_id)));
    }
    open
}

/// Executes one sequence to its end. Returns the run, and the number of crashes.
async fn sequence(bench: &Bench, bucket: &Bucket, seed: u64) -> (RunId, usize) {
    let mut crashes = 0;
    let mut random = fastrand::Rng::with_seed(seed);
    let run = start(bench, &mut random).await;
    for _ in 0..MAX_STEPS {
        let open = open(bench, run).await;
        if open.is_empty() {
            return (run, crashes);
        }
        let is_cancelled = random.u8(..12) == 0;
        let has_crashed = match open[random.usize(..open.len())] {
            Open::Run(run) if is_cancelled => {
                let reason = CancelReason::Requested;
                cancel(&bench.engine.runs(), bench.key(run), None, reason).await.unwrap();
                false
            }
            Open::Run(run) => work(bench, bucket, run, &mut random).await,
            Open::Job(job) => attempt(bench, bucket, job, &mut random).await,
        };
        crashes += usize::from(has_crashed);
    }
    panic!("seed {seed}: {run} does not end");
}

/// Checks that the log has the usage of every response in it, also of those whose owners have crashed or were cancelled.
fn check_calls(events: &[Event], seed: u64) {
    let mut in_flight = false;
    let mut is_lost = false;
    for event in events {
        match event.body() {
            Some(Body::RunClaimed { .. }) => is_lost = in_flight,
            Some(
                Body::TextMessageStart { .. } | Body::ReasoningStart { .. } | Body::ToolCallStart { .. },
            ) => {
                assert!(!is_lost, "seed {seed}: the model is asked again, and a lost call is not recorded");
                in_flight = true;
            }
            Some(Body::UsageRecorded(_)) => {
                in_flight = false;
                is_lost = false;
            }
            _ => {}
        }
    }
    assert!(!in_flight, "seed {seed}: the last call of the run is not recorded");
}

/// Checks that the run has paid exactly what its model calls cost, and that nothing is left of its hold.
async fn check(bench: &Bench, run: RunId, seed: u64) {
    let settling = async {
        while settled(bench, run).await.is_none() {
            settle_late(bench, run).await;
            sleep(bench.engine.settings.idle_check).await;
        }
    };
    timeout(PATIENCE, settling).await.unwrap_or_else(|_| panic!("seed {seed}: {run} is not settled"));
    let children = bench.state(run).await.children.into_iter().map(|child| child.run);
    for run in children.chain([run]) {
        check_calls(&bench.events(run).await, seed);
    }
    let cost = recorded(bench, run).await;
    let posting = settled(bench, run).await.unwrap();
    let Cause::Run { cost_micro_usd, .. } = &posting.cause else { panic!("{posting:?}") };
    assert_eq!(*cost_micro_usd, cost.0, "seed {seed}: {posting:?}");
    let paid = posting.to(LedgerAccount::Spent) + posting.uncovered;
    assert_eq!(paid, MicroCredits(i64::try_from(cost.0).unwrap()), "seed {seed}: {posting:?}");
    assert_eq!(
        posting.uncovered,
        MicroCredits::ZERO,
        "seed {seed}: the demo keeps to its limits: {posting:?}"
    );
    let account: Account = bench.engine.store().get(&key::account(bench.tenant)).await.unwrap().unwrap();
    assert!(account.holds.is_empty() && account.reserved == MicroCredits::ZERO, "seed {seed}: {account:?}");
    testing::books(bench.engine.store(), bench.tenant, seed).await;
}

#[tokio::test]
async fn every_bill_adds_up_after_children_jobs_cancellations_and_crashes() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("BILL_SEED").unwrap_or_else(|| fastrand::u64(..1 << 40));
    let (bucket, _) = bucket().await;
    let (bench, _) = delivering(Bench::priced().await, &bucket);
    let count = number("BILL_SEQUENCES").unwrap_or(SEQUENCES);
    let sequences = stream::iter(first..first + count).map(|seed| {
        let bench = Bench { tenant: TenantId::new(), user: UserId::new(), engine: bench.engine.clone() };
        let bucket = bucket.clone();
        let tested = tokio::spawn(async move {
            let (run, crashes) = Box::pin(sequence(&bench, &bucket, seed)).await;
            println!("seed {seed}: {run} has met {crashes} crashes");
            check(&bench, run, seed).await;
            crashes
        });
        async move { tested.await.unwrap_or_else(|panic| panic!("seed {seed}: {panic}")) }
    });
    let crashes: Vec<usize> = sequences.buffer_unordered(AT_ONCE).collect().await;
    assert!(count < SEQUENCES || crashes.iter().any(|crashes| *crashes > 0), "no process has crashed");
}
