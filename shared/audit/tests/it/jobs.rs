//! Jobs that are stuck.

use sequent_audit::FindingKind;
use sequent_core::Timestamp;
use sequent_jobs::{
    NewJob, claim, enqueue,
    kinds::{HelloInput, HelloWorld},
};
use sequent_tables::{Update, key};

use crate::bench::{Bench, HOUR, MINUTE};

async fn job(bench: &Bench) -> NewJob {
    let job = NewJob::of::<HelloWorld>(bench.tenant, &HelloInput::default());
    enqueue(bench.store(), &job, Timestamp::now()).await.unwrap();
    job
}

fn row(job: &NewJob) -> Update {
    Update::of(&key::job(job.tenant, job.id))
}

#[tokio::test]
async fn a_live_job_that_no_sweep_can_find_is_found() {
    let bench = Bench::new().await;
    let job = job(&bench).await;
    bench.update(row(&job).remove_gsi2()).await;
    assert_eq!(bench.found(MINUTE).await, [FindingKind::JobNotDue]);
}

#[tokio::test]
async fn a_job_is_found_if_the_sweep_does_not_work() {
    let bench = Bench::new().await;
    job(&bench).await;
    assert_eq!(bench.found(10 * MINUTE).await, [FindingKind::JobOverdue]);
}

#[tokio::test]
async fn a_job_that_no_worker_takes_is_found() {
    let bench = Bench::new().await;
    let job = job(&bench).await;
    let now = Timestamp::now() + 2 * HOUR;
    bench.update(row(&job).gsi2(&key::active_job(job.id, now))).await;
    assert_eq!(bench.found_at(now).await, [FindingKind::JobStuck], "it waits");
    claim(bench.store(), bench.tenant, job.id, Timestamp::now(), MINUTE).await.unwrap();
    bench.update(row(&job).gsi2(&key::active_job(job.id, now))).await;
    assert_eq!(bench.found_at(now).await, [FindingKind::JobStuck], "its lease has expired");
}

#[tokio::test]
async fn an_ended_job_among_the_live_ones_is_found() {
    let bench = Bench::new().await;
    let job = job(&bench).await;
    bench.update(row(&job).set("status", "success")).await;
    assert_eq!(bench.found(MINUTE).await, [FindingKind::EndedJobDue]);
    bench.update(row(&job).gsi2(&key::ended_job(job.id, Timestamp::now()))).await;
    assert_eq!(bench.found(MINUTE).await, []);
}
