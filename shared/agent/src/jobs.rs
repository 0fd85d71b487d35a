//! Jobs that a run waits for: tool calls that jobs carry out, and the jobs that follow a document.
//!
//! A job's id is in the run's log before the job exists, so the next owner of the run creates the same job or
//! finds it. The job's worker writes its end into the log, in the transaction that ends the job, and the
//! run's next owner turns it into the call's result. No process has to wait meanwhile.

use sequent_conversation::{Error, cancel_jobs};
use sequent_core::{JobId, Timestamp};
use sequent_event::{Body, Budget, Job, State};
use sequent_jobs::{Jobs, NewJob, Queue, enqueue_about};
use sequent_tables::{Write, key};
use serde_json::Value;
use tokio::time::Instant;

use crate::execution::{Execution, Flow};

/// A job that the log calls for, whether or not it exists.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JobRequest {
    pub(crate) job: Job,
    pub(crate) queue: Queue,
    pub(crate) input: Value,
}

/// The jobs of an execution.
#[derive(Default)]
pub(crate) struct RunJobs {
    /// The jobs that this owner knows to exist.
    created: Vec<JobId>,
}

impl RunJobs {
    /// Creates the jobs in `requests`, and waits for one of the run's jobs to end.
    pub(crate) async fn follow_up(
        &mut self,
        execution: &mut Execution<'_>,
        requests: Vec<JobRequest>,
    ) -> Result<Flow, Error> {
        self.create(execution, requests).await?;
        wait(execution).await
    }

    /// Writes new jobs into the log, then creates them and those that a former owner wrote but did not
    /// create.
    pub(crate) async fn create(
        &mut self,
        execution: &mut Execution<'_>,
        mut requests: Vec<JobRequest>,
    ) -> Result<(), Error> {
        requests.retain(|request| !self.created.contains(&request.job.job_id));
        for JobRequest { job, .. } in &requests {
            if execution.state.jobs.iter().all(|known| known.job.job_id != job.job_id) {
                execution.append(Body::JobEnqueued(job.clone())).await?;
            } else if exists(execution, job.job_id).await? {
                self.created.push(job.job_id);
            }
        }
        requests.retain(|request| !self.created.contains(&request.job.job_id));
        if requests.is_empty() {
            return Ok(());
        }
        execution.flush().await?;
        for JobRequest { job, queue, input } in requests {
            let new = NewJob {
                tenant: execution.key.tenant,
                id: job.job_id,
                job_type: job.job_type,
                // No key: the log holds one id for each call and document.
                job_key: None,
                queue,
                internal: false,
                input,
                about: None,
                run: Some(execution.key.run),
                tool_call_id: job.tool_call_id,
            };
            // Without its row the run has been deleted, and the deletion would not find the job any more.
            let run = Write::require(&key::run(execution.key.tenant, execution.key.run))
                .when(sequent_tables::exists());
            enqueue_about(execution.engine.store(), &new, run, Timestamp::now()).await?;
            self.created.push(job.job_id);
        }
        Ok(())
    }
}

/// Returns `true` if a job that is in the log was created. Costs a read, and no write that is refused.
async fn exists(execution: &Execution<'_>, job: JobId) -> Result<bool, Error> {
    match Jobs::new(execution.engine.store(), execution.key.tenant).get(job).await {
        Ok(_) => Ok(true),
        Err(sequent_jobs::Error::NotFound) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The job that carries out a call: the one in the log, or a new one.
pub(crate) fn of_call(state: &State, call: &str, job_type: &str, input: Value) -> JobRequest {
    let jobs = state.jobs.iter().map(|known| &known.job);
    let known = jobs.into_iter().find(|job| job.tool_call_id.as_deref() == Some(call)).cloned();
    let job = known.unwrap_or_else(|| Job {
        job_id: JobId::new(),
        job_type: job_type.to_owned(),
        tool_call_id: Some(call.to_owned()),
        budget: Budget::default(),
    });
    JobRequest { job, queue: Queue::default(), input }
}

/// Waits for one of the run's jobs to end. Releases the process if that takes long.
pub(crate) async fn wait(execution: &mut Execution<'_>) -> Result<Flow, Error> {
    let since = Instant::now();
    let open = execution.state.open_jobs().count();
    loop {
        if let Some(flow) = execution.wait(since).await? {
            return Ok(flow);
        }
        execution.flush().await?;
        if execution.state.open_jobs().count() != open {
            return Ok(Flow::Continue);
        }
    }
}

/// Cancels the jobs that have not ended. Their ends are in the log when this returns.
pub(crate) async fn cancel_all(execution: &mut Execution<'_>) -> Result<(), Error> {
    if execution.state.open_jobs().next().is_some() {
        // A worker may have ended a job since.
        execution.flush().await?;
        cancel_jobs(&execution.engine.runs(), execution.key, &execution.state).await?;
    }
    Ok(())
}
