//! Running the handler of an attempt, with its lease, its progress and its time limits.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use sequent_core::TenantId;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
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
    Failed(JobFailure),
    Poison(JobFailure),
    Lost,
    NoTime,
}

impl AttemptEnd {
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
        let meter = UsageMeter::default();
        let ended = self.run_handler(tenant, job, kind, hand_back_at, &meter).await;
        job.usage = job.usage.and(meter.sum());
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
        let (reports, mut reported) = watch::channel(job.progress.clone());
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
        let mut handler: BoxFuture<'_, _> = Box::pin(AssertUnwindSafe(handler).catch_unwind());
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
                    Ok(ended) => of_result(ended),
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
            match self.renew(tenant, job, progress.as_ref(), job.usage.and(meter.sum())).await {
                Ok(true) => {}
                Ok(false) => {
                    lose.send_replace(true);
                    return AttemptEnd::Lost;
                }
                // The write of the end finds out whether the job is still this attempt's.
                Err(error) => log_unrenewed(job, &error),
            }
            renew_at = Instant::now() + self.settings.renew;
            progress_at = Instant::now() + PROGRESS_INTERVAL;
        }
    }
}

fn of_result(result: Result<Done, Failed>) -> AttemptEnd {
    match result {
        Ok(done) => AttemptEnd::Done(done),
        Err(Failed::Retry(why)) => AttemptEnd::Failed(JobFailure::new("failed", &why)),
        Err(Failed::Poison(why)) => AttemptEnd::poison(why),
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
        None => std::future::pending().await,
    }
}
