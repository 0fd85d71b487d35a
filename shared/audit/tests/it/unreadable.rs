//! Rows and logs that cannot be read, beside a run with a finding.

use sequent_audit::{Auditor, FindingKind};
use sequent_conversation::{NewRun, ParentRun, TurnRequest, create};
use sequent_core::{RunId, Timestamp};
use sequent_tables::{
    Update, Write, key,
    testing::{Fault, all_segments, faulty_store},
};

use crate::bench::{Bench, MINUTE};

/// Creates a run that no sweep can find.
async fn lose_run(bench: &Bench) {
    let new = bench.pending().await;
    bench.update(bench.row(&new).remove_gsi2()).await;
}

/// Checks that both the lost run and malformed rows are found.
async fn expect_both(bench: &Bench) {
    let kinds = bench.found(MINUTE).await;
    for kind in [FindingKind::RunNotDue, FindingKind::MalformedRow] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
}

#[tokio::test]
async fn a_malformed_account_hides_no_other_finding() {
    let bench = Bench::new().await;
    lose_run(&bench).await;
    bench.update(Update::of(&key::account(bench.tenant)).set("version", "first")).await;
    assert_eq!(bench.found(MINUTE).await, [FindingKind::RunNotDue, FindingKind::MalformedRow]);
}

#[tokio::test]
async fn malformed_rows_of_other_runs_and_of_a_project_hide_no_other_finding() {
    let bench = Bench::new().await;
    lose_run(&bench).await;
    let (holder, _owner) = bench.running().await;
    let waiting = NewRun { new_project: false, run: RunId::new(), ..holder.clone() };
    create(&bench.runs(), &waiting, TurnRequest::Wait).await.unwrap();
    let child = NewRun { parent: Some(ParentRun { run: holder.run, epoch: 1 }), ..bench.new_run() };
    create(&bench.runs(), &child, TurnRequest::Wait).await.unwrap();
    bench.update(bench.row(&waiting).set("created_at", "yesterday")).await;
    expect_both(&bench).await;
    bench.update(bench.row(&holder).set("created_at", "yesterday")).await;
    expect_both(&bench).await;
    bench.update(Update::of(&key::project(bench.tenant, holder.project)).set("updated_at", "today")).await;
    expect_both(&bench).await;
}

#[tokio::test]
async fn a_malformed_log_hides_no_other_finding() {
    let bench = Bench::new().await;
    let (damaged, _owner) = bench.running().await;
    let log = key::run_log(bench.tenant, damaged.run);
    for mut segment in all_segments(bench.store()).await {
        let seq = segment["seq"].as_n().unwrap().parse().unwrap();
        bench.store().write(Write::delete_segment(log.clone(), seq)).await.unwrap();
        segment.remove("events");
        bench.store().write(Write::append(segment)).await.unwrap();
    }
    lose_run(&bench).await;
    expect_both(&bench).await;
}

#[tokio::test]
async fn a_row_that_cannot_be_read_now_is_counted_and_hides_no_finding() {
    let (store, faults) = faulty_store().await;
    let bench = Bench::on(store);
    // The two are alike, and one of them meets the fault.
    for _ in 0..2 {
        lose_run(&bench).await;
    }
    // The page of the walk is read, and then a row.
    faults.plan([Fault::None, Fault::Throttled]);
    let auditor = Auditor::new(bench.storage.clone());
    let report = auditor.audit_all(Timestamp::now()).await.unwrap();
    assert_eq!((faults.left(), report.unchecked), (0, 1), "{report:?}");
    assert!(report.findings.iter().any(|found| found.kind == FindingKind::RunNotDue), "{report:?}");
    assert!(!report.is_clean());
}
