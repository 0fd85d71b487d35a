//! A run as a reader sees it: every event once and in order, whoever executes it.

use std::{sync::Arc, time::Duration};

use sequent_conversation::{Begin, Run, Runs, Status, begin_pending};
use sequent_core::Timestamp;
use sequent_event::{Event, Seq};
use sequent_runlog::{Claim, DynamoStorage, Follow, LogKey, Poll, Segment, Writer, page, take_over};
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    time::Instant,
};

use crate::{Ended, Engine, Window, execute};

/// How often a stream without news sends a comment. CloudFront gives an origin 30 s by default.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How long a new run is left to whoever takes it from the queue.
const PICK_UP: Duration = Duration::from_secs(2);
/// How long a stream follows what another process writes. Nobody tells a function that its reader has left, so this
/// bounds what a reader costs who leaves and comes back again and again; one that stays reconnects at its cursor.
const LONGEST_FOLLOW: Duration = Duration::from_secs(60);
/// Segments that may wait for a slow reader.
const BACKLOG: usize = 64;

/// What a reader's stream carries.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly every item is an event")]
pub enum Item {
    /// The next event.
    Event(Event),
    /// Nothing to say, but alive.
    Heartbeat,
    /// The stream ends although the log is open: the reader comes back with its position.
    Cut,
}

/// Where a reader's events come from first.
pub enum Source {
    /// This process has just claimed the run: it executes it, and the reader sees what it stores.
    Owned(Box<Writer<DynamoStorage>>, UnboundedReceiver<Arc<Segment>>),
    /// Some other process does, or none.
    Elsewhere,
}

/// A reader of one run.
pub struct Live {
    engine: Engine,
    key: LogKey,
    after: Seq,
    window: Option<Window>,
    out: mpsc::Sender<Item>,
    heard: Instant,
}

impl Live {
    /// Streams the events after `after` until the log is closed, its end was delivered, or the invocation's deadline
    /// nears. A run that this process owns is executed to its end whether or not the reader stays.
    #[must_use]
    pub fn stream(
        engine: Engine,
        key: LogKey,
        after: Seq,
        source: Source,
        deadline: Option<Instant>,
    ) -> mpsc::Receiver<Item> {
        let (out, items) = mpsc::channel(BACKLOG);
        let window = deadline.map(Window::until);
        let live = Self { engine, key, after, window, out, heard: Instant::now() };
        let span = tracing::Span::current();
        tokio::spawn(tracing::Instrument::instrument(live.run(source), span));
        items
    }

    async fn run(mut self, source: Source) {
        let mut source = source;
        loop {
            let next = match source {
                Source::Owned(writer, stored) => {
                    self.execute(writer);
                    self.observe(stored).await
                }
                Source::Elsewhere => self.follow().await,
            };
            match next {
                Some(next) => source = next,
                None => return,
            }
        }
    }

    /// Executes the run in a task of its own: it must not end with its reader.
    fn execute(&self, writer: Box<Writer<DynamoStorage>>) {
        let (engine, key, window) = (self.engine.clone(), self.key, self.window);
        let work = async move {
            match Box::pin(execute(&engine, key, *writer, window)).await {
                Ok(Ended::Closed | Ended::Waiting) => {}
                Ok(Ended::HandedOver) => tracing::info!(run = %key.run, "handed over before the deadline"),
                Err(error) => tracing::error!(run = %key.run, %error, "the execution was given up"),
            }
        };
        tokio::spawn(tracing::Instrument::instrument(work, tracing::Span::current()));
    }

    /// Passes on what this process stores, until its writer ends.
    async fn observe(&mut self, mut stored: UnboundedReceiver<Arc<Segment>>) -> Option<Source> {
        let mut reader = true;
        loop {
            let segment = tokio::select! {
                biased;
                segment = stored.recv() => segment,
                () = tokio::time::sleep_until(self.heard + HEARTBEAT), if reader => {
                    reader = self.send(Item::Heartbeat).await;
                    continue;
                }
            };
            // The writer ended: with the log closed, or fenced, or handed over. The log itself tells.
            let Some(segment) = segment else { return reader.then_some(Source::Elsewhere) };
            if segment.first > self.after.next() && reader && !self.catch_up(segment.first).await {
                reader = false;
            }
            for event in segment.events().filter(|event| event.seq > self.after).collect::<Vec<_>>() {
                let (seq, terminal) = (event.seq, event.leaves_closed());
                // A reader that left must not keep the writer's segments piling up: drain them unseen.
                reader = reader && self.send(Item::Event(event)).await;
                self.after = seq;
                if terminal {
                    return None;
                }
            }
        }
    }

    /// Passes on what others stored before this process became the owner. Whether the reader is still there.
    async fn catch_up(&mut self, until: Seq) -> bool {
        while self.after.next() < until {
            let missing = usize::try_from(until.0 - self.after.0 - 1).unwrap_or(usize::MAX);
            match page(&self.engine.storage, self.key, self.after, missing).await {
                Ok((events, _)) if events.is_empty() => return false,
                Ok((events, _)) => {
                    for event in events {
                        self.after = event.seq;
                        if !self.send(Item::Event(event)).await {
                            return false;
                        }
                    }
                }
                Err(error) => {
                    tracing::error!(run = %self.key.run, %error, "the log cannot be read");
                    return false;
                }
            }
        }
        true
    }

    /// Follows a run that another process executes; takes it over when nobody does any more.
    async fn follow(&mut self) -> Option<Source> {
        let mut follow = Follow::new(self.engine.storage.clone(), self.key, self.after);
        let mut may_claim = Instant::now();
        let until = may_claim + LONGEST_FOLLOW;
        loop {
            if Instant::now() >= until {
                self.send(Item::Cut).await;
                return None;
            }
            match follow.poll().await {
                Ok(Poll::Event(event)) => {
                    self.after = event.seq;
                    if !self.send(Item::Event(event)).await {
                        return None;
                    }
                }
                Ok(Poll::Closed) => return None,
                Ok(Poll::Idle(seen)) => {
                    if self.is_over() {
                        self.send(Item::Cut).await;
                        return None;
                    }
                    if Instant::now() >= may_claim && self.may_be_orphaned(seen) {
                        if let Some(source) = self.claim().await {
                            return Some(source);
                        }
                        may_claim = Instant::now() + self.engine.settings.idle_check;
                    }
                    if self.heard.elapsed() >= HEARTBEAT && !self.send(Item::Heartbeat).await {
                        return None;
                    }
                    if self.out.is_closed() {
                        return None;
                    }
                }
                Err(error) => {
                    tracing::error!(run = %self.key.run, %error, "the log cannot be followed");
                    self.send(Item::Cut).await;
                    return None;
                }
            }
        }
    }

    /// Whether the invocation has no time left to follow, let alone to execute.
    fn is_over(&self) -> bool {
        self.window.is_some_and(|window| Instant::now() >= window.last_words())
    }

    fn may_be_orphaned(&self, seen: Option<Timestamp>) -> bool {
        let settings = self.engine.settings;
        let enough_time = self.window.is_none_or(|window| window.is_open());
        // A released lease shows in the row alone; asking for it costs one read per check.
        enough_time && seen.is_none_or(|seen| Timestamp::now().since(seen) >= settings.idle_check * 2)
    }

    async fn claim(&self) -> Option<Source> {
        let (observer, stored) = mpsc::unbounded_channel();
        match self.try_claim(observer).await {
            Ok(writer) => writer.map(|writer| Source::Owned(writer, stored)),
            Err(error) => {
                tracing::warn!(run = %self.key.run, %error, "take-over failed");
                None
            }
        }
    }

    async fn try_claim(
        &self,
        observer: UnboundedSender<Arc<Segment>>,
    ) -> Result<Option<Box<Writer<DynamoStorage>>>, sequent_conversation::Error> {
        let Engine { storage, settings, .. } = &self.engine;
        let run: Run = Runs::new(self.engine.store(), self.key.tenant).get(self.key.run).await?;
        if run.status == Status::Pending {
            if Timestamp::now().since(run.created_at) < PICK_UP {
                return Ok(None);
            }
            return match begin_pending(storage, *settings, self.key, &run, Some(observer)).await? {
                Begin::Owned(writer) => Ok(Some(writer)),
                Begin::Wait | Begin::Closed => Ok(None),
            };
        }
        match take_over(storage, self.key, *settings, false, Some(observer)).await? {
            Claim::Won(writer) => Ok(Some(writer)),
            Claim::Held | Claim::Closed | Claim::Missing => Ok(None),
        }
    }

    async fn send(&mut self, item: Item) -> bool {
        self.heard = Instant::now();
        self.out.send(item).await.is_ok()
    }
}
