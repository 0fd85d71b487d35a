//! Storing the outcome of an attempt.
//!
//! The write is repeated while the tables or the log are unavailable, and the lease is renewed meanwhile. A handler has
//! run for minutes, or asked a model for money: its result is not thrown away for a fault of the storage. A result that is
//! refused for its size or form is a failure of the job, because the same result would be refused again.

use std::{future::Future, pin::pin, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use sequent_core::{TenantId, Timestamp, pace::scaled};
use tokio::time::{Instant, sleep};

use super::{Worked, Worker, handler::AttemptEnd};
use crate::{
    Done, End, EndedJob, Error, Job, JobFailure, RetryPolicy, attempt::count_late, end, end::end_failed,
    step::JobStep,
};

/// Time for which an outcome is stored again and again, unless the invocation ends earlier.
const PATIENCE: Duration = Duration::from_secs(120);

/// A claimed job with the policy of its kind, unless the registry does not know the kind.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub(super) tenant: TenantId,
    pub(super) job: &'a Job,
    pub(super) retry: Option<RetryPolicy>,
    pub(super) hand_back_at: Option<Instant>,
}

impl Attempt<'_> {
    fn patience(&self) -> Duration {
        let left = self.hand_back_at.map(|at| at.saturating_duration_since(Instant::now()));
        left.map_or(scaled(PATIENCE), |left| left.min(scaled(PATIENCE)))
    }
}

impl Worker {
    /// Stores the end of an attempt. If the job continued without it, only its usage is stored.
    pub(super) async fn store_end(&self, attempt: Attempt<'_>, ended: AttemptEnd) -> Result<Worked, Error> {
        let Attempt { tenant, job, .. } = attempt;
        let worked = match ended {
            AttemptEnd::Lost => Worked::Fenced,
            AttemptEnd::NoTime => self.take(attempt, &job.waiting(None), Worked::HandedBack).await?,
            AttemptEnd::NotNow(pause) => {
                let next = job.waiting(Some(Timestamp::now() + scaled(pause)));
                self.take(attempt, &next, Worked::HandedBack).await?
            }
            AttemptEnd::Poison(why) => self.fail(attempt, why).await?,
            AttemptEnd::Failed { why, pause } => self.fail_once(attempt, why, pause).await?,
            AttemptEnd::Done(done) => self.succeed(attempt, done).await?,
        };
        if worked == Worked::Fenced && !job.usage.is_none() {
            self.patiently(attempt, || count_late(self.store(), tenant, job)).await?;
        }
        Ok(worked)
    }

    async fn succeed(&self, attempt: Attempt<'_>, mut done: Done) -> Result<Worked, Error> {
        let Attempt { tenant, job, .. } = attempt;
        let now = Timestamp::now();
        done.result.truncate(done.result.floor_char_boundary(Done::MAX_RESULT));
        let after = job.succeeded(&done, now);
        let success = EndedJob { tenant, before: job, after: &after, done: &done };
        match self.patiently(attempt, || end(&self.storage, success, now)).await {
            Ok(End::Stored) => Ok(Worked::Success),
            Ok(End::Fenced) => Ok(Worked::Fenced),
            Err(Error::Effects(why)) => {
                self.fail_once(attempt, JobFailure::new("failed", &why), Duration::ZERO).await
            }
            Err(error @ Error::Unstorable(_)) => {
                self.fail(attempt, JobFailure::new("poison", &error.to_string())).await
            }
            Err(error) => Err(error),
        }
    }

    /// Stores a failed attempt. The job waits for its next attempt, at least for the pause, or fails if none is left.
    async fn fail_once(
        &self,
        attempt: Attempt<'_>,
        why: JobFailure,
        shortest: Duration,
    ) -> Result<Worked, Error> {
        let Attempt { job, retry, .. } = attempt;
        let Some(pause) = retry.and_then(|retry| retry.pause(job.failures + 1)) else {
            return self.fail(attempt, why).await;
        };
        tracing::warn!(job = %job.id, code = why.code, why = why.message, "an attempt at a job failed; it is retried");
        let after = job.failed_once(why, Timestamp::now() + pause.max(scaled(shortest)));
        self.take(attempt, &after, Worked::Again).await
    }

    async fn fail(&self, attempt: Attempt<'_>, why: JobFailure) -> Result<Worked, Error> {
        let Attempt { tenant, job, .. } = attempt;
        tracing::warn!(job = %job.id, code = why.code, why = why.message, "a job failed for good");
        let now = Timestamp::now();
        let mut after = job.failed(why, now);
        after.failures += 1;
        let done = Done::default();
        let failure = EndedJob { tenant, before: job, after: &after, done: &done };
        let stored = self.patiently(attempt, || end_failed(&self.storage, failure, now)).await?;
        Ok(if stored == End::Stored { Worked::Failed } else { Worked::Fenced })
    }

    /// Takes the step to `after`. Returns `taken`, or [`Worked::Fenced`] if the job continued without this attempt.
    async fn take(&self, attempt: Attempt<'_>, after: &Job, taken: Worked) -> Result<Worked, Error> {
        let step = JobStep::new(attempt.tenant, attempt.job, after, Timestamp::now());
        let is_taken = self.patiently(attempt, || step.take(self.store())).await?;
        Ok(if is_taken { taken } else { Worked::Fenced })
    }

    /// Repeats `write` while the storage is unavailable, and renews the lease meanwhile.
    async fn patiently<T, F>(&self, attempt: Attempt<'_>, write: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let patience = attempt.patience();
        let writing = async {
            let start = Instant::now();
            let mut pauses = backoff();
            loop {
                let error = match Box::pin(write()).await {
                    Err(error) if error.is_transient() => error,
                    definite => return definite,
                };
                let pause = pauses.next().unwrap_or_default();
                if start.elapsed() + pause >= patience {
                    return Err(error);
                }
                tracing::warn!(job = %attempt.job.id, %error, "could not store the outcome of an attempt; it is retried");
                sleep(pause).await;
            }
        };
        let mut writing = pin!(writing);
        tokio::select! {
            biased;
            written = &mut writing => written,
            never = self.keep_lease(attempt.tenant, attempt.job) => match never {},
        }
    }
}

fn backoff() -> impl Iterator<Item = Duration> + Send {
    let backoff = ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(2))
        .without_max_times()
        .with_jitter();
    backoff.build()
}

#[cfg(test)]
mod tests {
    use sequent_runlog::{DynamoStorage, Settings};
    use sequent_tables::testing;

    use super::*;
    use crate::{
        JobClaim, Jobs, NewJob, Registry, claim, enqueue,
        kinds::{HelloInput, HelloWorld},
    };

    #[tokio::test]
    async fn the_lease_is_renewed_while_the_outcome_is_stored() {
        let store = testing::store().await;
        let settings = Settings { renew: Duration::from_millis(10), ..Settings::default() };
        let worker = Worker::new(Registry::new(), DynamoStorage::new(store.clone()), settings);
        let new = NewJob::of::<HelloWorld>(TenantId::new(), &HelloInput::default());
        let now = Timestamp::now();
        enqueue(&store, &new, now).await.unwrap();
        let claimed = claim(&store, new.tenant, new.id, now, settings.lease).await.unwrap();
        let JobClaim::Won(job) = claimed else { panic!("{claimed:?}") };
        let attempt = Attempt { tenant: new.tenant, job: &job, retry: None, hand_back_at: None };
        let jobs = Jobs::new(&store, new.tenant);
        let slow = || async {
            while jobs.get(new.id).await?.lease_until == job.lease_until {
                sleep(Duration::from_millis(5)).await;
            }
            Ok(())
        };
        worker.patiently(attempt, slow).await.unwrap();
    }
}
