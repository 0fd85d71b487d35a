//! The types of jobs: what each declares, and the worker's list of them.

use std::{collections::BTreeMap, fmt, future::Future, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use sequent_core::{JobId, RunId, TenantId};
use sequent_event::{Artifact, Body, Totals};
use sequent_runlog::{DynamoStorage, TransactionRows};
use sequent_tables::{Row, Store};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::sync::watch;

use crate::Progressed;

/// A type of job. Whoever implements it may hold what its handler needs.
pub trait Kind: Send + Sync + 'static {
    /// Its name, in rows, logs and APIs. It is forever.
    const TYPE: &'static str;
    /// How long an attempt may take. More than a worker's invocation has (15 minutes) is never reached.
    const TIMEOUT: Duration = Duration::from_secs(60);
    /// What happens when an attempt fails.
    const RETRY: Retry = Retry::DEFAULT;
    /// Who works on it.
    const QUEUE: Queue = Queue::Jobs;
    /// What it works on.
    type Input: Serialize + DeserializeOwned + Send;

    /// What there is one job of. `None`: every enqueuing is a job of its own.
    fn key(input: &Self::Input) -> Option<String>;

    /// Does it. May be called again for the same job, and be dropped at any await, so whatever must happen once goes into
    /// what it gives back.
    fn run(&self, input: Self::Input, context: Context) -> impl Future<Output = Result<Done, Failed>> + Send;
}

/// Which workers a job is delivered to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Queue {
    /// The many, small ones.
    #[default]
    Jobs,
    /// Those with the memory and the fonts to typeset.
    Exports,
}

/// How often a failed attempt is followed by another, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Attempts that may fail before the job does. Those lost with their process are not among them.
    pub attempts: u32,
    /// The pause after the first failure; it doubles with each.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Retry {
    /// Unless a kind says otherwise.
    pub const DEFAULT: Self =
        Self { attempts: 5, first: Duration::from_secs(2), longest: Duration::from_secs(300) };

    /// The pause after the `failures`-th failure, without jitter.
    #[must_use]
    pub fn pause(self, failures: u32) -> Duration {
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first.saturating_mul(doubled).min(self.longest)
    }
}

/// What a handler wants stored with the end of its job, all of it or nothing.
#[derive(Clone, Default)]
pub struct Done {
    /// What it came to, for a model or a person to read. Cut at [`Done::MAX_RESULT`] bytes; more is an artifact.
    pub result: String,
    /// Artifacts whose bytes are stored.
    pub artifacts: Vec<Left>,
    /// What else the run's log is to say, if a run asked for the job: events that name it.
    pub events: Vec<Body>,
    /// What the attempt's model calls used.
    pub usage: Totals,
    /// Other writes. If a condition among them does not hold, the attempt has failed and may be tried again.
    pub writes: Option<TransactionRows>,
}

/// An artifact that a job leaves.
#[derive(Debug, Clone)]
pub struct Left {
    /// What the run's log says of it.
    pub artifact: Artifact,
    /// Its row.
    pub row: Row,
}

impl Done {
    /// Fits an event, even if JSON makes six bytes of each.
    pub const MAX_RESULT: usize = 16_000;

    /// Only a result.
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

/// An attempt came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// Another may succeed.
    #[error("{0}")]
    Retry(String),
    /// No other will.
    #[error("{0}")]
    Poison(String),
}

impl Failed {
    /// A failure of something else than the job itself: worth another attempt.
    pub fn retry(error: impl fmt::Display) -> Self {
        Self::Retry(error.to_string())
    }
}

/// What a handler is given beside its input.
#[derive(Debug, Clone)]
pub struct Context {
    /// Whose job it is.
    pub tenant: TenantId,
    /// The job.
    pub job: JobId,
    /// The run that asked for it.
    pub run: Option<RunId>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The tables.
    pub storage: DynamoStorage,
    /// Where to say how far it has come.
    pub progress: Progress,
    /// Turns true when what the handler does can no longer be stored: it was cancelled, or took so long without a sign of
    /// life that another took over. The handler is dropped then, at its next await; one that computes for long should look.
    pub lost: watch::Receiver<bool>,
}

impl Context {
    /// The tables.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.storage.store()
    }
}

/// Says how far a job has come. Stored a few times a second at most; what is said in between is passed over.
#[derive(Debug, Clone)]
pub struct Progress(pub(crate) Arc<watch::Sender<Option<Progressed>>>);

impl Progress {
    /// `percent` of all there is to do is done.
    pub fn say(&self, percent: u8, message: impl Into<String>) {
        self.0.send_replace(Some(Progressed { percent: percent.min(100), message: message.into() }));
    }
}

/// The kinds a worker knows, by their types.
#[derive(Clone, Default)]
pub struct Registry {
    kinds: BTreeMap<&'static str, Entry>,
}

#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) timeout: Duration,
    pub(crate) retry: Retry,
    pub(crate) handler: Arc<dyn Handler>,
}

/// A kind whose input is not known by type any more.
pub(crate) trait Handler: Send + Sync {
    fn start(
        self: Arc<Self>,
        input: Value,
        context: Context,
    ) -> Result<BoxFuture<'static, Result<Done, Failed>>, serde_json::Error>;
}

impl<K: Kind> Handler for K {
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
    /// No kinds yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a kind. Of two of one type the latter counts.
    #[must_use]
    pub fn with<K: Kind>(mut self, kind: K) -> Self {
        let entry = Entry { timeout: K::TIMEOUT, retry: K::RETRY, handler: Arc::new(kind) };
        self.kinds.insert(K::TYPE, entry);
        self
    }

    pub(crate) fn get(&self, job_type: &str) -> Option<&Entry> {
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
    fn pauses_double_up_to_the_longest() {
        let retry = Retry { attempts: 9, first: Duration::from_secs(2), longest: Duration::from_secs(60) };
        let pauses: Vec<u64> = [1, 2, 3, 6, 40].map(|failures| retry.pause(failures).as_secs()).into();
        assert_eq!(pauses, [2, 4, 8, 60, 60]);
    }
}
