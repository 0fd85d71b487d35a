//! Work in every state of its life, of which nothing is reported.

use std::time::Duration;

use sequent_conversation::{NewRun, ParentRun, TurnRequest, cancel, create};
use sequent_core::{RunId, Timestamp};
use sequent_event::{Body, CancelReason};
use sequent_jobs::{
    NewJob, enqueue,
    kinds::{HelloInput, HelloWorld},
};

use crate::bench::{Bench, MINUTE, log_key};

#[tokio::test]
async fn nothing_is_found_in_healthy_runs_and_jobs_of_every_state() {
    let bench = Bench::new().await;
    bench.pending().await;
    let (running, _owner) = bench.running().await;
    let behind = NewRun { new_project: false, run: RunId::new(), ..running.clone() };
    create(&bench.runs(), &behind, TurnRequest::Wait).await.unwrap();
    bench.interrupted().await;
    bench.ended().await;
    let cancelled = bench.pending().await;
    Box::pin(cancel(&bench.runs(), log_key(&cancelled), None, CancelReason::Requested)).await.unwrap();
    let (handed_over, owner) = bench.running().await;
    owner.release().await.unwrap();
    let child = NewRun { parent: Some(ParentRun { run: handed_over.run, epoch: 1 }), ..bench.new_run() };
    create(&bench.runs(), &child, TurnRequest::Wait).await.unwrap();
    let job = NewJob::of::<HelloWorld>(bench.tenant, &HelloInput::default());
    enqueue(bench.store(), &job, Timestamp::now()).await.unwrap();
    for after in [Duration::ZERO, MINUTE, 4 * MINUTE] {
        assert_eq!(bench.found(after).await, [], "after {after:?}");
    }
}

#[tokio::test]
async fn a_run_that_waits_long_for_a_live_child_is_not_quiet() {
    let bench = Bench::new().await;
    let (parent, owner) = bench.running().await;
    let child = NewRun { parent: Some(ParentRun { run: parent.run, epoch: 1 }), ..bench.new_run() };
    let started =
        Body::SubagentStarted { subagent_run_id: child.run, name: "east".to_owned(), description: None };
    owner.append(started).await.unwrap();
    create(&bench.runs(), &child, TurnRequest::Wait).await.unwrap();
    owner.release().await.unwrap();
    let kinds = bench.found(24 * 60 * MINUTE).await;
    assert!(!kinds.contains(&sequent_audit::FindingKind::RunQuiet), "{kinds:?}");
}
