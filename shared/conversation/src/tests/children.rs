//! Children of runs whose owner is lost.

use sequent_core::{RunId, UserId};
use sequent_event::RunOutcome;
use sequent_runlog::Stopped;

use super::Bench;
use crate::{Error, NewRun, ParentRun, RunStatus, TurnRequest, create};

/// Creates a child on behalf of the owner of this epoch.
async fn child(bench: &Bench, run: RunId, epoch: u32) -> Result<(), Error> {
    let parent = Some(ParentRun { run, epoch });
    let new = NewRun { parent, ..NewRun::new(bench.tenant, UserId::new(), bench.project, "Go.") };
    create(&bench.runs, &new, TurnRequest::Wait).await
}

#[tokio::test]
async fn only_the_owner_of_a_run_creates_a_child_of_it() {
    let bench = Bench::new().await;
    let pending = bench.create("high tide?", TurnRequest::Claim).await.expect("created");
    let slow = bench.claim(&pending).await.expect("the run has no owner");
    child(&bench, pending.id, 1).await.expect("the owner creates it");
    slow.release().await.expect("the table works");
    let row = bench.run(pending.id).await.expect("exists");
    let writer = bench.claim(&row).await.expect("the lease was released");

    let refused = child(&bench, pending.id, 1).await;
    assert!(matches!(refused, Err(Error::Stopped(Stopped::Fenced(2)))), "{refused:?}");
    child(&bench, pending.id, 2).await.expect("the owner creates it");
    bench.finish(&writer, &row, RunOutcome::Success).await;
    let refused = child(&bench, pending.id, 2).await;
    assert!(matches!(refused, Err(Error::RunClosed(RunStatus::Success))), "{refused:?}");
    let refused = child(&bench, RunId::new(), 1).await;
    assert!(matches!(refused, Err(Error::RunNotFound)), "{refused:?}");
}
