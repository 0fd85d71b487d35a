//! The parts that an audit reads, and its answer.
#![expect(clippy::unwrap_used, reason = "a failed step should panic at its line")]

use sequent_audit::{Auditor, FindingKind};
use sequent_audit_function::{AuditEvent, PARTS, audit};
use sequent_conversation::{NewRun, RunStore, Turn, create};
use sequent_core::{ProjectId, TenantId, Timestamp, UserId, golden};
use sequent_runlog::{DynamoStorage, Settings};
use sequent_tables::{Update, key};

fn event(case: &str) -> AuditEvent {
    serde_json::from_str(&golden::text("audit", case)).unwrap()
}

/// A table with one run that no sweep can find.
async fn broken() -> DynamoStorage {
    let storage = DynamoStorage::new(sequent_tables::testing::store().await);
    let new = NewRun {
        new_project: true,
        ..NewRun::new(TenantId::new(), UserId::new(), ProjectId::new(), "When is high tide?")
    };
    create(&RunStore::new(storage.clone(), Settings::default()), &new, Turn::Claim).await.unwrap();
    storage.store().write(Update::of(&key::run(new.tenant, new.run)).remove_gsi2()).await.unwrap();
    storage
}

#[tokio::test]
async fn a_small_table_is_audited_completely_every_hour() {
    let storage = broken().await;
    let auditor = Auditor::new(storage);
    let found = audit(&auditor, event("every-hour"), Timestamp::now(), || true).await.unwrap();
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
        let found = audit(&auditor, one_part(part), Timestamp::now(), || true).await.unwrap();
        assert_eq!(found.parts, 1);
        count += found.report.count();
    }
    assert_eq!(count, 1);
}

#[tokio::test]
async fn an_audit_without_time_says_that_no_part_is_complete() {
    let auditor = Auditor::new(broken().await);
    let found = audit(&auditor, one_part(3), Timestamp::now(), || false).await.unwrap();
    assert_eq!((found.parts, found.report.rows), (0, 0));
}
