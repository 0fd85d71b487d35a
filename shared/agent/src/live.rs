//! A run's stream for one reader, which executes the run if no other process does.

use std::{sync::Arc, time::Duration};

use sequent_conversation::{Error, Run, RunStatus, Runs, claim};
use sequent_core::{Timestamp, pace::scaled};
use sequent_event::Seq;
use sequent_runlog::{DynamoStorage, Lease, LogKey, OBSERVED_SEGMENTS, Segment, Writer};
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tracing::{Instrument, Span};

use crate::{
    Engine, Executed, OnCut, StreamItem, Window, execute,
    reader::{Pause, Reader},
};

/// Time in which only the worker that receives a new run from the queue claims it.
const PICK_UP: Duration = Duration::from_secs(2);
/// Items that may wait for a slow reader.
const BACKLOG: usize = 64;

/// The process that executes the run at first.
pub enum Source {
    /// This process has claimed the run: it executes the run, and the reader sees what it stores.
    Owned(Box<Writer<DynamoStorage>>, Receiver<Arc<Segment>>),
    /// Another process, or none.
    Elsewhere,
}

/// A run's stream for one reader.
pub struct Live {
    engine: Engine,
    key: LogKey,
    window: Option<Window>,
    reader: Reader,
    /// The executions of the run in this process.
    executions: Vec<JoinHandle<()>>,
}

/// The items of a run's stream for one reader.
#[derive(Debug)]
pub struct LiveStream {
    items: Receiver<StreamItem>,
    work: JoinHandle<()>,
}

impl LiveStream {
    /// Returns the next item. Returns `None` when nothing is left to do for the run here.
    pub async fn recv(&mut self) -> Option<StreamItem> {
        self.items.recv().await
    }

    /// Returns the next item if it is ready.
    pub fn try_recv(&mut self) -> Option<StreamItem> {
        self.items.try_recv().ok()
    }

    /// Lets the run go on without a reader, and waits until nothing is left to do for it here. No item follows.
    pub async fn abandon(&mut self) {
        self.items.close();
        if let Err(error) = (&mut self.work).await {
            tracing::error!(%error, "the task of a stream has failed; another process takes over what it executed");
        }
    }
}

/// The result of an attempt to claim the run.
enum RunClaim {
    Won(Source),
    /// Another process owns the run. If it holds a lease, the lease expires at this time.
    Lost(Option<Timestamp>),
}

impl Live {
    /// Streams the events after `after` until the log is closed, its end was delivered, or the invocation's
    /// deadline nears. A run that this process owns is executed to its end whether or not the reader stays.
    ///
    /// The stream ends when nothing is left to do for the run here: Lambda freezes the process at the end of the
    /// response, and what the end of the run still needs would wait for the next request.
    #[must_use]
    pub fn stream(
        engine: Engine,
        key: LogKey,
        after: Seq,
        source: Source,
        on_cut: OnCut,
        deadline: Option<Instant>,
    ) -> LiveStream {
        let (out, items) = mpsc::channel(BACKLOG);
        let window = deadline.map(Window::until);
        let reader = Reader::new(engine.clone(), key, after, on_cut, window, out);
        let live = Self { engine, key, window, reader, executions: Vec::new() };
        let work = tokio::spawn(live.run(source).instrument(Span::current()));
        LiveStream { items, work }
    }

    async fn run(mut self, source: Source) {
        let mut next = Some(source);
        while let Some(source) = next {
            next = match source {
                Source::Owned(writer, stored) => {
                    self.execute(writer);
                    match self.reader.observe(stored).await {
                        Pause::Orphaned => Some(Source::Elsewhere),
                        Pause::Ended => None,
                    }
                }
                Source::Elsewhere => self.follow().await,
            };
        }
        self.complete().await;
    }

    /// Waits for the executions, as long as the invocation lasts.
    async fn complete(&mut self) {
        for execution in &mut self.executions {
            match self.window {
                Some(window) => drop(timeout_at(window.stream_end(), execution).await),
                None => drop(execution.await),
            }
        }
    }

    /// Executes the run in a task of its own, because it must not end with its reader.
    fn execute(&mut self, writer: Box<Writer<DynamoStorage>>) {
        let engine = self.engine.clone();
        let key = self.key;
        let window = self.window;
        let work = async move {
            match Box::pin(execute(&engine, key, *writer, window)).await {
                Ok(Executed::Closed | Executed::Waiting) => {}
                Ok(Executed::HandedOver) => {
                    tracing::info!(run = %key.run, "handed the run over before the deadline")
                }
                Err(error) => {
                    tracing::error!(run = %key.run, %error, "could not execute the run; another process retries");
                }
            }
        };
        self.executions.push(tokio::spawn(work.instrument(Span::current())));
    }

    /// Follows a run that another process executes. Claims the run when it has no owner.
    async fn follow(&mut self) -> Option<Source> {
        let mut tail = self.reader.tail();
        while self.reader.follow(&mut tail).await == Pause::Orphaned {
            match self.claim(tail.last_write()).await {
                RunClaim::Won(source) => return Some(source),
                RunClaim::Lost(lease) => tail.postpone_check(lease),
            }
            if !self.reader.keep_alive().await {
                break;
            }
        }
        None
    }

    async fn claim(&self, last_write: Option<Timestamp>) -> RunClaim {
        self.try_claim(last_write).await.unwrap_or_else(|error| {
            tracing::warn!(run = %self.key.run, %error, "could not claim the run; retrying");
            RunClaim::Lost(None)
        })
    }

    /// Claims the run if it has no owner. While it has one, or waits, this costs one eventually consistent read of one row:
    /// a claim reads the row again before it decides.
    async fn try_claim(&self, last_write: Option<Timestamp>) -> Result<RunClaim, Error> {
        match self.engine.storage.recent_lease(self.key).await? {
            Lease::Held(until) => {
                // An owner that writes need not renew its lease: its segments are signs of life.
                let alive = last_write.map_or(until, |at| until.max(at + self.engine.settings.lease));
                if alive > Timestamp::now() {
                    return Ok(RunClaim::Lost(Some(alive)));
                }
            }
            Lease::Waiting(after) if !self.reader.has_passed(after) => return Ok(RunClaim::Lost(None)),
            Lease::Waiting(_) | Lease::Free => {}
        }
        let (observer, stored) = mpsc::channel(OBSERVED_SEGMENTS);
        let writer = self.claim_unowned(observer).await?;
        Ok(writer.map_or(RunClaim::Lost(None), |writer| RunClaim::Won(Source::Owned(writer, stored))))
    }

    async fn claim_unowned(
        &self,
        observer: Sender<Arc<Segment>>,
    ) -> Result<Option<Box<Writer<DynamoStorage>>>, Error> {
        let run: Run = Runs::new(self.engine.store(), self.key.tenant).get(self.key.run).await?;
        let is_new = Timestamp::now().since(run.created_at) < scaled(PICK_UP);
        if run.status == RunStatus::Pending && is_new {
            return Ok(None);
        }
        // The end of a child or a job wakes the run, so a reader claims it for news that it has seen itself.
        if run.waiting.as_ref().is_some_and(|waiting| !self.reader.has_passed(waiting.after)) {
            return Ok(None);
        }
        claim(&self.engine.runs(), self.key, &run, Some(observer)).await
    }
}
