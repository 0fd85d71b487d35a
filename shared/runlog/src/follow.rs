//! Reading a log: whole, by page, and live.

use std::{collections::VecDeque, future::Future, time::Duration};

use sequent_core::Timestamp;
use sequent_event::{Event, Seq};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{LogKey, MAX_EVENTS, ReadError, Segment, Storage};

const SHORTEST_POLL: Duration = Duration::from_millis(30);
const LONGEST_POLL: Duration = Duration::from_millis(500);
const ATTEMPTS: u32 = 5;

/// At most `limit` events after `after`, and whether the log goes on behind them.
///
/// # Errors
/// When the log cannot be read.
pub async fn page<S: Storage>(
    storage: &S,
    key: LogKey,
    after: Seq,
    limit: usize,
) -> Result<(Vec<Event>, bool), ReadError> {
    let mut events = Vec::new();
    let mut chain = Chain::from(after);
    loop {
        let segments = chain.read(storage, key).await?;
        if segments.is_empty() {
            return Ok((events, false));
        }
        events.extend(segments.iter().flat_map(Segment::events).filter(|event| event.seq > after));
        if events.len() > limit {
            events.truncate(limit);
            return Ok((events, true));
        }
    }
}

/// Every segment that a log had when it was asked for. Bounded by the tail of that moment: chasing the end of a log
/// that is written as fast as it is read would never return.
///
/// # Errors
/// When the log cannot be read.
pub async fn read_all<S: Storage>(storage: &S, key: LogKey) -> Result<Vec<Segment>, ReadError> {
    let Some(tail) = retrying(|| storage.tail(key)).await? else { return Ok(Vec::new()) };
    let mut all: Vec<Segment> = Vec::new();
    let mut chain = Chain::from(Seq::START);
    while all.last().is_none_or(|last| last.last() < tail.last()) {
        let segments = chain.read(storage, key).await?;
        if segments.is_empty() {
            return Err(ReadError::Malformed("a log ends before its tail".into()));
        }
        all.extend(segments);
    }
    Ok(all)
}

/// Consecutive reads, each held to begin where the one before ended: a reader must never step over a gap, whatever
/// the storage answers.
#[derive(Debug)]
struct Chain {
    after: Seq,
    from: Seq,
    met: bool,
}

impl Chain {
    /// Reads whose first segment holds the event after `after`, or begins earlier.
    fn from(after: Seq) -> Self {
        // The segment that holds `after + 1` starts at most MAX_EVENTS - 1 before it.
        Self { after, from: Seq(after.0.saturating_sub(MAX_EVENTS as u64 - 1)), met: false }
    }

    async fn read<S: Storage>(&mut self, storage: &S, key: LogKey) -> Result<Vec<Segment>, ReadError> {
        let segments = retrying(|| storage.read(key, self.from)).await?;
        let (mut from, mut met) = (self.from, self.met);
        for segment in &segments {
            let joins = match met {
                true => segment.first == from.next(),
                false => segment.first.0 <= self.after.0.saturating_add(1),
            };
            if !joins {
                return Err(ReadError::Malformed(format!("no event before {}", segment.first).into()));
            }
            (from, met) = (segment.last(), true);
        }
        (self.from, self.met) = (from, met);
        Ok(segments)
    }
}

/// Repeats a read that failed for a passing reason, a few times.
pub(crate) async fn retrying<T, F>(mut read: impl FnMut() -> F) -> Result<T, ReadError>
where
    F: Future<Output = Result<T, ReadError>>,
{
    let mut attempt = 0;
    loop {
        match read().await {
            Err(ReadError::Unavailable(_)) if attempt < ATTEMPTS => {
                sleep(SHORTEST_POLL.mul_f64(fastrand::f64()) * 2_u32.pow(attempt)).await;
                attempt += 1;
            }
            other => return other,
        }
    }
}

/// What a follower met.
#[derive(Debug, Clone, PartialEq)]
pub enum Poll {
    /// The next event.
    Event(Event),
    /// The log is closed and everything in it was delivered.
    Closed,
    /// Nothing new; the owner's last sign of life in the log, if one was seen.
    Idle(Option<Timestamp>),
}

/// A live reader of one log. It polls the tail: every 30 ms after news, backing off to twice a second.
#[derive(Debug)]
pub struct Follow<S> {
    storage: S,
    key: LogKey,
    after: Seq,
    chain: Chain,
    ready: VecDeque<Event>,
    owner_seen: Option<Timestamp>,
    closed: bool,
    pause: Duration,
    next_read: Instant,
    fresh: bool,
}

impl<S: Storage> Follow<S> {
    /// A follower whose first event is the one after `after`, which need not be the end of a segment.
    #[must_use]
    pub fn new(storage: S, key: LogKey, after: Seq) -> Self {
        Self {
            storage,
            key,
            after,
            chain: Chain::from(after),
            ready: VecDeque::new(),
            owner_seen: None,
            closed: false,
            pause: SHORTEST_POLL,
            next_read: Instant::now(),
            fresh: true,
        }
    }

    /// The position of the last event delivered.
    #[must_use]
    pub fn position(&self) -> Seq {
        self.after
    }

    /// The next event, or the news that there is none yet after one poll. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When the log cannot be read; the follower can be polled again.
    pub async fn poll(&mut self) -> Result<Poll, ReadError> {
        if let Some(event) = self.deliver() {
            return Ok(event);
        }
        if !self.fresh {
            if self.closed {
                return Ok(Poll::Closed);
            }
            sleep_until(self.next_read).await;
        }
        let segments = self.chain.read(&self.storage, self.key).await?;
        // A read need not reach the end of the log, so look again before saying that there is no more.
        self.fresh = !segments.is_empty();
        if self.fresh {
            self.pause = SHORTEST_POLL;
        } else {
            // A time, not a pause: a caller that looks up from its poll now and then must not start it anew.
            self.next_read = Instant::now() + self.pause;
            self.pause = (self.pause * 3 / 2).min(LONGEST_POLL);
            if !self.chain.met {
                self.look_behind().await?;
            }
        }
        for segment in &segments {
            self.take(segment);
            self.ready.extend(segment.events().filter(|event| event.seq > self.after));
        }
        Ok(self.deliver().unwrap_or(match self.closed && !self.fresh {
            true => Poll::Closed,
            false => Poll::Idle(self.owner_seen),
        }))
    }

    fn deliver(&mut self) -> Option<Poll> {
        let event = self.ready.pop_front()?;
        self.after = event.seq;
        Some(Poll::Event(event))
    }

    /// Nothing stands near the cursor: it may lie beyond the end of a log that is closed already.
    async fn look_behind(&mut self) -> Result<(), ReadError> {
        let tail = retrying(|| self.storage.tail(self.key)).await?;
        if let Some(tail) = tail.filter(|tail| tail.last() <= self.after) {
            self.take(&tail);
            (self.chain.from, self.chain.met) = (tail.last(), true);
        }
        Ok(())
    }

    fn take(&mut self, segment: &Segment) {
        self.closed = segment.leaves_closed();
        if segment.epoch > 0 {
            self.owner_seen = Some(segment.at);
        }
    }
}
