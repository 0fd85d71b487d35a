//! The turn of a project.

use sequent_event::{AnswerStatus, CancelReason, RunOutcome};
use sequent_tables::{key, testing::Fault};

use super::Bench;
use crate::{
    AnswerToQuestion, Error, Projects, Prompt, ResumeBy, RunStatus, TurnRequest, answer, cancel,
    turn::{first_waiting, wake_next},
};

#[tokio::test]
async fn a_stale_delivery_leaves_the_turn_with_a_run_that_waits_for_a_person() {
    let bench = Bench::new().await;
    let pending = bench.create("high tide?", TurnRequest::Claim).await.expect("created");
    let question = bench.interrupt(&pending).await;
    assert!(bench.claim(&pending).await.is_none(), "the delivery is older than the run");
    assert_eq!(bench.project().await.live_run_id, Some(pending.id));

    let key = bench.key(pending.id);
    let reply = AnswerToQuestion { interrupt: question, status: AnswerStatus::Cancelled, payload: None };
    answer(bench.runs.storage(), key, None, &[reply], ResumeBy::Caller).await.expect("answered");
    let row = bench.run(pending.id).await.expect("exists");
    let writer = bench.claim(&row).await.expect("nothing is left to wait for");
    bench.finish(&writer, &row, RunOutcome::Success).await;
    assert_eq!(bench.status(&row).await, RunStatus::Success);
    assert_eq!(bench.project().await.live_run_id, None);
}

#[tokio::test]
async fn a_waiting_run_takes_the_turn_from_a_run_that_has_ended() {
    let bench = Bench::new().await;
    let ended = bench.create("one", TurnRequest::Claim).await.expect("created");
    cancel(&bench.runs, bench.key(ended.id), None, CancelReason::Requested).await.expect("cancelled");
    bench.damage_project(|update| update.set("live_run_id", ended.id)).await;
    let waiting = bench.create("two", TurnRequest::Wait).await.expect("created");
    assert!(bench.claim(&waiting).await.is_some());
    assert_eq!(bench.project().await.live_run_id, Some(waiting.id));
}

#[tokio::test]
async fn a_run_without_a_row_does_not_keep_the_turn() {
    let bench = Bench::new().await;
    let lost = bench.create("one", TurnRequest::Claim).await.expect("created");
    let waiting = bench.create("two", TurnRequest::Wait).await.expect("created");
    bench.runs.tables().delete(&key::run(bench.tenant, lost.id)).await.expect("deleted");
    assert!(bench.claim(&waiting).await.is_some());
    assert_eq!(bench.project().await.live_run_id, Some(waiting.id));
}

#[tokio::test]
async fn a_run_that_ends_before_it_begins_gives_up_its_place() {
    let bench = Bench::new().await;
    let first = bench.create("one", TurnRequest::Claim).await.expect("created");
    let second = bench.create("two", TurnRequest::Wait).await.expect("created");
    let third = bench.create("three", TurnRequest::Wait).await.expect("created");
    cancel(&bench.runs, bench.key(second.id), None, CancelReason::Requested).await.expect("cancelled");
    assert_eq!(bench.project().await.live_run_id, Some(first.id), "the turn is not affected");
    let next = || first_waiting(bench.runs.tables(), bench.tenant, bench.project);
    assert_eq!(next().await.expect("read"), Some(third.id));

    cancel(&bench.runs, bench.key(first.id), None, CancelReason::Requested).await.expect("cancelled");
    assert_eq!(bench.project().await.live_run_id, None);
    // Contention on the project's row delays the claim, and a lost answer does not refuse it.
    bench.faults.plan([Fault::None, Fault::None, Fault::Contention, Fault::LostAnswer]);
    assert!(bench.claim(&third).await.is_some());
    assert_eq!(next().await.expect("read"), None);
}

#[tokio::test]
async fn long_messages_do_not_change_the_order_of_waiting_runs() {
    let bench = Bench::new().await;
    let live = bench.create("first", TurnRequest::Claim).await.expect("created");
    let mut waiting = Vec::new();
    for n in 0..20 {
        let content = format!("{n} {}", "x".repeat(Prompt::MAX_BYTES - 10));
        waiting.push(bench.create(&content, TurnRequest::Wait).await.expect("created"));
    }
    for run in &waiting {
        assert!(bench.claim(run).await.is_none(), "another run has the turn");
    }
    cancel(&bench.runs, bench.key(live.id), None, CancelReason::Requested).await.expect("cancelled");
    assert!(bench.claim(&waiting[1]).await.is_none(), "an earlier run waits");
    let first = first_waiting(bench.runs.tables(), bench.tenant, bench.project).await.expect("read");
    assert_eq!(first, Some(waiting[0].id));
    wake_next(bench.runs.tables(), bench.tenant, bench.project).await.expect("woken");
    assert!(bench.claim(&waiting[0]).await.is_some());
}

#[tokio::test]
async fn a_run_that_waits_for_the_turn_costs_two_reads_for_each_try() {
    let bench = Bench::new().await;
    bench.create("one", TurnRequest::Claim).await.expect("created");
    let waiting = bench.create("two", TurnRequest::Wait).await.expect("created");
    bench.faults.plan([Fault::None; 10]);
    assert!(bench.claim(&waiting).await.is_none());
    assert_eq!(10 - bench.faults.left(), 2);
}

#[tokio::test]
async fn a_run_that_waits_in_a_project_that_is_being_deleted_is_cancelled() {
    let bench = Bench::new().await;
    let waiting = bench.create("one", TurnRequest::Wait).await.expect("created");
    bench.damage_project(|update| update.set("deleting", true)).await;
    assert!(bench.claim(&waiting).await.is_none());
    assert_eq!(bench.status(&waiting).await, RunStatus::Cancelled);
    let first = first_waiting(bench.runs.tables(), bench.tenant, bench.project).await.expect("read");
    assert_eq!(first, None);
}

#[tokio::test]
async fn no_run_enters_a_project_that_is_being_deleted() {
    let bench = Bench::new().await;
    bench.damage_project(|update| update.set("deleting", true)).await;
    for turn in [TurnRequest::Claim, TurnRequest::Wait] {
        let refused = bench.create("one", turn).await;
        assert!(matches!(refused, Err(Error::ProjectNotFound)), "{refused:?}");
    }
}

#[tokio::test]
async fn a_deletion_that_meets_contention_is_not_answered_with_not_found() {
    let bench = Bench::new().await;
    bench.faults.plan([Fault::Contention, Fault::LostAnswer]);
    let projects = Projects::new(bench.runs.tables(), bench.tenant);
    projects.delete(bench.project).await.expect("deleted");
    assert!(matches!(projects.get(bench.project).await, Err(Error::ProjectNotFound)));
}
