//! Enqueues the jobs that send the traces of runs that have ended.

use futures::{StreamExt as _, stream};
use sequent_conversation::Delivery;
use sequent_core::Timestamp;
use sequent_jobs::enqueue;
use sequent_tables::Store;
use sequent_traces::ExportTrace;

/// Jobs that are stored at the same time.
const AT_ONCE: usize = 16;

/// Enqueues a job for each run that has ended.
#[derive(Debug, Clone)]
pub struct TraceJobs(Store);

impl TraceJobs {
    /// Enqueues jobs in `store`.
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self(store)
    }

    /// Enqueues a job for each run. Returns the smallest index beside a run whose job was not stored.
    pub(crate) async fn enqueue(&self, ended: &[(usize, Delivery)], now: Timestamp) -> Option<usize> {
        let jobs = ended.iter().map(|(origin, run)| async move {
            let job = ExportTrace::job(run.key());
            match Box::pin(enqueue(&self.0, &job, now)).await {
                Ok(_) => None,
                Err(error) => {
                    tracing::error!(run = %run.run_id, %error, "could not enqueue a trace; the stream delivers its record again");
                    Some(*origin)
                }
            }
        });
        let jobs = stream::iter(jobs).buffer_unordered(AT_ONCE);
        let unstored: Vec<usize> = Box::pin(jobs.filter_map(async |unstored| unstored)).collect().await;
        unstored.into_iter().min()
    }
}
