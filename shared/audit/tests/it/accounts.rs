//! Holds without a run, and ledgers that do not add up.

use sequent_audit::FindingKind;
use sequent_billing::{Ledger, Markup, Plans, Terms};
use sequent_core::{MicroCredits, MicroUsd, RunId, Timestamp};
use sequent_tables::{Update, key};

use crate::bench::{Bench, HOUR, MINUTE};

/// Opens an account with a welcome grant and holds credits for `run`.
async fn hold(bench: &Bench, run: RunId) {
    let terms = Terms {
        plans: Plans::from_json(r#"{"free": {"concurrent_runs": 10, "per_run": 90}}"#).unwrap(),
        markup: Markup(100),
        usual_hold: MicroCredits(60),
        welcome: MicroCredits(500),
        metered: false,
    };
    let ledger = Ledger::new(bench.store().clone(), bench.tenant);
    let quote = sequent_billing::Quote { model: None, first_call: MicroUsd(1), budget: None };
    let reservation = ledger.quote(&terms, quote, Timestamp::now()).await.unwrap();
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
