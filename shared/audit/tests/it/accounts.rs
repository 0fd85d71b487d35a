//! Holds without a run, and ledgers that do not add up.

use std::cell::Cell;

use sequent_audit::{AuditReport, Auditor, FindingKind, Walk};
use sequent_billing::{Credits, Ledger, Markup, Plans, PricedRequest, Terms};
use sequent_conversation::SettleRun;
use sequent_core::{MicroCredits, MicroUsd, RunId, TenantLimits, Timestamp};
use sequent_jobs::{
    NewJob, enqueue,
    kinds::{HelloInput, HelloWorld},
};
use sequent_tables::{Update, key};

use crate::bench::{Bench, HOUR, MINUTE};

/// Opens an account with a welcome grant and holds credits for `run`.
async fn hold(bench: &Bench, run: RunId) {
    let terms = Terms {
        plans: Plans::from_json(r#"{"free": {"concurrent_runs": 10, "per_run": 90}}"#).unwrap(),
        markup: Markup(100),
        usual_hold: MicroCredits(60),
        welcome: MicroCredits(500),
        unverified_usd: None,
        metered: false,
    };
    let ledger = Ledger::new(bench.store().clone(), bench.tenant);
    let quote = sequent_billing::Quote { model: None, fallbacks: &[], first_call: MicroUsd(1), budget: None };
    let reservation = ledger.reserve(&terms, quote, Timestamp::now()).await.unwrap();
    bench.update(reservation.update(bench.tenant, run, Timestamp::now())).await;
}

fn account(bench: &Bench) -> Update {
    Update::of(&key::account(bench.tenant))
}

#[tokio::test]
async fn a_hold_of_a_live_run_is_left_alone() {
    let bench = Bench::new().await;
    let (new, _owner) = bench.running().await;
    hold(&bench, new.run).await;
    assert_eq!(bench.found(MINUTE).await, []);
}

#[tokio::test]
async fn a_hold_of_an_ended_or_missing_run_is_found() {
    let bench = Bench::new().await;
    let new = bench.ended().await;
    hold(&bench, new.run).await;
    assert_eq!(bench.found(2 * HOUR).await, [FindingKind::HoldOfEndedRun]);
    bench.store().delete(&key::run(bench.tenant, new.run)).await.unwrap();
    assert_eq!(bench.found(MINUTE).await, [FindingKind::HoldOfEndedRun]);
}

#[tokio::test]
async fn a_live_run_that_an_ended_run_still_counts_as_is_found() {
    let bench = Bench::new().await;
    let (live, _owner) = bench.running().await;
    let ended = bench.ended().await;
    let limits = TenantLimits { runs: Some(2), ..TenantLimits::uncapped() };
    let credits = Credits::new(bench.store().clone(), None, Default::default()).with_limits(limits);
    let request = PricedRequest { model: None, fallbacks: &[], bytes: 5, budget: None };
    for run in [live.run, ended.run] {
        let reservation = credits.reserve(bench.tenant, request).await.unwrap().unwrap();
        bench.update(reservation.update(bench.tenant, run, Timestamp::now())).await;
    }
    assert_eq!(bench.found(MINUTE).await, []);
    bench.store().delete(&key::run(bench.tenant, ended.run)).await.unwrap();
    assert_eq!(bench.found(MINUTE).await, [FindingKind::HoldOfEndedRun]);
}

#[tokio::test]
async fn balances_that_differ_from_the_ledger_are_found() {
    let bench = Bench::new().await;
    let (new, _owner) = bench.running().await;
    hold(&bench, new.run).await;
    bench.update(account(&bench).add("spent", 7)).await;
    assert_eq!(bench.found(MINUTE).await, [FindingKind::LedgerDiffers]);
    bench.update(account(&bench).add("spent", -7).add("available", 7)).await;
    assert_eq!(bench.found(MINUTE).await, [FindingKind::LedgerDiffers]);
    bench.update(account(&bench).add("available", -7)).await;
    assert_eq!(bench.found(MINUTE).await, []);
}

#[tokio::test]
async fn a_hold_of_a_run_that_is_being_settled_is_left_alone() {
    let bench = Bench::new().await;
    let new = bench.ended().await;
    hold(&bench, new.run).await;
    let hello = NewJob::of::<HelloWorld>(bench.tenant, &HelloInput::default());
    let settling = NewJob { id: SettleRun::job_id(new.run), ..hello };
    enqueue(bench.store(), &settling, Timestamp::now()).await.unwrap();
    let now = Timestamp::now() + 10 * MINUTE;
    let job = || Update::of(&key::job(bench.tenant, settling.id));
    bench.update(job().gsi2(&key::active_job(settling.id, now))).await;
    assert_eq!(bench.found_at(now).await, []);
    bench.update(job().set("status", "error").gsi2(&key::ended_job(settling.id, now))).await;
    assert_eq!(bench.found_at(now).await, [FindingKind::HoldOfEndedRun]);
}

#[tokio::test]
async fn holds_are_compared_without_ledgers() {
    let bench = Bench::new().await;
    hold(&bench, RunId::new()).await;
    bench.update(account(&bench).add("spent", 7)).await;
    let auditor = Auditor::new(bench.storage.clone()).without_ledgers();
    let report = auditor.audit_all(Timestamp::now()).await.unwrap();
    let kinds: Vec<FindingKind> = report.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!((kinds, report.unchecked), (vec![FindingKind::HoldOfEndedRun], 0));
}

#[tokio::test]
async fn a_ledger_is_not_added_up_after_the_time_is_over() {
    let bench = Bench::new().await;
    let (new, _owner) = bench.running().await;
    hold(&bench, new.run).await;
    bench.update(account(&bench).add("spent", 7)).await;
    let asked = Cell::new(0);
    let one_page = || asked.replace(asked.get() + 1) == 0;
    let mut report = AuditReport::default();
    let auditor = Auditor::new(bench.storage.clone());
    auditor.audit(&mut Walk::whole(), Timestamp::now(), one_page, &mut report).await.unwrap();
    assert_eq!((report.count(), report.unchecked), (0, 1));
}
