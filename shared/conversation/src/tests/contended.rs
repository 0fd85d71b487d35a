//! Runs of one project that are sent, claimed, ended and cancelled at once, while the table fails.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures::future::join_all;
use sequent_core::UserId;
use sequent_event::{Body, CancelReason, RunOutcome};
use sequent_runlog::{DynamoStorage, Finish, Settings, Writer};
use sequent_tables::testing::{Fault, Rates};
use tokio::time::timeout;

use super::Bench;
use crate::{NewRun, Run, TurnRequest, cancel, claim, create, finish, turn::first_waiting};

const RUNS: usize = 8;
/// Time in which every run has ended, however busy the machine is.
const LIMIT: Duration = Duration::from_secs(180);

/// Stores the run, whatever the table does.
async fn send(bench: &Bench, new: &NewRun) {
    while create(&bench.runs, new, TurnRequest::Wait).await.is_err() {
        // The first try may have stored it.
        if bench.run(new.run).await.is_ok() {
            return;
        }
    }
}

/// One worker: claims each run that it can have and ends it. It gives up every fifth one without an end.
async fn work(bench: &Bench, of: &[NewRun], ended: &AtomicUsize) {
    let mut claims = 0;
    while ended.load(Ordering::Relaxed) < of.len() {
        let mut found = 0;
        for new in of {
            let Ok(run) = bench.run(new.run).await else { continue };
            if run.has_ended() {
                found += 1;
            } else if let Ok(Some(writer)) = claim(&bench.runs, bench.key(run.id), &run, None).await {
                claims += 1;
                if claims % 5 > 0 {
                    end(bench, &writer, &run).await;
                }
            }
        }
        ended.fetch_max(found, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn end(bench: &Bench, writer: &Writer<DynamoStorage>, run: &Run) {
    let mut bodies = Vec::new();
    if writer.opening().started_at.is_none() {
        bodies.push(Body::RunStarted { thread_id: bench.project, run_id: run.id, parent_run_id: None });
    }
    loop {
        let known = *writer.signals().borrow();
        let outcome = if known.cancel.is_some() { RunOutcome::Cancelled } else { RunOutcome::Success };
        let mut all = bodies.clone();
        all.push(Body::RunFinished { thread_id: bench.project, run_id: run.id, outcome });
        match finish(writer, bench.tenant, run, known, all).await {
            Ok(Finish::Superseded) => {}
            Ok(Finish::Done(_) | Finish::RowsRefused(_)) | Err(_) => return,
        }
    }
}

async fn cancel_some(bench: &Bench, of: &[NewRun]) {
    for new in of.iter().step_by(3) {
        while cancel(&bench.runs, bench.key(new.run), None, CancelReason::Requested).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Sends the runs, and works until all have ended.
async fn execute_all(bench: &Bench, of: &[NewRun]) {
    join_all(of.iter().map(|new| send(bench, new))).await;
    let ended = AtomicUsize::new(0);
    let workers = join_all((0..3).map(|_| work(bench, of, &ended)));
    tokio::join!(workers, cancel_some(bench, of));
}

/// The runs that have not ended, with their states.
async fn unfinished(bench: &Bench, of: &[NewRun]) -> Vec<String> {
    let mut found = Vec::new();
    for new in of {
        match bench.run(new.run).await {
            Ok(run) if run.has_ended() => {}
            Ok(run) => found.push(format!("{} is {}", new.run, run.status.as_str())),
            Err(error) => found.push(format!("{}: {error}", new.run)),
        }
    }
    found
}

#[tokio::test]
async fn every_run_of_a_contended_project_ends() {
    let lease = Duration::from_millis(300);
    let settings = Settings { lease, renew: lease / 4, ..Settings::default() };
    let bench = Bench::with(settings).await;
    let all: Vec<NewRun> =
        (0..RUNS).map(|_| NewRun::new(bench.tenant, UserId::new(), bench.project, "high tide?")).collect();
    let faults = [Fault::Contention, Fault::Throttled, Fault::LostAnswer, Fault::LostRequest];
    bench.faults.set_rates(faults.map(|fault| (fault, 25)).into_iter().collect::<Rates>());
    let in_time = timeout(LIMIT, Box::pin(execute_all(&bench, &all))).await;
    assert!(!bench.faults.met().is_empty(), "no request failed");
    bench.faults.set_rates(Rates::new());
    assert!(in_time.is_ok(), "these runs have not ended: {:?}", unfinished(&bench, &all).await);
    assert_eq!(bench.project().await.live_run_id, None);
    let first = first_waiting(bench.runs.tables(), bench.tenant, bench.project).await.expect("read");
    assert_eq!(first, None);
    let late = bench.create("one more?", TurnRequest::Claim).await.expect("the turn is free");
    assert!(bench.claim(&late).await.is_some());
}
