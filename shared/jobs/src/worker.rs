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
    Claim, Context, Delivery, Done, End, Error, Failed, Failure, Job, Progress, Progressed, Registry,
    attempt::write, claim, end, registry::Entry, renew,
};

/// Attempts of a job that may be lost with their process before something about it must be fatal to every process.
const MAX_LOST: u32 = 25;
/// Shortest time between two writes of progress.
const PROGRESS: Duration = Duration::from_millis(400);
/// A message that comes this little too early is worth the wait: its delay is in whole seconds, of another clock.
const EARLY: Duration = Duration::from_secs(2);
/// How long before the invocation's deadline a job is given back. At most a quarter of the time there is.
const MARGIN: Duration = Duration::from_secs(5);

/// Works on jobs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Worker {
    registry: Arc<Registry>,
    storage: DynamoStorage,
    settings: Settings,
    /// Whether the process is about to end. Its receivers are the attempts under way.
    pub(crate) leaving: Arc<watch::Sender<bool>>,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worked {
    /// There was nothing to do: somebody else does it, it has ended, or its time has not come.
    Nothing,
    /// The job has ended well.
    Success,
    /// The job has failed for good.
    Failed,
    /// The attempt failed; another follows.
    Again,
    /// The attempt was given back unfinished, for there was no time left.
    HandedBack,
    /// The job went on without this attempt: it was cancelled, or taken for dead and taken over.
    Fenced,
}

/// How an attempt ended, before anything of it is stored.
enum Outcome {
    Done(Done),
    Failed(Failure),
    Poison(Failure),
    Lost,
    NoTime,
}

impl Worker {
    /// Works on the kinds of `registry`; leases are of `settings`' lengths.
    #[must_use]
    pub fn new(registry: Registry, storage: DynamoStorage, settings: Settings) -> Self {
        Self { registry: Arc::new(registry), storage, settings, leaving: Arc::new(watch::Sender::new(false)) }
    }

    /// The tables.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.storage.store()
    }

    /// Makes an attempt at the job, if it wants one.
    ///
    /// # Errors
    /// When the table or a log fails; then the delivery is worth repeating.
    pub async fn work(&self, delivery: Delivery, deadline: Option<Instant>) -> Result<Worked, Error> {
        let Delivery { tenant_id: tenant, job_id } = delivery;
        let hand_back = deadline.map(|deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            deadline - MARGIN.min(left / 4)
        });
        let job = loop {
            let now = Timestamp::now();
            match claim(self.store(), tenant, job_id, now, self.settings.lease).await? {
                Claim::Won(job) => break *job,
                Claim::NotYet(at) if at.since(now) <= EARLY => sleep(at.since(now)).await,
                Claim::Missing => {
                    tracing::warn!(%tenant, job = %job_id, "told of a job that does not exist");
                    return Ok(Worked::Nothing);
                }
                Claim::Held | Claim::NotYet(_) | Claim::Ended => return Ok(Worked::Nothing),
            }
        };
        Box::pin(self.attempt(tenant, job, hand_back)).await
    }

    async fn attempt(&self, tenant: TenantId, job: Job, hand_back: Option<Instant>) -> Result<Worked, Error> {
        let run_id = run_id(&job);
        tracing::info!(%tenant, job = %job.id, job.type = job.job_type, job.attempt, run_id, "job-start");
        let began = Instant::now();
        let entry = self.registry.get(&job.job_type).cloned();
        let outcome = match &entry {
            None => poison(format!("There is no type of job `{}`.", job.job_type)),
            Some(_) if job.lost > MAX_LOST => {
                let why = "Every process that worked on this job was lost.";
                Outcome::Poison(Failure::new("too_many_crashes", why))
            }
            Some(entry) => self.run(tenant, &job, entry, hand_back).await,
        };
        let worked = self.store_outcome(tenant, &job, entry.as_ref(), outcome).await;
        let latency_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
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

    /// Runs the handler, keeps the lease, and stops when there is no use in going on.
    async fn run(&self, tenant: TenantId, job: &Job, entry: &Entry, hand_back: Option<Instant>) -> Outcome {
        let (lose, lost) = watch::channel(false);
        let (said, mut heard) = watch::channel(job.progress.clone());
        let context = Context {
            tenant,
            job: job.id,
            run: job.run_id,
            attempt: job.attempt,
            storage: self.storage.clone(),
            progress: Progress(Arc::new(said)),
            lost,
        };
        let handler = match Arc::clone(&entry.handler).start(job.input.clone(), context) {
            Ok(handler) => handler,
            Err(error) => return poison(format!("The input cannot be read: {error}")),
        };
        let mut handler: BoxFuture<'_, _> = Box::pin(std::panic::AssertUnwindSafe(handler).catch_unwind());
        let timeout = Instant::now() + entry.timeout;
        let mut leaving = self.leaving.subscribe();
        let mut renewal = Instant::now() + self.settings.renew;
        let mut progress = Instant::now();
        // Whether something was said that is not stored, and whether anything more may be.
        let (mut news, mut speaks) = (false, true);
        loop {
            tokio::select! {
                biased;
                ended = &mut handler => return match ended {
                    Ok(Ok(done)) => Outcome::Done(done),
                    Ok(Err(Failed::Retry(why))) => Outcome::Failed(Failure::new("failed", &why)),
                    Ok(Err(Failed::Poison(why))) => Outcome::Poison(Failure::new("poison", &why)),
                    Err(panic) => Outcome::Failed(Failure::new("panicked", panicked(&*panic))),
                },
                () = sleep_until(timeout) => {
                    let why = format!("It took longer than {} s.", entry.timeout.as_secs_f32());
                    return Outcome::Failed(Failure::new("timeout", &why));
                }
                () = async { drop(leaving.wait_for(|leaving| *leaving).await) } => return Outcome::NoTime,
                () = at(hand_back) => return Outcome::NoTime,
                () = sleep_until(renewal) => {}
                changed = heard.changed(), if speaks && !news => {
                    (speaks, news) = (changed.is_ok(), changed.is_ok());
                    continue;
                }
                () = sleep_until(progress), if news => {}
            }
            news = false;
            let said: Option<Progressed> = heard.borrow_and_update().clone();
            let until = Timestamp::now() + self.settings.lease;
            match renew(self.store(), tenant, job, until, said.as_ref()).await {
                Ok(true) => {}
                Ok(false) => {
                    lose.send_replace(true);
                    return Outcome::Lost;
                }
                // The end will tell whether the job is still this attempt's.
                Err(error) => tracing::warn!(job = %job.id, %error, "a lease was not renewed"),
            }
            renewal = Instant::now() + self.settings.renew;
            progress = Instant::now() + PROGRESS;
        }
    }

    async fn store_outcome(
        &self,
        tenant: TenantId,
        job: &Job,
        entry: Option<&Entry>,
        outcome: Outcome,
    ) -> Result<Worked, Error> {
        let now = Timestamp::now();
        match outcome {
            Outcome::Lost => Ok(Worked::Fenced),
            Outcome::NoTime => {
                let stored = write(self.store(), tenant, job.id, job.change_to(&job.waiting(None), now));
                Ok(if stored.await? { Worked::HandedBack } else { Worked::Fenced })
            }
            Outcome::Poison(why) => self.fail(tenant, job, why, now).await,
            Outcome::Failed(why) => self.fail_once(tenant, job, entry, why, now).await,
            Outcome::Done(mut done) => {
                done.result.truncate(done.result.floor_char_boundary(Done::MAX_RESULT));
                let artifacts = done.artifacts.iter().map(|left| left.artifact.artifact_id).collect();
                let after = job.succeeded(&done.result, artifacts, now);
                match Box::pin(end(&self.storage, tenant, (job, &after), &done, now)).await {
                    Ok(End::Stored) => Ok(Worked::Success),
                    Ok(End::Fenced) => Ok(Worked::Fenced),
                    Err(Error::Effects(why)) => {
                        self.fail_once(tenant, job, entry, Failure::new("failed", &why), now).await
                    }
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// The attempt failed: the next one has its time, or the job has failed.
    async fn fail_once(
        &self,
        tenant: TenantId,
        job: &Job,
        entry: Option<&Entry>,
        why: Failure,
        now: Timestamp,
    ) -> Result<Worked, Error> {
        let Some(retry) = entry.map(|entry| entry.retry).filter(|retry| job.failures + 1 < retry.attempts)
        else {
            return self.fail(tenant, job, why, now).await;
        };
        tracing::warn!(job = %job.id, code = why.code, why = why.message, "an attempt failed");
        // Between half of it and all: who failed together does not return together.
        let pause = retry.pause(job.failures + 1).mul_f64(0.5 + fastrand::f64() / 2.0);
        let after = job.failed_once(why, now + pause);
        let stored = write(self.store(), tenant, job.id, job.change_to(&after, now)).await?;
        Ok(if stored { Worked::Again } else { Worked::Fenced })
    }

    async fn fail(&self, tenant: TenantId, job: &Job, why: Failure, now: Timestamp) -> Result<Worked, Error> {
        tracing::warn!(job = %job.id, code = why.code, why = why.message, "a job failed for good");
        let mut after = job.failed(why, now);
        after.failures += 1;
        let ended = Box::pin(end(&self.storage, tenant, (job, &after), &Done::default(), now)).await?;
        Ok(if ended == End::Stored { Worked::Failed } else { Worked::Fenced })
    }
}

/// What the log lines of an execution have in common: the run it is for, or the job itself.
fn run_id(job: &Job) -> String {
    job.run_id.map_or_else(|| job.id.to_string(), |run| run.to_string())
}

fn poison(why: String) -> Outcome {
    Outcome::Poison(Failure::new("poison", &why))
}

fn panicked(panic: &(dyn Any + Send)) -> &str {
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
