//! Working on jobs: one delivery, one attempt.

use std::{any::Any, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use sequent_core::{TenantId, Timestamp};
use sequent_runlog::{DynamoStorage, Settings};
use sequent_tables::Store;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    Context, Delivery, Done, End, EndedJob, Error, Failed, Job, JobClaim, JobFailure, JobProgress,
    ProgressReporter, Registry, claim, end, registry::RegisteredKind, renew,
};

/// Attempts that may be lost with their process. After more, the job itself is assumed to kill every process.
const MAX_LOST: u32 = 25;
/// Shortest time between two writes of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(400);
/// A message that is received this little too early is waited for: SQS delays in whole seconds, and of another clock.
const EARLY: Duration = Duration::from_secs(2);
/// Time before the invocation's deadline at which a job is handed back. At most a quarter of the time left.
const MARGIN: Duration = Duration::from_secs(5);

/// Works on jobs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Worker {
    registry: Arc<Registry>,
    storage: DynamoStorage,
    settings: Settings,
    /// Turns `true` when the process is about to end. Its receivers are the attempts in progress.
    pub(crate) leaving: Arc<watch::Sender<bool>>,
}

/// The outcome of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worked {
    /// There was nothing to do: another worker has the job, it has ended, or its time has not come.
    Nothing,
    /// The job has succeeded.
    Success,
    /// The job has failed for good.
    Failed,
    /// The attempt failed; another follows.
    Again,
    /// The attempt was handed back unfinished, because the time was over.
    HandedBack,
    /// The job continued without this attempt: it was cancelled, or another worker took it over.
    Fenced,
}

/// The end of an attempt, before it is stored.
enum AttemptEnd {
    Done(Done),
    Failed(JobFailure),
    Poison(JobFailure),
    Lost,
    NoTime,
}

/// A claimed job with its kind, unless the registry does not know it.
#[derive(Clone, Copy)]
struct Attempt<'a> {
    tenant: TenantId,
    job: &'a Job,
    kind: Option<&'a RegisteredKind>,
}

impl Worker {
    /// A worker on the kinds of `registry`. `settings` has the lengths of leases.
    #[must_use]
    pub fn new(registry: Registry, storage: DynamoStorage, settings: Settings) -> Self {
        Self { registry: Arc::new(registry), storage, settings, leaving: Arc::new(watch::Sender::new(false)) }
    }

    /// Returns the tables of the deployment.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.storage.store()
    }

    /// Makes an attempt at the job if it is ready for one.
    ///
    /// # Errors
    /// Returns an error if the table or a log fails. The message is then worth another delivery.
    pub async fn work(&self, delivery: Delivery, deadline: Option<Instant>) -> Result<Worked, Error> {
        let hand_back_at = deadline.map(|deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            deadline - MARGIN.min(left / 4)
        });
        match self.claim(delivery).await? {
            Some(job) => Box::pin(self.attempt(delivery.tenant_id, &job, hand_back_at)).await,
            None => Ok(Worked::Nothing),
        }
    }

    /// Claims the job, after a short wait if the message is a little early. Returns `None` if there is nothing to do.
    async fn claim(&self, delivery: Delivery) -> Result<Option<Job>, Error> {
        let Delivery { tenant_id: tenant, job_id } = delivery;
        loop {
            let now = Timestamp::now();
            match claim(self.store(), tenant, job_id, now, self.settings.lease).await? {
                JobClaim::Won(job) => return Ok(Some(*job)),
                JobClaim::NotYet(at) if at.since(now) <= EARLY => sleep(at.since(now)).await,
                JobClaim::Missing => {
                    tracing::warn!(%tenant, job = %job_id, "received a message about a job that does not exist");
                    return Ok(None);
                }
                JobClaim::Held | JobClaim::NotYet(_) | JobClaim::Ended => return Ok(None),
            }
        }
    }

    async fn attempt(
        &self,
        tenant: TenantId,
        job: &Job,
        hand_back_at: Option<Instant>,
    ) -> Result<Worked, Error> {
        let run_id = run_id(job);
        tracing::info!(%tenant, job = %job.id, job.type = job.job_type, job.attempt, run_id, "job-start");
        let start = Instant::now();
        let attempt = Attempt { tenant, job, kind: self.registry.get(&job.job_type) };
        let ended = match attempt.kind {
            None => poison(format!("There is no type of job `{}`.", job.job_type)),
            Some(_) if job.lost > MAX_LOST => {
                let why = "Every process that worked on this job was lost.";
                AttemptEnd::Poison(JobFailure::new("too_many_crashes", why))
            }
            Some(kind) => self.run(tenant, job, kind, hand_back_at).await,
        };
        let worked = self.store_end(attempt, ended).await;
        let latency_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        match &worked {
            Ok(Worked::Success) => tracing::info!(
                %tenant, job = %job.id, job.type = job.job_type, job.attempt, run_id, latency_ms, "job-success"
            ),
            Ok(worked @ (Worked::Failed | Worked::Again)) => tracing::warn!(
                %tenant, job = %job.id, job.type = job.job_type, job.attempt, run_id, latency_ms,
                retried = *worked == Worked::Again, "job-failed"
            ),
            Ok(other) => tracing::info!(
                %tenant, job = %job.id, job.type = job.job_type, job.attempt, run_id, outcome = ?other, "job-left"
            ),
            Err(error) => tracing::error!(
                %tenant, job = %job.id, job.type = job.job_type, job.attempt, run_id, latency_ms, %error,
                "job-failed"
            ),
        }
        worked
    }

    /// Runs the handler and renews the lease. Stops the handler when its result can no longer be stored.
    async fn run(
        &self,
        tenant: TenantId,
        job: &Job,
        kind: &RegisteredKind,
        hand_back_at: Option<Instant>,
    ) -> AttemptEnd {
        let (lose, lost) = watch::channel(false);
        let (reports, mut reported) = watch::channel(job.progress.clone());
        let context = Context {
            tenant,
            job: job.id,
            run: job.run_id,
            attempt: job.attempt,
            storage: self.storage.clone(),
            progress: ProgressReporter(Arc::new(reports)),
            lost,
        };
        let handler = match Arc::clone(&kind.handler).start(job.input.clone(), context) {
            Ok(handler) => handler,
            Err(error) => return poison(format!("The input cannot be read: {error}")),
        };
        let mut handler: BoxFuture<'_, _> = Box::pin(std::panic::AssertUnwindSafe(handler).catch_unwind());
        let timeout = Instant::now() + kind.timeout;
        let mut leaving = self.leaving.subscribe();
        let mut renew_at = Instant::now() + self.settings.renew;
        let mut progress_at = Instant::now();
        let mut has_unstored_progress = false;
        let mut can_report = true;
        loop {
            tokio::select! {
                biased;
                ended = &mut handler => return match ended {
                    Ok(Ok(done)) => AttemptEnd::Done(done),
                    Ok(Err(Failed::Retry(why))) => AttemptEnd::Failed(JobFailure::new("failed", &why)),
                    Ok(Err(Failed::Poison(why))) => AttemptEnd::Poison(JobFailure::new("poison", &why)),
                    Err(panic) => AttemptEnd::Failed(JobFailure::new("panicked", panic_text(&*panic))),
                },
                () = sleep_until(timeout) => {
                    let why = format!("The attempt took longer than {} s.", kind.timeout.as_secs_f32());
                    return AttemptEnd::Failed(JobFailure::new("timeout", &why));
                }
                () = async { drop(leaving.wait_for(|leaving| *leaving).await) } => return AttemptEnd::NoTime,
                () = at(hand_back_at) => return AttemptEnd::NoTime,
                () = sleep_until(renew_at) => {}
                changed = reported.changed(), if can_report && !has_unstored_progress => {
                    can_report = changed.is_ok();
                    has_unstored_progress = can_report;
                    continue;
                }
                () = sleep_until(progress_at), if has_unstored_progress => {}
            }
            has_unstored_progress = false;
            let progress: Option<JobProgress> = reported.borrow_and_update().clone();
            let until = Timestamp::now() + self.settings.lease;
            match renew(self.store(), tenant, job, until, progress.as_ref()).await {
                Ok(true) => {}
                Ok(false) => {
                    lose.send_replace(true);
                    return AttemptEnd::Lost;
                }
                // The write of the end finds out whether the job is still this attempt's.
                Err(error) => {
                    tracing::warn!(job = %job.id, %error, "could not renew a job's lease; the next renewal retries");
                }
            }
            renew_at = Instant::now() + self.settings.renew;
            progress_at = Instant::now() + PROGRESS_INTERVAL;
        }
    }

    async fn store_end(&self, attempt: Attempt<'_>, ended: AttemptEnd) -> Result<Worked, Error> {
        let Attempt { tenant, job, .. } = attempt;
        let now = Timestamp::now();
        match ended {
            AttemptEnd::Lost => Ok(Worked::Fenced),
            AttemptEnd::NoTime => {
                let stored = self.store().write_if(job.update_to(tenant, &job.waiting(None), now)).await?;
                Ok(if stored { Worked::HandedBack } else { Worked::Fenced })
            }
            AttemptEnd::Poison(why) => self.fail(attempt, why, now).await,
            AttemptEnd::Failed(why) => self.fail_once(attempt, why, now).await,
            AttemptEnd::Done(mut done) => {
                done.result.truncate(done.result.floor_char_boundary(Done::MAX_RESULT));
                let artifacts = done.artifacts.iter().map(|left| left.artifact.artifact_id).collect();
                let after = job.succeeded(&done.result, artifacts, now);
                let success = EndedJob { tenant, before: job, after: &after, done: &done };
                match Box::pin(end(&self.storage, success, now)).await {
                    Ok(End::Stored) => Ok(Worked::Success),
                    Ok(End::Fenced) => Ok(Worked::Fenced),
                    Err(Error::Effects(why)) => {
                        self.fail_once(attempt, JobFailure::new("failed", &why), now).await
                    }
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// Stores a failed attempt. The job waits for its next attempt, or fails if none is left.
    async fn fail_once(
        &self,
        attempt: Attempt<'_>,
        why: JobFailure,
        now: Timestamp,
    ) -> Result<Worked, Error> {
        let Attempt { tenant, job, kind } = attempt;
        let Some(pause) = kind.and_then(|kind| kind.retry.pause(job.failures + 1)) else {
            return self.fail(attempt, why, now).await;
        };
        tracing::warn!(job = %job.id, code = why.code, why = why.message, "an attempt at a job failed; it is retried");
        let after = job.failed_once(why, now + pause);
        let stored = self.store().write_if(job.update_to(tenant, &after, now)).await?;
        Ok(if stored { Worked::Again } else { Worked::Fenced })
    }

    async fn fail(&self, attempt: Attempt<'_>, why: JobFailure, now: Timestamp) -> Result<Worked, Error> {
        let Attempt { tenant, job, .. } = attempt;
        tracing::warn!(job = %job.id, code = why.code, why = why.message, "a job failed for good");
        let mut after = job.failed(why, now);
        after.failures += 1;
        let failure = EndedJob { tenant, before: job, after: &after, done: &Done::default() };
        let stored = Box::pin(end(&self.storage, failure, now)).await?;
        Ok(if stored == End::Stored { Worked::Failed } else { Worked::Fenced })
    }
}

/// The id that joins the log lines of an execution: of the run that asked for the job, or of the job itself.
fn run_id(job: &Job) -> String {
    job.run_id.map_or_else(|| job.id.to_string(), |run| run.to_string())
}

fn poison(why: String) -> AttemptEnd {
    AttemptEnd::Poison(JobFailure::new("poison", &why))
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("The handler panicked.")
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
