//! Steps and outcomes over a storage that loses answers, is busy, or refuses what it is given.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use sequent_core::{JobId, ProjectId, RunId, Timestamp};
use sequent_event::{Body, Event, Job as LoggedJob, JobEnd, JobStatus as EndStatus, State};
use sequent_runlog::{DynamoStorage, LogKey, Segment, Settings, TransactionRows, create_claimed, read_all};
use sequent_tables::{
    Row, Write, key,
    testing::{self, Fault, Faults, faulty_store},
};
use serde_json::json;

use super::working::{Act, Bench, new_job};
use crate::{Delivery, JobClaim, JobStatus, JobUsage, NewJob, Worked, claim, redrive};

const LEASE: Duration = Duration::from_secs(60);

async fn faulty() -> (Bench, Faults) {
    let (store, faults) = faulty_store().await;
    (Bench::over(store), faults)
}

/// A run whose log waits for the job, and the delivery of the job.
async fn of_run(bench: &Bench, act: Act) -> (LogKey, Delivery) {
    let run = RunId::new();
    let key = LogKey { tenant: bench.tenant, run };
    let new = NewJob { run: Some(run), ..new_job(bench.tenant, &act) };
    let enqueued = LoggedJob {
        job_id: new.id,
        job_type: new.job_type.clone(),
        tool_call_id: None,
        budget: Default::default(),
    };
    let started = Body::RunStarted { thread_id: ProjectId::new(), run_id: run, parent_run_id: None };
    let before = vec![Body::RunConfigured(Box::default())];
    let after = vec![started, Body::JobEnqueued(enqueued)];
    let settings = Settings::default();
    let row = Row::new(&key::run(key.tenant, run), &json!({})).unwrap();
    let row = DynamoStorage::leased(row, run, Timestamp::now() + LEASE);
    let rows: TransactionRows = Arc::new(move |transaction| transaction.write(Write::insert(row.clone())));
    create_claimed(&bench.storage, key, settings, before, after, Some(rows), None).await.unwrap();
    (key, bench.enqueue_new(&new).await)
}

/// The end of the job in the log of its run, and the number of events.
async fn logged_end(bench: &Bench, key: LogKey, job: JobId) -> (JobEnd, usize) {
    let segments = read_all(&bench.storage, key).await.unwrap();
    let events: Vec<Event> = segments.iter().flat_map(Segment::events).collect();
    let state = State::of(&events).unwrap();
    let known = state.jobs.into_iter().find(|known| known.job.job_id == job).unwrap();
    (known.ended.expect("the log has the end of the job"), events.len())
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_won() {
    let (bench, faults) = faulty().await;
    let delivery = bench.enqueue(Act::Succeed).await;
    faults.plan([Fault::None, Fault::LostAnswer]);
    let now = Timestamp::now();
    let claimed = claim(bench.storage.store(), bench.tenant, delivery.job_id, now, LEASE).await.unwrap();
    let JobClaim::Won(job) = claimed else { panic!("{claimed:?}") };
    assert_eq!((job.attempt, faults.left()), (1, 0));
    let again = claim(bench.storage.store(), bench.tenant, delivery.job_id, now, LEASE).await.unwrap();
    assert_eq!(again, JobClaim::Held, "another claim at the same time is another's");
}

#[tokio::test]
async fn a_step_whose_answer_was_lost_is_taken() {
    let (bench, faults) = faulty().await;
    let delivery = bench.enqueue(Act::FailUntil(2)).await;
    // The row, the claim, the failure.
    faults.plan([Fault::None, Fault::None, Fault::LostAnswer]);
    assert_eq!(bench.work(delivery).await, Worked::Again);
    assert_eq!(bench.job(delivery).await.failures, 1);

    let refused = bench.enqueue(Act::Refuse).await;
    assert_eq!(bench.work(refused).await, Worked::Failed);
    faults.plan([Fault::None, Fault::LostAnswer]);
    let driven = redrive(bench.storage.store(), bench.tenant, refused.job_id, Timestamp::now()).await;
    assert!(matches!(driven, Ok(crate::Redrive::Done(_))), "{driven:?}");
    assert_eq!(faults.left(), 0);
}

#[tokio::test]
async fn a_result_outlasts_a_storage_that_is_busy() {
    let (bench, faults) = faulty().await;
    for fault in [Fault::LostRequest, Fault::LostAnswer, Fault::Contention] {
        let delivery = bench.enqueue(Act::Spend(7, Box::new(Act::Succeed))).await;
        // More than the tries of one transaction.
        faults.plan([Fault::None, Fault::None].into_iter().chain([fault; 20]));
        assert_eq!(bench.work(delivery).await, Worked::Success, "{fault:?}");
        let job = bench.job(delivery).await;
        assert_eq!((job.attempt, job.lost, job.usage.output_tokens), (1, 0, 7), "{fault:?}");
    }
    assert_eq!(bench.begun.load(Ordering::SeqCst), 3, "no attempt was repeated");
}

#[tokio::test]
async fn the_end_of_a_job_has_the_usage_of_every_attempt() {
    let bench = Bench::new().await;
    for (act, status, worked) in [
        (Act::FailUntil(3), EndStatus::Success, Worked::Success),
        (Act::FailUntil(99), EndStatus::Error, Worked::Failed),
        (Act::Panic, EndStatus::Error, Worked::Failed),
        (Act::Hang, EndStatus::Error, Worked::Failed),
    ] {
        bench.begun.store(0, Ordering::SeqCst);
        let (key, delivery) = of_run(&bench, Act::Spend(5, Box::new(act.clone()))).await;
        assert_eq!(bench.work(delivery).await, Worked::Again);
        let spent = bench.job(delivery).await.usage;
        assert_eq!(spent, JobUsage { output_tokens: 5, ..JobUsage::default() }, "{act:?}");
        assert_eq!(bench.work(delivery).await, Worked::Again);
        assert_eq!(bench.work(delivery).await, worked);
        let (end, _) = logged_end(&bench, key, delivery.job_id).await;
        assert_eq!((end.status, end.usage.output_tokens), (status, 15), "{act:?}");
    }
}

#[tokio::test]
async fn the_usage_of_a_lost_or_cancelled_attempt_is_in_the_row() {
    let bench = Bench::new().await;
    let (key, delivery) = of_run(&bench, Act::Spend(5, Box::new(Act::Report))).await;
    let cancelling = async {
        // Stored by a renewal of the lease.
        while bench.job(delivery).await.usage.output_tokens == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        crate::cancel(&bench.storage, bench.tenant, delivery.job_id, "enough", Timestamp::now())
            .await
            .unwrap();
    };
    let (worked, ()) = tokio::join!(bench.work(delivery), cancelling);
    assert_eq!(worked, Worked::Fenced);
    let (end, _) = logged_end(&bench, key, delivery.job_id).await;
    assert_eq!((end.usage.output_tokens, bench.job(delivery).await.usage.output_tokens), (5, 5));
}

#[tokio::test]
async fn the_usage_of_an_attempt_that_ends_after_its_job_was_cancelled_is_in_the_row() {
    let store = testing::store().await;
    // No renewal tells the attempt that its job was cancelled: the write of its end finds that out.
    let bench = Bench::renewing(store, Duration::from_secs(3600));
    for end in [Act::Succeed, Act::FailUntil(99), Act::Refuse, Act::Panic] {
        for of_a_run in [false, true] {
            let act = Act::Spend(7, Box::new(Act::OutliveCancel(Box::new(end.clone()))));
            let delivery = if of_a_run { of_run(&bench, act).await.1 } else { bench.enqueue(act).await };
            assert_eq!(bench.work(delivery).await, Worked::Fenced, "{end:?}");
            let job = bench.job(delivery).await;
            assert_eq!((job.status, &*job.error.unwrap().code), (JobStatus::Error, "cancelled"));
            assert_eq!(job.usage.output_tokens, 7, "{end:?}, of a run: {of_a_run}");
        }
    }
}

#[tokio::test]
async fn eighty_entities_with_long_names_are_stored_with_the_end_of_their_job() {
    let bench = Bench::new().await;
    let (key, delivery) = of_run(&bench, Act::LeaveEvents(80)).await;
    assert_eq!(bench.work(delivery).await, Worked::Success, "{:?}", bench.job(delivery).await.error);
    let (end, events) = logged_end(&bench, key, delivery.job_id).await;
    assert_eq!((end.status, events), (EndStatus::Success, 4 + 80 + 1));
}

#[tokio::test]
async fn a_result_that_can_never_be_stored_fails_the_job_at_once() {
    let bench = Bench::new().await;
    let (key, delivery) = of_run(&bench, Act::Spend(5, Box::new(Act::LeaveEvents(1000)))).await;
    let (row_key, row) = of_run(&bench, Act::Spend(5, Box::new(Act::LeaveRow(500_000)))).await;
    for (key, delivery) in [(key, delivery), (row_key, row)] {
        assert_eq!(bench.work(delivery).await, Worked::Failed);
        let job = bench.job(delivery).await;
        let error = job.error.expect("the job has failed");
        assert_eq!((job.status, &*error.code), (JobStatus::Error, "poison"));
        assert!(error.message.starts_with("the end of the job cannot be stored: "), "{error:?}");
        let (end, events) = logged_end(&bench, key, delivery.job_id).await;
        assert_eq!((end.status, end.usage.output_tokens, events), (EndStatus::Error, 5, 5));
    }
    assert_eq!(bench.begun.load(Ordering::SeqCst), 2, "no attempt was repeated");
}
