//! The kinds of jobs: the declaration of each, and the registry of a worker.

use std::{collections::BTreeMap, fmt, future::Future, sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use futures::future::BoxFuture;
use sequent_core::{JobId, RunId, TenantId, pace::scaled};
use sequent_event::{Artifact, Body};
use sequent_runlog::{DynamoStorage, TransactionRows};
use sequent_tables::{Row, Store};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::sync::watch;

use crate::{JobProgress, UsageMeter};

/// A kind of job. The implementing type contains the dependencies of the handler.
pub trait JobKind: Send + Sync + 'static {
    /// The name of the kind in rows, logs and APIs. It never changes.
    const TYPE: &'static str;
    /// Longest time of an attempt. A worker's invocation ends after 15 minutes, so a longer time has no effect.
    const TIMEOUT: Duration = Duration::from_secs(60);
    /// The policy for failed attempts.
    const RETRY: RetryPolicy = RetryPolicy::DEFAULT;
    /// The workers that receive the job.
    const QUEUE: Queue = Queue::Jobs;
    /// The job serves the deployment, although it has a tenant: it is not in the list that the tenant reads, and its failure is
    /// no event of the tenant.
    const IS_INTERNAL: bool = false;
    /// The input of the job.
    type Input: Serialize + DeserializeOwned + Send;

    /// Returns the key under which at most one job exists. Returns `None` if each enqueuing makes a new job.
    fn key(input: &Self::Input) -> Option<String>;

    /// Runs one attempt. It may be called again for the same job and may be dropped at any await, so an effect that must
    /// happen once belongs into the returned [`Done`].
    fn run(&self, input: Self::Input, context: Context) -> impl Future<Output = Result<Done, Failed>> + Send;
}

/// The workers that receive a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Queue {
    /// Workers for many small jobs.
    #[default]
    Jobs,
    /// Workers with the memory and the fonts for typesetting.
    Exports,
}

/// The policy for failed attempts of a job: exponential backoff with jitter, stored as the row's `not_before`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts that may fail before the job fails. Attempts that are lost with their process do not count.
    pub attempts: u32,
    /// Pause after the first failure. It doubles with each further one.
    pub first: Duration,
    /// Longest pause between two attempts.
    pub longest: Duration,
}

impl RetryPolicy {
    /// The policy of a kind that declares none.
    pub const DEFAULT: Self =
        Self { attempts: 5, first: Duration::from_secs(2), longest: Duration::from_secs(300) };

    /// Returns the pause after the `failures`-th failure, at random between half of it and all, so that jobs that failed
    /// together do not return together. Returns `None` if no attempt is left.
    #[must_use]
    pub fn pause(self, failures: u32) -> Option<Duration> {
        let past = usize::try_from(failures.checked_sub(1)?).ok()?;
        let backoff = ExponentialBuilder::new()
            .with_min_delay(scaled(self.first) / 2)
            .with_max_delay(scaled(self.longest) / 2)
            .with_max_times(self.attempts.saturating_sub(1) as usize)
            .with_jitter();
        backoff.build().nth(past)
    }
}

/// The result of an attempt, stored in one transaction with the end of its job.
#[derive(Clone, Default)]
pub struct Done {
    /// Text for a model or a person. Cut at [`Done::MAX_RESULT`] bytes; a longer result is an artifact.
    pub result: String,
    /// Texts for people: what the result lacks.
    pub warnings: Vec<String>,
    /// The prompt that instructed the model, if the job has asked one.
    pub prompt: Option<String>,
    /// Artifacts whose bytes are stored already.
    pub artifacts: Vec<LeftArtifact>,
    /// Further events for the log of the run that asked for the job.
    pub events: Vec<Body>,
    /// Other writes. If a condition among them does not hold, the attempt fails and is retried.
    pub writes: Option<TransactionRows>,
}

/// An artifact that a job leaves.
#[derive(Debug, Clone)]
pub struct LeftArtifact {
    /// The artifact as the run's log describes it.
    pub artifact: Artifact,
    /// The row of the artifact.
    pub row: Row,
}

impl Done {
    /// Longest result in bytes. It fits an event even if JSON escapes each byte with six.
    pub const MAX_RESULT: usize = 16_000;

    /// A result without anything else.
    #[must_use]
    pub fn text(result: impl Into<String>) -> Self {
        Self { result: result.into(), ..Self::default() }
    }
}

impl fmt::Debug for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Done").field("result", &self.result).finish_non_exhaustive()
    }
}

/// The failure of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// Another attempt may succeed.
    #[error("{0}")]
    Retry(String),
    /// Another attempt may succeed, but not before this pause: the other side has asked for it. The pause of the policy holds
    /// if it is longer.
    #[error("{why}")]
    #[expect(missing_docs, reason = "the comment of the variant explains them")]
    RetryAfter { why: String, pause: Duration },
    /// The attempt has done nothing, because it is not the job's turn. The next attempt follows after this pause. No failure is
    /// counted.
    #[error("the job waits for its turn")]
    #[expect(missing_docs, reason = "the comment of the variant explains it")]
    NotNow { pause: Duration },
    /// Every other attempt would fail, too.
    #[error("{0}")]
    Poison(String),
    /// The limits of the job do not cover the model call that it needs next. They hold for all attempts together.
    #[error("{0}")]
    OverBudget(String),
}

impl Failed {
    /// A failure that another attempt may not meet, such as one of the table.
    pub fn retry(error: impl fmt::Display) -> Self {
        Self::Retry(error.to_string())
    }
}

/// The context of an attempt.
#[derive(Debug, Clone)]
pub struct Context {
    /// The tenant that has the job.
    pub tenant: TenantId,
    /// The job of the attempt.
    pub job: JobId,
    /// The run that asked for the job.
    pub run: Option<RunId>,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// The tables and the logs.
    pub storage: DynamoStorage,
    /// Reports the progress of the attempt.
    pub progress: ProgressReporter,
    /// Counts the usage of the model calls.
    pub usage: UsageMeter,
    /// Turns `true` when the result of the attempt can no longer be stored, because the job was cancelled or another worker
    /// took it over. The handler is dropped at its next await; a handler that computes for long should read this.
    pub lost: watch::Receiver<bool>,
}

impl Context {
    /// Returns the tables of the deployment.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.storage.store()
    }
}

/// Reports the progress of a job. It is stored a few times a second at most; reports in between are skipped.
#[derive(Debug, Clone)]
pub struct ProgressReporter(pub(crate) Arc<watch::Sender<Option<JobProgress>>>);

impl ProgressReporter {
    /// Reports that `percent` of the work is done.
    pub fn report(&self, percent: u8, message: impl Into<String>) {
        self.0.send_replace(Some(JobProgress { percent: percent.min(100), message: message.into() }));
    }
}

/// The kinds that a worker can run, by their names.
#[derive(Clone, Default)]
pub struct Registry {
    kinds: BTreeMap<&'static str, RegisteredKind>,
}

#[derive(Clone)]
pub(crate) struct RegisteredKind {
    pub(crate) timeout: Duration,
    pub(crate) retry: RetryPolicy,
    pub(crate) handler: Arc<dyn Handler>,
}

/// A [`JobKind`] without its input type.
pub(crate) trait Handler: Send + Sync {
    fn start(
        self: Arc<Self>,
        input: Value,
        context: Context,
    ) -> Result<BoxFuture<'static, Result<Done, Failed>>, serde_json::Error>;
}

impl<K: JobKind> Handler for K {
    fn start(
        self: Arc<Self>,
        input: Value,
        context: Context,
    ) -> Result<BoxFuture<'static, Result<Done, Failed>>, serde_json::Error> {
        let input: K::Input = serde_json::from_value(input)?;
        Ok(Box::pin(async move { K::run(&self, input, context).await }))
    }
}

impl Registry {
    /// A registry without kinds.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a kind. It replaces one of the same name.
    #[must_use]
    pub fn with<K: JobKind>(mut self, kind: K) -> Self {
        let entry = RegisteredKind { timeout: K::TIMEOUT, retry: K::RETRY, handler: Arc::new(kind) };
        self.kinds.insert(K::TYPE, entry);
        self
    }

    pub(crate) fn get(&self, job_type: &str) -> Option<&RegisteredKind> {
        self.kinds.get(job_type)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.kinds.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_end_with_the_attempts() {
        let policy =
            RetryPolicy { attempts: 9, first: Duration::from_secs(2), longest: Duration::from_secs(60) };
        for (failures, seconds) in [(1, 2), (2, 4), (3, 8), (6, 60), (8, 60)] {
            let pause = policy.pause(failures).expect("an attempt is left");
            let longest = Duration::from_secs(seconds);
            assert!(pause >= longest / 2 && pause <= longest, "{failures}: {pause:?}");
        }
        assert_eq!(policy.pause(9), None);
    }
}
