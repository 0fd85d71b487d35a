//! Cancels that are cut short.

use sequent_core::{MessageId, Timestamp, UserId};
use sequent_event::{AnswerStatus, Body, CancelReason, Role};
use sequent_runlog::{Claim, append_control};
use sequent_tables::DueIndex;

use super::Bench;
use crate::{
    AnswerToQuestion, Cancel, Error, GRACE, NewRun, ResumeBy, RunStatus, TurnRequest, answer, cancel,
    cancel::request,
    create_claimed,
    testing::append_all,
    turn::{first_waiting, wake_next},
};

#[tokio::test]
async fn a_cancel_of_a_waiting_run_that_is_cut_short_leaves_the_run_due() {
    let bench = Bench::new().await;
    let run = bench.create("high tide?", TurnRequest::Claim).await.expect("created");
    let question = bench.interrupt(&run).await;
    let key = bench.key(run.id);
    // The process dies before it ends the run.
    let cancel = Body::CancelRequested { by: None, reason: CancelReason::Requested };
    assert!(request(bench.runs.storage(), key, cancel).await.expect("stored"));

    let reply = AnswerToQuestion { interrupt: question, status: AnswerStatus::Cancelled, payload: None };
    let refused = answer(bench.runs.storage(), key, None, &[reply], ResumeBy::Worker).await;
    assert!(matches!(refused, Err(Error::RunEnded)), "{refused:?}");
    let row = bench.run(run.id).await.expect("exists");
    assert_eq!((row.status, row.interrupts.len()), (RunStatus::Interrupted, 0), "it asks nothing any more");
    let mut sweep = DueIndex::Runs.sweep(bench.runs.tables(), Timestamp::now() + GRACE * 2);
    let mut due = 0;
    while let Some(page) = sweep.page().await.expect("read") {
        due += page.len();
    }
    assert_eq!(due, 1);
    assert!(bench.claim(&row).await.is_some(), "a worker can end it");
}

#[tokio::test]
async fn a_waiting_run_is_cancelled_at_once() {
    let bench = Bench::new().await;
    let run = bench.create("high tide?", TurnRequest::Claim).await.expect("created");
    bench.interrupt(&run).await;
    let cancelled = cancel(&bench.runs, bench.key(run.id), None, CancelReason::Requested).await;
    assert_eq!(cancelled.expect("cancelled"), Cancel::Done);
    assert_eq!(bench.status(&run).await, RunStatus::Cancelled);
    assert_eq!(bench.project().await.live_run_id, None);
}

#[tokio::test]
async fn the_call_of_a_lost_owner_is_recorded_when_its_run_is_cancelled() {
    let bench = Bench::new().await;
    let new = NewRun {
        model: Some("gpt-4o".to_owned()),
        ..NewRun::new(bench.tenant, UserId::new(), bench.project, "Why?")
    };
    let writer = create_claimed(&bench.runs, &new, None).await.expect("created");
    let message_id = MessageId::new();
    let start = Body::TextMessageStart { message_id, role: Role::Assistant };
    let content = Body::TextMessageContent { message_id, delta: "tide ".repeat(80) };
    append_all(&writer, [start, content]).await;
    writer.release().await.expect("released");
    let cancelled = cancel(&bench.runs, bench.key(new.run), None, CancelReason::Requested).await;
    assert_eq!(cancelled.expect("cancelled"), Cancel::Done);
    let row = bench.run(new.run).await.expect("exists");
    assert_eq!(row.usage.output_tokens, 100);
    assert!(row.cost.micro_usd.0 > 1_000 && !row.cost.incomplete, "{:?}", row.cost);
}

/// The process that ends the run dies after it has become the owner.
#[tokio::test]
async fn a_run_that_is_cancelled_in_the_queue_never_begins() {
    let bench = Bench::new().await;
    let live = bench.create("one", TurnRequest::Claim).await.expect("created");
    let queued = bench.create("two", TurnRequest::Wait).await.expect("created");
    let key = bench.key(queued.id);
    let request = Body::CancelRequested { by: None, reason: CancelReason::Requested };
    append_control(bench.runs.storage(), key, request).await.expect("stored");
    let claimed = sequent_runlog::claim(bench.runs.storage(), key, bench.runs.settings(), true, None)
        .await
        .expect("read");
    let Claim::Won(writer) = claimed else { panic!("{claimed:?}") };
    writer.release().await.expect("released");

    let row = bench.run(queued.id).await.expect("exists");
    assert_eq!(row.status, RunStatus::Running);
    assert!(bench.claim(&row).await.is_none(), "there is nothing to execute");
    assert_eq!(bench.status(&row).await, RunStatus::Cancelled);
    assert_eq!(bench.project().await.live_run_id, Some(live.id), "the turn is not affected");
    let first = first_waiting(bench.runs.tables(), bench.tenant, bench.project).await.expect("read");
    assert_eq!(first, None);
    wake_next(bench.runs.tables(), bench.tenant, bench.project).await.expect("nothing to wake");
}
