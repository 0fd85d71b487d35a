//! Random sequences of paid runs: children, cancellations and crashes. Afterwards each bill adds up.
//!
//! `BILL_SEQUENCES` sets their number, and `BILL_SEED` the first seed.

use std::{future::Future, pin::pin, task::Poll};

use sequent_agent::execute;
use sequent_billing::{Account, Cause, LedgerAccount, testing};
use sequent_conversation::{NewRun, Runs, cancel, claim};
use sequent_core::{MicroCredits, RunId, TenantId, UserId};
use sequent_event::{CancelReason, Orchestration};
use sequent_jobs::Worked;
use sequent_tables::key;

use crate::{
    bench::Bench,
    bills::{paying, plan, recorded, settle_late, settled},
};

/// Sequences of a test run, unless `BILL_SEQUENCES` is set.
const SEQUENCES: u64 = 25;
/// Steps after which a run that has not ended is a failure.
const MAX_STEPS: u32 = 2_000;

/// Polls a future at most `polls` times. Dropping it then is a crash.
async fn until<F: Future>(future: F, mut polls: u32) -> Option<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(move |context| {
        if polls == 0 {
            return Poll::Ready(None);
        }
        polls -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
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

async fn start(bench: &Bench, random: &mut fastrand::Rng) -> NewRun {
    let budget = random.u64(300..20_000);
    if random.bool() {
        return paying(bench, &script(random), budget).await;
    }
    let steps = random.usize(1..4);
    let script = script(random);
    let mut run = paying(bench, &plan(steps, &script), budget).await;
    run.options.orchestration = Orchestration::Plan;
    run
}

/// Lets an owner work on the run, if it needs one. The process of the owner may crash.
async fn work(bench: &Bench, run: RunId, random: &mut fastrand::Rng) {
    let Ok(row) = Runs::new(bench.engine.store(), bench.tenant).get(run).await else { return };
    let polls = if random.u8(..4) == 0 { random.u32(1..60) } else { u32::MAX };
    let key = bench.key(run);
    let working = async {
        let writer = claim(&bench.engine.runs(), key, &row, None).await.unwrap();
        match writer {
            Some(writer) => drop(execute(&bench.engine, key, *writer, None).await),
            None => tokio::time::sleep(bench.engine.settings.idle_check).await,
        }
    };
    let _crashed = Box::pin(until(working, polls)).await;
}

/// The runs of the sequence that have not ended.
async fn live(bench: &Bench, run: RunId) -> Vec<RunId> {
    let children = bench.state(run).await.children.into_iter().map(|child| child.run);
    let mut live = Vec::new();
    for run in std::iter::once(run).chain(children) {
        let row = Runs::new(bench.engine.store(), bench.tenant).get(run).await;
        live.extend(row.ok().filter(|row| !row.has_ended()).map(|row| row.id));
    }
    live
}

/// Executes one sequence to its end. Returns the run.
async fn sequence(bench: &Bench, random: &mut fastrand::Rng) -> RunId {
    let run = start(bench, random).await;
    let writer = bench.owned(&run).await;
    let first = execute(&bench.engine, bench.key(run.run), *writer, None);
    let polls = if random.bool() { random.u32(1..60) } else { u32::MAX };
    let _crashed = Box::pin(until(first, polls)).await;
    for _ in 0..MAX_STEPS {
        let live = live(bench, run.run).await;
        let Some(next) = (!live.is_empty()).then(|| live[random.usize(..live.len())]) else { return run.run };
        if random.u8(..12) == 0 {
            let reason = CancelReason::Requested;
            cancel(&bench.engine.runs(), bench.key(next), None, reason).await.unwrap();
        } else {
            work(bench, next, random).await;
        }
    }
    panic!("the run does not end");
}

/// Checks that the run has paid exactly what its model calls cost, and that nothing is left of its hold.
async fn check(bench: &Bench, run: RunId, seed: u64) {
    while settle_late(bench, run).await == Worked::Again {}
    let cost = recorded(bench, run).await;
    let posting = settled(bench, run).await.unwrap_or_else(|| panic!("seed {seed}: {run} is not settled"));
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
async fn every_bill_adds_up_after_children_cancellations_and_crashes() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("BILL_SEED").unwrap_or_else(|| fastrand::u64(..1 << 40));
    let bench = Bench::priced().await;
    for seed in first..first + number("BILL_SEQUENCES").unwrap_or(SEQUENCES) {
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let bench = Bench { tenant: TenantId::new(), user: UserId::new(), engine: bench.engine.clone() };
        let run = Box::pin(sequence(&bench, &mut random)).await;
        check(&bench, run, seed).await;
    }
}
