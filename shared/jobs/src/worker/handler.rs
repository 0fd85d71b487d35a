//! Running the handler of an attempt, with its lease, its progress and its time limits.

use std::{any::Any, future::pending, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use sequent_core::TenantId;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use super::{Worker, log_unrenewed};
use crate::{
    Context, Done, Failed, Job, JobFailure, JobProgress, ProgressReporter, UsageMeter,
    registry::RegisteredKind,
};

/// Shortest time between two writes of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(400);

/// The end of an attempt, before it is stored.
pub(super) enum AttemptEnd {
    Done(Done),
    Failed {
        why: JobFailure,
        /// The shortest pause until the next attempt.
        pause: Duration,
    },
    Poison(JobFailure),
    /// The job waits for this pause.
    NotNow(Duration),
    Lost,
    NoTime,
}

impl AttemptEnd {
    fn failed(code: &str, why: &str) -> Self {
        Self::Failed { why: JobFailure::new(code, why), pause: Duration::ZERO }
    }

    pub(super) fn poison(why: String) -> Self {
        Self::Poison(JobFailure::new("poison", &why))
    }
}

impl Worker {
    /// Runs the handler and adds its usage to the job, whatever its end is.
    pub(super) async fn run(
        &self,
        tenant: TenantId,
        job: &mut Job,
        kind: &RegisteredKind,
        hand_back_at: Option<Instant>,
    ) -> AttemptEnd {
        let meter = UsageMeter::after(job.usage);
        let ended = self.run_handler(tenant, job, kind, hand_back_at, &meter).await;
        job.usage = meter.total();
        ended
    }

    /// Runs the handler and renews the lease. Stops the handler when its result can no longer be stored.
    async fn run_handler(
        &self,
        tenant: TenantId,
        job: &Job,
        kind: &RegisteredKind,
        hand_back_at: Option<Instant>,
        meter: &UsageMeter,
    ) -> AttemptEnd {
        let (lose, lost) = watch::channel(false);
        let (reports, reported) = watch::channel(job.progress.clone());
        let context = Context {
            tenant,
            job: job.id,
            run: job.run_id,
            attempt: job.attempt,
            storage: self.storage.clone(),
            progress: ProgressReporter(Arc::new(reports)),
            usage: meter.clone(),
            lost,
        };
        let handler = match Arc::clone(&kind.handler).start(job.input.clone(), context) {
            Ok(handler) => handler,
            Err(error) => return AttemptEnd::poison(format!("The input cannot be read: {error}")),
        };
        let handler: BoxFuture<'_, _> = Box::pin(AssertUnwindSafe(handler).catch_unwind());
        let mut leaving = self.leaving.subscribe();
        // The handler continues while a renewal is written: a slow table must not stop the reading of a response.
        tokio::select! {
            biased;
            ended = handler => match ended {
                Ok(ended) => of_result(ended),
                Err(panic) => AttemptEnd::failed("panicked", panic_text(&*panic)),
            },
            () = sleep(kind.timeout) => {
                let why = format!("The attempt took longer than {} s.", kind.timeout.as_secs_f32());
                AttemptEnd::failed("timeout", &why)
            }
            () = async { drop(leaving.wait_for(|leaving| *leaving).await) } => AttemptEnd::NoTime,
            () = at(hand_back_at) => AttemptEnd::NoTime,
            () = self.keep_progress(tenant, job, reported, meter) => {
                lose.send_replace(true);
                AttemptEnd::Lost
            }
        }
    }

    /// Renews the lease, also with each report of progress but not too often. Returns when the job has ended or another
    /// attempt has it.
    async fn keep_progress(
        &self,
        tenant: TenantId,
        job: &Job,
        mut reported: watch::Receiver<Option<JobProgress>>,
        meter: &UsageMeter,
    ) {
        let mut progress_at = Instant::now();
        loop {
            tokio::select! {
                () = sleep(self.settings.renew) => {}
                () = changed(&mut reported, progress_at) => {}
            }
            let progress = reported.borrow_and_update().clone();
            match self.renew(tenant, job, progress.as_ref(), meter.total()).await {
                Ok(true) => {}
                Ok(false) => return,
                // The write of the end finds out whether the job is still this attempt's.
                Err(error) => log_unrenewed(job, &error),
            }
            progress_at = Instant::now() + PROGRESS_INTERVAL;
        }
    }
}

/// Waits for a report of progress, and until it may be stored.
async fn changed(reported: &mut watch::Receiver<Option<JobProgress>>, not_before: Instant) {
    match reported.changed().await {
        Ok(()) => sleep_until(not_before).await,
        // The handler reports nothing any more.
        Err(_) => pending().await,
    }
}

fn of_result(result: Result<Done, Failed>) -> AttemptEnd {
    match result {
        Ok(done) => AttemptEnd::Done(done),
        Err(Failed::Retry(why)) => AttemptEnd::failed("failed", &why),
        Err(Failed::RetryAfter { why, pause }) => {
            AttemptEnd::Failed { why: JobFailure::new("failed", &why), pause }
        }
        Err(Failed::NotNow { pause }) => AttemptEnd::NotNow(pause),
        Err(Failed::Poison(why)) => AttemptEnd::poison(why),
        Err(Failed::OverBudget(why)) => AttemptEnd::Poison(JobFailure::new(JobFailure::OVER_BUDGET, &why)),
    }
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
        None => pending().await,
    }
}
