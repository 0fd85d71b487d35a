//! A run's stream for one reader, which executes the run if no other process does.

use std::{sync::Arc, time::Duration};

use sequent_conversation::{Error, Run, RunStatus, Runs, claim};
use sequent_core::{Timestamp, pace::scaled};
use sequent_event::Seq;
use sequent_runlog::{DynamoStorage, LogKey, Segment, Writer};
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    time::Instant,
};
use tracing::{Instrument, Span};

use crate::{
    Engine, Executed, StreamItem, Window, execute,
    reader::{Pause, Reader},
};

/// Time in which only the worker that receives a new run from the queue claims it.
const PICK_UP: Duration = Duration::from_secs(2);
/// Items that may wait for a slow reader.
const BACKLOG: usize = 64;

/// The process that executes the run at first.
pub enum Source {
    /// This process has claimed the run: it executes the run, and the reader sees what it stores.
    Owned(Box<Writer<DynamoStorage>>, UnboundedReceiver<Arc<Segment>>),
    /// Another process, or none.
    Elsewhere,
}

/// A run's stream for one reader.
pub struct Live {
    engine: Engine,
    key: LogKey,
    window: Option<Window>,
    reader: Reader,
}

impl Live {
    /// Streams the events after `after` until the log is closed, its end was delivered, or the invocation's
    /// deadline nears. A run that this process owns is executed to its end whether or not the reader stays.
    #[must_use]
    pub fn stream(
        engine: Engine,
        key: LogKey,
        after: Seq,
        source: Source,
        deadline: Option<Instant>,
    ) -> mpsc::Receiver<StreamItem> {
        let (out, items) = mpsc::channel(BACKLOG);
        let window = deadline.map(Window::until);
        let reader = Reader::new(engine.clone(), key, after, window, out);
        let live = Self { engine, key, window, reader };
        tokio::spawn(live.run(source).instrument(Span::current()));
        items
    }

    async fn run(mut self, mut source: Source) {
        loop {
            let next = match source {
                Source::Owned(writer, stored) => {
                    self.execute(writer);
                    match self.reader.observe(stored).await {
                        Pause::Orphaned => Some(Source::Elsewhere),
                        Pause::Ended => None,
                    }
                }
                Source::Elsewhere => self.follow().await,
            };
            match next {
                Some(next) => source = next,
                None => return,
            }
        }
    }

    /// Executes the run in a task of its own, because it must not end with its reader.
    fn execute(&self, writer: Box<Writer<DynamoStorage>>) {
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
        tokio::spawn(work.instrument(Span::current()));
    }

    /// Follows a run that another process executes. Claims the run when it has no owner.
    async fn follow(&mut self) -> Option<Source> {
        let mut tail = self.reader.tail();
        while self.reader.follow(&mut tail).await == Pause::Orphaned {
            if let Some(source) = self.claim().await {
                return Some(source);
            }
            tail.postpone_check(self.engine.settings.idle_check);
            if !self.reader.keep_alive().await {
                break;
            }
        }
        None
    }

    async fn claim(&self) -> Option<Source> {
        let (observer, stored) = mpsc::unbounded_channel();
        match self.try_claim(observer).await {
            Ok(writer) => writer.map(|writer| Source::Owned(writer, stored)),
            Err(error) => {
                tracing::warn!(run = %self.key.run, %error, "could not claim the run; retrying");
                None
            }
        }
    }

    async fn try_claim(
        &self,
        observer: UnboundedSender<Arc<Segment>>,
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
