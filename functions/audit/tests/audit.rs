//! The parts that an audit reads, and its answer.
#![expect(clippy::unwrap_used, reason = "a failed step should panic at its line")]

use std::time::Duration;

use sequent_audit::{Auditor, FindingKind};
use sequent_audit_function::{AuditEvent, PARTS, audit};
use sequent_billing::{Account, Plans};
use sequent_conversation::{NewRun, RunStore, TurnRequest, create};
use sequent_core::{ProjectId, TenantId, Timestamp, UserId, golden};
use sequent_runlog::{DynamoStorage, Settings};
use sequent_tables::{
    Row, Update, key,
    testing::{Fault, faulty_store, store},
};

const HOUR: Duration = Duration::from_secs(3600);

fn event(case: &str) -> AuditEvent {
    serde_json::from_str(&golden::text("audit", case)).unwrap()
}

/// A table with one run that no sweep can find.
async fn broken() -> DynamoStorage {
    break_run(DynamoStorage::new(store().await)).await
}

async fn break_run(storage: DynamoStorage) -> DynamoStorage {
    let new = NewRun {
        new_project: true,
        ..NewRun::new(TenantId::new(), UserId::new(), ProjectId::new(), "When is high tide?")
    };
    create(&RunStore::new(storage.clone(), Settings::default()), &new, TurnRequest::Claim).await.unwrap();
    storage.store().write(Update::of(&key::run(new.tenant, new.run)).remove_gsi2()).await.unwrap();
    storage
}

#[tokio::test]
async fn a_small_table_is_audited_completely_every_hour() {
    let storage = broken().await;
    let auditor = Auditor::new(storage);
    let found = audit(&auditor, event("every-hour"), Timestamp::now(), || true).await;
    assert_eq!(found.parts, PARTS);
    let kinds: Vec<FindingKind> = found.report.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [FindingKind::RunNotDue]);
    let answer = serde_json::to_value(&found).unwrap();
    assert_eq!(answer["findings"][0]["kind"], "run_not_due");
    assert_eq!(answer["parts"], PARTS);
}

/// The event that `scripts/audit` sends.
fn one_part(part: u8) -> AuditEvent {
    AuditEvent { part: Some(part), time: None }
}

#[tokio::test]
async fn an_audit_of_single_parts_finds_everything_once() {
    let storage = broken().await;
    let auditor = Auditor::new(storage);
    let mut count = 0;
    for part in 0..PARTS {
        let found = audit(&auditor, one_part(part), Timestamp::now(), || true).await;
        assert_eq!(found.parts, 1);
        count += found.report.count();
    }
    assert_eq!(count, 1);
}

#[tokio::test]
async fn an_audit_without_time_says_that_no_part_is_complete() {
    let auditor = Auditor::new(broken().await);
    let found = audit(&auditor, one_part(3), Timestamp::now(), || false).await;
    assert_eq!((found.parts, found.report.rows), (0, 0));
    assert!(found.is_incomplete());
    assert_eq!(found.alarming(), found.report.count() + 1, "the alarm reports it");
}

#[tokio::test]
async fn a_ledger_is_added_up_in_one_hour_of_the_day() {
    let storage = DynamoStorage::new(store().await);
    let mut account = serde_json::to_value(Account::new(Plans::FREE)).unwrap();
    account["spent"] = 7.into();
    let row = Row::new(&key::account(TenantId::new()), &account).unwrap();
    storage.store().put(row).await.unwrap();
    let auditor = Auditor::new(storage);
    let mut found = Vec::new();
    for hour in 0..PARTS {
        let time = Timestamp::from_millis(0) + HOUR * hour.into();
        let event = AuditEvent { part: None, time: Some(time) };
        found.extend(audit(&auditor, event, Timestamp::now(), || true).await.report.findings);
    }
    let kinds: Vec<FindingKind> = found.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [FindingKind::LedgerDiffers]);
}

#[tokio::test]
async fn a_page_that_cannot_be_read_leaves_what_was_found_before() {
    let (store, faults) = faulty_store().await;
    let storage = break_run(DynamoStorage::new(store)).await;
    let auditor = Auditor::new(storage);
    let mut own = None;
    for part in 0..PARTS {
        let found = audit(&auditor, one_part(part), Timestamp::now(), || true).await;
        own = own.or((found.report.count() > 0).then_some(part));
    }
    // The part of the run is the first, and takes fewer requests than this. More than one of the next requests is refused,
    // because one of them may look at a single row, which the audit can do without.
    let fine = [Fault::None; 20];
    faults.plan(fine.into_iter().chain([Fault::Throttled; 40]));
    let time = Timestamp::from_millis(0) + HOUR * own.unwrap().into();
    let every = AuditEvent { part: None, time: Some(time) };
    let found = audit(&auditor, every, Timestamp::now(), || true).await;
    assert!(found.failure.is_some() && found.is_incomplete(), "{found:?}");
    assert!(found.parts > 0 && found.parts < PARTS, "{found:?}");
    assert_eq!(found.report.findings[0].kind, FindingKind::RunNotDue);
}
