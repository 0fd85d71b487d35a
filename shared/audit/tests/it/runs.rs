//! Runs that are stuck.

use sequent_audit::FindingKind;
use sequent_conversation::{NewRun, ParentRun, RunQuestion, RunStatus, TurnRequest, create};
use sequent_core::Timestamp;
use sequent_event::RunOutcome;
use sequent_tables::key;

use crate::bench::{Bench, HOUR, MINUTE};

#[tokio::test]
async fn a_live_run_that_no_sweep_can_find_is_found() {
    let bench = Bench::new().await;
    let (new, _owner) = bench.running().await;
    bench.update(bench.row(&new).remove_gsi2()).await;
    assert_eq!(bench.found(MINUTE).await, [FindingKind::RunNotDue]);
}

#[tokio::test]
async fn a_run_is_found_if_the_sweep_does_not_work() {
    let bench = Bench::new().await;
    let (_new, _owner) = bench.running().await;
    assert_eq!(bench.found(10 * MINUTE).await, [FindingKind::RunOverdue]);
}

#[tokio::test]
async fn an_ended_run_in_the_due_index_is_found() {
    let bench = Bench::new().await;
    let new = bench.ended().await;
    bench.update(bench.row(&new).gsi2(&key::active_run(new.run, Timestamp::now()))).await;
    assert_eq!(bench.found(10 * MINUTE).await, [FindingKind::EndedRunDue]);
}

#[tokio::test]
async fn a_live_row_of_an_ended_log_is_found() {
    let bench = Bench::new().await;
    let new = bench.ended().await;
    let live = bench.row(&new).set("status", RunStatus::Running);
    bench.update(live.gsi2(&key::active_run(new.run, Timestamp::now()))).await;
    assert_eq!(bench.found(MINUTE).await, [FindingKind::RunDiffersFromLog, FindingKind::RunWithoutTurn]);
}

#[tokio::test]
async fn an_ended_row_of_a_live_log_is_found() {
    let bench = Bench::new().await;
    let new = bench.interrupted().await;
    let ended = bench.row(&new).set("status", RunStatus::Success).set("completed_at", Timestamp::now());
    bench.update(ended.remove_gsi2()).await;
    assert_eq!(bench.found(MINUTE).await, [FindingKind::RunDiffersFromLog]);
    let later = bench.found(10 * MINUTE).await;
    assert_eq!(later, [FindingKind::RunDiffersFromLog, FindingKind::TurnOfEndedRun]);
}

#[tokio::test]
async fn a_row_with_another_end_than_its_log_is_found() {
    let bench = Bench::new().await;
    let new = bench.ended().await;
    bench.update(bench.row(&new).set("status", RunStatus::Cancelled)).await;
    assert_eq!(bench.found(MINUTE).await, [FindingKind::RunDiffersFromLog]);
}

#[tokio::test]
async fn a_run_without_owner_that_waits_for_nothing_is_found() {
    let bench = Bench::new().await;
    let (new, owner) = bench.running().await;
    owner.release().await.unwrap();
    // The sweep delivers it again and again, and every worker fails.
    let now = Timestamp::now() + 3 * HOUR;
    bench.update(bench.row(&new).gsi2(&key::active_run(new.run, now))).await;
    assert_eq!(bench.found_at(now).await, [FindingKind::RunQuiet]);
}

#[tokio::test]
async fn a_run_whose_questions_are_answered_or_expired_is_found_if_nothing_continues_it() {
    let bench = Bench::new().await;
    let new = bench.interrupted().await;
    let now = Timestamp::now() + 26 * HOUR;
    bench.update(bench.row(&new).gsi2(&key::active_run(new.run, now))).await;
    assert_eq!(bench.found_at(now).await, [FindingKind::RunWaitsForNothing]);
    bench.update(bench.row(&new).set("interrupts", Vec::<RunQuestion>::new())).await;
    assert_eq!(bench.found_at(now).await, [FindingKind::RunWaitsForNothing]);
}

#[tokio::test]
async fn a_child_of_an_ended_or_missing_parent_is_found() {
    let bench = Bench::new().await;
    let (parent, owner) = bench.running().await;
    let child = NewRun { parent: Some(ParentRun { run: parent.run, epoch: 1 }), ..bench.new_run() };
    create(&bench.runs(), &child, TurnRequest::Wait).await.unwrap();
    bench.end(&parent, &owner, RunOutcome::Success).await;
    assert_eq!(bench.found(MINUTE).await, [], "its parent has just cancelled it");
    let now = Timestamp::now() + 10 * MINUTE;
    bench.update(bench.row(&child).gsi2(&key::active_run(child.run, now))).await;
    assert_eq!(bench.found_at(now).await, [FindingKind::ChildOutlivesParent]);
    bench.store().delete(&key::run(bench.tenant, parent.run)).await.unwrap();
    assert!(bench.found_at(now).await.contains(&FindingKind::ChildOutlivesParent));
}

#[tokio::test]
async fn a_row_of_another_shape_is_found() {
    let bench = Bench::new().await;
    let new = bench.pending().await;
    bench.update(bench.row(&new).set("status", "sleeping")).await;
    assert_eq!(bench.found(MINUTE).await, [FindingKind::MalformedRow]);
}
