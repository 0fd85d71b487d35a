//! Tool calls that jobs carry out, and what jobs do with a document.
//!
//! As with child runs, a job's id is in the run's log before the job exists, so whoever continues the run makes the same
//! job or finds it made. The job's worker writes its end into the log, in the transaction that ends the job, and the next
//! owner turns it into the call's result. Nobody need be there meanwhile.

use std::time::Duration;

use sequent_conversation::{Error, cancel_jobs};
use sequent_core::{JobId, Timestamp};
use sequent_deliverables::Task;
use sequent_event::{Body, Job, State};
use sequent_jobs::{New, Queue, enqueue};
use sequent_runlog::{LogKey, Segment, read_all};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    Engine,
    execute::{Ended, Execution, News, at, news},
};

/// How long an owner waits for jobs before it gives its process up.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it looks meanwhile.
const LOOK: Duration = Duration::from_millis(200);

/// A call that is a job.
pub(crate) struct Handed {
    pub(crate) call: String,
    pub(crate) job_type: &'static str,
    pub(crate) arguments: Value,
}

impl Execution<'_> {
    /// Writes the jobs of `calls` down, then makes them: also those that a former owner wrote down and did not get to make.
    pub(crate) async fn hand_over_calls(&mut self, calls: &[Handed]) -> Result<(), Error> {
        let jobs = calls.iter().map(|handed| {
            let known = job_of(&self.state, &handed.call).cloned();
            let job = known.unwrap_or_else(|| Job {
                job_id: JobId::new(),
                job_type: handed.job_type.to_owned(),
                tool_call_id: Some(handed.call.clone()),
            });
            (job, Queue::default(), handed.arguments.clone())
        });
        let jobs = jobs.collect();
        self.hand_over(jobs).await
    }

    /// Has these done by jobs, and waits for the first of them to end.
    pub(crate) async fn follow_up(&mut self, tasks: &[Task]) -> Result<Option<Ended>, Error> {
        self.hand_over(tasks.iter().map(|task| (task.event(), task.queue, task.input.clone())).collect())
            .await?;
        self.await_jobs().await
    }

    async fn hand_over(&mut self, mut jobs: Vec<(Job, Queue, Value)>) -> Result<(), Error> {
        for (job, ..) in &jobs {
            if self.state.jobs.iter().all(|task| task.job.job_id != job.job_id) {
                self.append(Body::JobEnqueued(job.clone())).await?;
            }
        }
        jobs.retain(|(job, ..)| !self.enqueued.contains(&job.job_id));
        if jobs.is_empty() {
            return Ok(());
        }
        self.state = self.writer.flush().await?;
        for (job, queue, input) in jobs {
            let new = New {
                tenant: self.key.tenant,
                id: job.job_id,
                job_type: job.job_type,
                // Its id says it: the job of another call or document has another.
                job_key: None,
                queue,
                input,
                run: Some(self.key.run),
                tool_call_id: job.tool_call_id,
            };
            enqueue(self.engine.store(), &new, Timestamp::now()).await?;
            self.enqueued.push(job.job_id);
        }
        Ok(())
    }

    /// Waits for any of the run's jobs to end, and gives the process up when that takes long.
    pub(crate) async fn await_jobs(&mut self) -> Result<Option<Ended>, Error> {
        let give_up = Instant::now() + PATIENCE;
        let open = self.state.open_jobs().count();
        loop {
            if Instant::now() >= give_up {
                return Ok(Some(Ended::Waiting));
            }
            tokio::select! {
                biased;
                news = news(&self.writer) => return match news {
                    News::Cancelled(_) => Ok(None),
                    News::Stopped => Err(News::stopped(&self.writer).await),
                },
                () = at(self.hand_over) => return Ok(Some(Ended::Waiting)),
                () = tokio::time::sleep(LOOK) => {}
            }
            self.state = self.writer.flush().await?;
            if self.state.open_jobs().count() != open {
                return Ok(None);
            }
        }
    }

    /// Cancels the jobs that have not ended. Their ends stand in the log when this returns.
    pub(crate) async fn cancel_jobs(&mut self) -> Result<(), Error> {
        if self.state.open_jobs().next().is_some() {
            // A worker that was faster has the last word.
            self.state = self.writer.flush().await?;
            cancel_jobs(&self.engine.storage, self.key, &self.state).await?;
        }
        Ok(())
    }
}

fn job_of<'a>(state: &'a State, call: &str) -> Option<&'a Job> {
    state.jobs.iter().map(|task| &task.job).find(|job| job.tool_call_id.as_deref() == Some(call))
}

/// Whether a job that `state` takes for open has ended by now.
pub(crate) async fn one_has_ended(engine: &Engine, key: LogKey, state: &State) -> Result<bool, Error> {
    if state.open_jobs().next().is_none() {
        return Ok(false);
    }
    let segments = read_all(&engine.storage, key).await?;
    let ended = segments.iter().flat_map(Segment::events).any(|event| match event.body() {
        Some(Body::JobFinished(end)) => state.open_jobs().any(|open| open.job_id == end.job_id),
        _ => false,
    });
    Ok(ended)
}
