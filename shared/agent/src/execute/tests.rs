//! An owner that is about to wait while others append to its log.

use std::time::Duration;

use sequent_conversation::{NewRun, ProjectName, Projects, cancel, create_claimed};
use sequent_core::{JobId, TenantId, UserId};
use sequent_event::{CancelReason, Job, JobEnd, JobStatus, State, Totals};
use sequent_model::{Client, Config};
use sequent_runlog::{Decision, Settings, decide};
use tokio::time::{Instant, sleep};

use super::*;
use crate::Bounds;

/// An engine whose owners poll often and release their process at once when they wait.
async fn engine() -> Engine {
    let storage = DynamoStorage::new(sequent_tables::testing::store().await);
    let engine = Engine::new(storage, Client::new(Config::demo()));
    let settings = Settings { idle_check: Duration::from_millis(20), ..engine.settings };
    let bounds = Bounds { patience: Duration::ZERO, ..engine.bounds };
    Engine { settings, bounds, ..engine }
}

/// The owner of a new run.
async fn owner(engine: &Engine) -> RunLoop<'_> {
    let tenant = TenantId::new();
    let user = UserId::new();
    let projects = Projects::new(engine.store(), tenant);
    let project = projects.create(user, ProjectName::new("p").unwrap(), Timestamp::now()).await.unwrap();
    let new = NewRun::new(tenant, user, project.id, "Draw a map.");
    let writer = create_claimed(&engine.runs(), &new, None).await.unwrap();
    let run = Runs::new(engine.store(), tenant).get(new.run).await.unwrap();
    RunLoop { execution: Execution::new(engine, new.key(), run, *writer, None), jobs: RunJobs::default() }
}

/// The owner of a run with a job that has not ended, as far as the owner has read the log.
async fn owner_with_job(engine: &Engine) -> (RunLoop<'_>, JobId) {
    let mut owner = owner(engine).await;
    let job = Job {
        job_id: JobId::new(),
        job_type: "draw_map".to_owned(),
        tool_call_id: None,
        budget: Default::default(),
    };
    owner.execution.append(Body::JobEnqueued(job.clone())).await.unwrap();
    owner.execution.flush().await.unwrap();
    (owner, job.job_id)
}

/// Ends the job as its worker does.
async fn end_job(execution: &Execution<'_>, job_id: JobId) {
    let decided = decide(&execution.engine.storage, execution.key, |state: &State| {
        let result = "Drew a map.".to_owned();
        let (status, run) = (JobStatus::Success, state.stage());
        let usage = Totals::default();
        let end = JobEnd { job_id, status, result, usage, usage_may_grow: false, run };
        Ok::<_, Error>((vec![Body::JobFinished(end)], None))
    });
    assert!(matches!(decided.await.unwrap(), Decision::Stored(_)));
}

/// Waits until the writer has read what satisfies `condition`. The owner has not.
async fn until_read(execution: &Execution<'_>, condition: impl Fn(&State) -> bool) {
    while !condition(&execution.writer.flush().await.unwrap()) {
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_event_that_only_the_writer_has_read_continues_a_waiting_run() {
    let engine = engine().await;
    let (owner, job) = owner_with_job(&engine).await;
    end_job(&owner.execution, job).await;
    until_read(&owner.execution, |state| state.open_jobs().next().is_none()).await;
    assert_eq!(Box::pin(owner.wait()).await.unwrap(), Executed::HandedOver);

    let (owner, _) = owner_with_job(&engine).await;
    assert_eq!(Box::pin(owner.wait()).await.unwrap(), Executed::Waiting, "nothing has happened");
}

#[tokio::test]
async fn an_owner_learns_what_it_was_sent_before_it_waits() {
    let engine = engine().await;
    let (owner, job) = owner_with_job(&engine).await;
    let mut execution = owner.execution;
    let seen = execution.inbox();
    assert!(!execution.has_news_since(seen).await.unwrap());
    execution.append(Body::StepStarted { step_name: "an event of its own".to_owned() }).await.unwrap();
    assert!(!execution.has_news_since(seen).await.unwrap());
    end_job(&execution, job).await;
    until_read(&execution, |state| state.open_jobs().next().is_none()).await;
    assert!(execution.has_news_since(seen).await.unwrap());
    let seen = execution.inbox();
    assert!(!execution.has_news_since(seen).await.unwrap());
}

#[tokio::test]
async fn a_cancel_comes_before_the_end_of_an_owners_patience() {
    let engine = engine().await;
    let (owner, _) = owner_with_job(&engine).await;
    let execution = owner.execution;
    let since = Instant::now();
    assert!(matches!(execution.wait(since).await.unwrap(), Some(Flow::Wait)), "it has none");
    Box::pin(cancel(&engine.runs(), execution.key, None, CancelReason::Requested)).await.unwrap();
    until_read(&execution, |state| state.cancel.is_some()).await;
    assert!(matches!(execution.wait(since).await.unwrap(), Some(Flow::Continue)));
}
