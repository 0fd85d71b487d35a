//! Turns that no run can release, and runs that cannot have theirs.

use sequent_audit::FindingKind;
use sequent_conversation::{Deletion, NewRun, Projects, TurnRequest, create};
use sequent_core::{RunId, Timestamp};
use sequent_tables::{Update, key};

use crate::bench::{Bench, HOUR, MINUTE};

fn turn_of(bench: &Bench, new: &NewRun, holder: Option<RunId>) -> Update {
    Update::of(&key::project(bench.tenant, new.project)).set("live_run_id", holder)
}

#[tokio::test]
async fn a_turn_of_an_ended_or_missing_run_is_found() {
    let bench = Bench::new().await;
    let new = bench.ended().await;
    bench.update(turn_of(&bench, &new, Some(new.run))).await;
    assert_eq!(bench.found(10 * MINUTE).await, [FindingKind::TurnOfEndedRun]);
    bench.update(turn_of(&bench, &new, Some(RunId::new()))).await;
    assert_eq!(bench.found(MINUTE).await, [FindingKind::TurnOfEndedRun]);
}

#[tokio::test]
async fn a_run_that_waits_for_a_person_without_the_turn_is_found() {
    let bench = Bench::new().await;
    let new = bench.interrupted().await;
    bench.update(turn_of(&bench, &new, None)).await;
    assert_eq!(bench.found(MINUTE).await, [FindingKind::RunWithoutTurn]);
    let other = bench.pending().await;
    bench.update(turn_of(&bench, &new, Some(other.run))).await;
    assert_eq!(bench.found(MINUTE).await, [FindingKind::RunWithoutTurn]);
}

#[tokio::test]
async fn a_run_that_no_worker_claims_is_found() {
    let bench = Bench::new().await;
    let now = Timestamp::now() + 2 * HOUR;
    let (holder, _owner) = bench.running().await;
    bench
        .update(bench.row(&holder).gsi2(&key::active_run(holder.run, now)).set("lease_until", now.millis()))
        .await;
    let behind = NewRun { new_project: false, run: RunId::new(), ..holder.clone() };
    create(&bench.runs(), &behind, TurnRequest::Wait).await.unwrap();
    bench.update(bench.row(&behind).gsi2(&key::active_run(behind.run, now))).await;
    assert_eq!(bench.found_at(now).await, [], "another run has the turn");

    let first = bench.pending().await;
    bench.update(bench.row(&first).gsi2(&key::active_run(first.run, now))).await;
    assert_eq!(bench.found_at(now).await, [FindingKind::RunNotWoken]);
}

#[tokio::test]
async fn a_run_that_waits_in_vain_is_found() {
    let bench = Bench::new().await;
    let (holder, _owner) = bench.running().await;
    let behind = NewRun { new_project: false, run: RunId::new(), ..holder.clone() };
    create(&bench.runs(), &behind, TurnRequest::Wait).await.unwrap();
    let row = key::waiting_run(bench.tenant, behind.project, 1, behind.run);
    bench.store().delete(&row).await.unwrap();
    assert_eq!(bench.found(MINUTE).await, [FindingKind::WaitingInVain], "it has no waiting row");
    let missing = key::waiting_run(bench.tenant, behind.project, 1, RunId::new());
    bench.update(Update::of(&missing).set("run_id", RunId::new())).await;
    bench.update(Update::of(&row).set("run_id", behind.run)).await;
    assert_eq!(bench.found(MINUTE).await, [FindingKind::WaitingInVain], "a waiting row has no run");
}

#[tokio::test]
async fn a_deletion_without_a_job_is_found() {
    let bench = Bench::new().await;
    let new = bench.ended().await;
    Projects::new(bench.store(), bench.tenant).delete(new.project).await.unwrap();
    assert_eq!(bench.found(MINUTE).await, []);
    let deletion = Deletion { project_id: new.project };
    let claim = key::job_key(bench.tenant, Deletion::TYPE, &deletion.key());
    let claim: serde_json::Value = bench.store().get(&claim).await.unwrap().unwrap();
    let job = claim["job_id"].as_str().unwrap().parse().unwrap();
    bench.store().delete(&key::job(bench.tenant, job)).await.unwrap();
    assert_eq!(bench.found(MINUTE).await, [FindingKind::DeletionStuck]);
}
