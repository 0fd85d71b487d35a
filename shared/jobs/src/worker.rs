//! Working on jobs: one delivery, one attempt.

mod handler;
mod outcome;

use std::{convert::Infallible, future::pending, sync::Arc, time::Duration};

use sequent_core::{TenantId, Timestamp};
use sequent_runlog::{DynamoStorage, Settings};
use sequent_tables::Store;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use crate::{
    Delivery, Error, Job, JobClaim, JobFailure, JobProgress, JobUsage, MessageHandler, Registry, Renewal,
    claim, renew,
};
use handler::AttemptEnd;
use outcome::Attempt;

/// Attempts that may be lost with their process. After more, the job itself is assumed to kill every process.
const MAX_LOST: u32 = 25;
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
    /// Handles the messages that are not about jobs.
    pub(crate) others: Vec<Arc<dyn MessageHandler>>,
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
    /// The job was handed back unfinished: the time was over, or it was not its turn.
    HandedBack,
    /// The job continued without this attempt: it was cancelled, or another worker took it over.
    Fenced,
}

impl Worker {
    /// A worker on the kinds of `registry`. `settings` has the lengths of leases.
    #[must_use]
    pub fn new(registry: Registry, storage: DynamoStorage, settings: Settings) -> Self {
        let leaving = Arc::new(watch::Sender::new(false));
        Self { registry: Arc::new(registry), storage, settings, leaving, others: Vec::new() }
    }

    /// Has messages that are not about jobs handled by `others`, unless a handler that was added before knows them.
    #[must_use]
    pub fn with_messages(mut self, others: impl MessageHandler + 'static) -> Self {
        self.others.push(Arc::new(others));
        self
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
            Some(job) => Box::pin(self.attempt(delivery.tenant_id, job, hand_back_at)).await,
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
        mut job: Job,
        hand_back_at: Option<Instant>,
    ) -> Result<Worked, Error> {
        tracing::info!(
            %tenant, job = %job.id, job.type = job.job_type, job.attempt, run_id = run_id(&job), "job-start"
        );
        let start = Instant::now();
        let kind = self.registry.get(&job.job_type);
        let ended = match kind {
            None => AttemptEnd::poison(format!("There is no type of job `{}`.", job.job_type)),
            Some(_) if job.lost > MAX_LOST => {
                let why = "Every process that worked on this job was lost.";
                AttemptEnd::Poison(JobFailure::new("too_many_crashes", why))
            }
            Some(kind) => self.run(tenant, &mut job, kind, hand_back_at).await,
        };
        let attempt = Attempt { tenant, job: &job, retry: kind.map(|kind| kind.retry), hand_back_at };
        let worked = self.store_end(attempt, ended).await;
        log(attempt, start, &worked);
        worked
    }

    /// Renews the lease of the attempt for as long as it is polled. It stops if the job has ended or another attempt has
    /// it: the write of the attempt's end finds that out.
    async fn keep_lease(&self, tenant: TenantId, job: &Job) -> Infallible {
        loop {
            sleep(self.settings.renew).await;
            match self.renew(tenant, job, None, job.usage).await {
                Ok(true) => {}
                Ok(false) => return pending().await,
                Err(error) => log_unrenewed(job, &error),
            }
        }
    }

    async fn renew(
        &self,
        tenant: TenantId,
        job: &Job,
        progress: Option<&JobProgress>,
        usage: JobUsage,
    ) -> Result<bool, Error> {
        let until = Timestamp::now() + self.settings.lease;
        renew(self.store(), tenant, job, Renewal { until, progress, usage }).await
    }
}

fn log_unrenewed(job: &Job, error: &Error) {
    tracing::warn!(job = %job.id, %error, "could not renew a job's lease; the next renewal retries");
}

fn log(attempt: Attempt<'_>, start: Instant, worked: &Result<Worked, Error>) {
    let Attempt { tenant, job, .. } = attempt;
    let run_id = run_id(job);
    let latency_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    match worked {
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
}

/// The id that joins the log lines of an execution: of the run that asked for the job, or of the job itself.
fn run_id(job: &Job) -> String {
    job.run_id.map_or_else(|| job.id.to_string(), |run| run.to_string())
}
