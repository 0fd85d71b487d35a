//! `export_trace`: sends the trace of a run that has ended.

use std::time::Duration;

use sequent_core::{JobId, RunId};
use sequent_event::{Event, Seq};
use sequent_jobs::{Context, Done, Failed, JobKind, NewJob, RetryPolicy};
use sequent_runlog::{LogKey, Segment, read_all};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Collector, RunTrace, collector::Error};

/// `export_trace`: sends the trace of a run that has ended.
#[derive(Debug)]
pub struct ExportTrace(Option<Collector>);

/// The input of [`ExportTrace`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceInput {
    /// A run of the job's tenant.
    pub run_id: RunId,
}

impl ExportTrace {
    /// Sends traces to the collector. `None` if the deployment has none.
    #[must_use]
    pub const fn new(collector: Option<Collector>) -> Self {
        Self(collector)
    }

    /// The job that sends the trace of a run. Its id is derived from the run's, so there is one for each run: a run ends once.
    #[must_use]
    pub fn job(key: LogKey) -> NewJob {
        let new = NewJob::of::<Self>(key.tenant, &TraceInput { run_id: key.run });
        NewJob { id: job_id(key.run), ..new }
    }
}

fn job_id(run: RunId) -> JobId {
    let hash = Sha256::digest([ExportTrace::TYPE.as_bytes(), &run.bits().to_be_bytes()].concat());
    let (head, _) = hash.split_first_chunk::<16>().expect("a SHA-256 digest has 32 bytes");
    JobId::from_bits(u128::from_be_bytes(*head))
}

impl JobKind for ExportTrace {
    const TYPE: &'static str = "export_trace";
    const TIMEOUT: Duration = Duration::from_secs(120);
    /// The attempts last for about three hours, as long as a collector may be replaced or repaired.
    const RETRY: RetryPolicy =
        RetryPolicy { attempts: 13, first: Duration::from_secs(5), longest: Duration::from_secs(3_600) };
    /// It concerns the operator only.
    const IS_INTERNAL: bool = true;
    type Input = TraceInput;

    /// No key: the job id is derived from the run id, so it is unique already and saves a row.
    fn key(_: &TraceInput) -> Option<String> {
        None
    }

    async fn run(&self, input: TraceInput, context: Context) -> Result<Done, Failed> {
        let Some(collector) = &self.0 else {
            return Ok(Done::text("The deployment sends no traces."));
        };
        let key = LogKey { tenant: context.tenant, run: input.run_id };
        let segments = read_all(&context.storage, key).await.map_err(Failed::retry)?;
        let events: Vec<Event> = segments.iter().flat_map(Segment::events).collect();
        let Some(last) = events.last().map(|event| event.seq) else {
            return Ok(Done::text("The run was deleted."));
        };
        let trace = RunTrace::of(key, &events, collector.records_contents());
        let trace = trace.map_err(|error| Failed::Poison(error.to_string()))?;
        match Box::pin(collector.send(&trace)).await {
            Ok(sent) => Ok(done(key, last, sent.spans, sent.warnings)),
            Err(error) => Err(failed(key, error)),
        }
    }
}

fn done(key: LogKey, last: Seq, spans: usize, warnings: Vec<String>) -> Done {
    for warning in &warnings {
        tracing::warn!(run = %key.run, warning, "the collector has refused a part of a trace");
    }
    Done { warnings, ..Done::text(format!("{spans} spans of the first {last} events were sent.")) }
}

fn failed(key: LogKey, error: Error) -> Failed {
    tracing::warn!(run = %key.run, %error, "could not send a trace; the run is not affected");
    match error {
        Error::Unavailable { why, pause } => Failed::RetryAfter { why, pause },
        Error::Refused(why) => Failed::Poison(why),
        Error::TooLarge => Failed::Poison(error.to_string()),
    }
}
