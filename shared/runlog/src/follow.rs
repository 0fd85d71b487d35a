//! Reading a log: as a whole, by page, and live.

use std::{collections::VecDeque, future::Future, time::Duration};

use sequent_core::{Timestamp, pace::scaled};
use sequent_event::{Event, Seq};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{Consistency, LogKey, MAX_EVENTS, ReadError, Segment, SegmentPage, Storage};

/// The shortest pause between two polls.
const SHORTEST_POLL: Duration = Duration::from_millis(30);
/// The longest pause between two polls. It bounds the delay after a long silence.
const LONGEST_POLL: Duration = Duration::from_secs(5);
/// The longest pause after a new segment.
const LONGEST_FIRST_POLL: Duration = Duration::from_millis(250);
/// The time between two writes of an owner until it is known.
const USUAL_GAP: Duration = Duration::from_millis(130);
/// The part of a silence by which the reader may learn late of its end: a third. A silence that has lasted long is likely
/// to last long, so the cost of a reader falls with its length.
const LATE: u32 = 3;
const ATTEMPTS: u32 = 5;

/// Reads at most `limit` events after `after`. The second value is `true` if the log has more events after
/// them.
///
/// # Errors
/// If the log cannot be read.
pub async fn page<S: Storage>(
    storage: &S,
    key: LogKey,
    after: Seq,
    limit: usize,
) -> Result<(Vec<Event>, bool), ReadError> {
    let mut events = Vec::new();
    let mut chain = Chain::from(after);
    loop {
        let page = chain.read(storage, key, Consistency::Strong).await?;
        events.extend(page.segments.iter().flat_map(Segment::events).filter(|event| event.seq > after));
        if events.len() > limit {
            events.truncate(limit);
            return Ok((events, true));
        }
        if !page.has_more {
            return Ok((events, false));
        }
    }
}

/// Reads all segments that a log has at the time of the call. The read ends at the tail of that moment:
/// following a log that is written as fast as it is read would never end.
///
/// # Errors
/// If the log cannot be read.
pub async fn read_all<S: Storage>(storage: &S, key: LogKey) -> Result<Vec<Segment>, ReadError> {
    match retrying(|| storage.tail(key)).await? {
        Some(tail) => read_until(storage, key, tail.last()).await,
        None => Ok(Vec::new()),
    }
}

/// Reads the segments from the first to the one that ends at `last`, the end of the log at an earlier time. It
/// may return some that were stored since.
pub(crate) async fn read_until<S: Storage>(
    storage: &S,
    key: LogKey,
    last: Seq,
) -> Result<Vec<Segment>, ReadError> {
    let mut all: Vec<Segment> = Vec::new();
    let mut chain = Chain::from(Seq::START);
    while all.last().is_none_or(|read| read.last() < last) {
        let page = chain.read(storage, key, Consistency::Strong).await?;
        if page.segments.is_empty() {
            return Err(ReadError::Malformed("the log ends before its tail".into()));
        }
        all.extend(page.segments);
    }
    Ok(all)
}

/// Consecutive reads. Each must start where the one before ended: a reader must never skip a gap, even if the
/// storage returns one.
#[derive(Debug)]
struct Chain {
    after: Seq,
    from: Seq,
    /// A segment has been read, and `from` is its end.
    joined: bool,
}

impl Chain {
    /// Starts with the segment that holds the event after `after`, or with an earlier one.
    fn from(after: Seq) -> Self {
        // The segment that holds `after + 1` starts at most MAX_EVENTS - 1 before it.
        Self { after, from: Seq(after.0.saturating_sub(MAX_EVENTS as u64 - 1)), joined: false }
    }

    async fn read<S: Storage>(
        &mut self,
        storage: &S,
        key: LogKey,
        consistency: Consistency,
    ) -> Result<SegmentPage, ReadError> {
        let page = retrying(|| storage.read(key, self.from, consistency)).await?;
        match self.join(&page.segments) {
            Ok(()) => Ok(page),
            Err(gap) if consistency == Consistency::Strong => Err(gap),
            // The read may have missed what another read finds.
            Err(_) => {
                let page = retrying(|| storage.read(key, self.from, Consistency::Strong)).await?;
                self.join(&page.segments).map(|()| page)
            }
        }
    }

    /// Moves to the end of `segments`, which must start where the chain ends.
    fn join(&mut self, segments: &[Segment]) -> Result<(), ReadError> {
        let mut from = self.from;
        let mut joined = self.joined;
        for segment in segments {
            let joins = match joined {
                true => segment.first == from.next(),
                false => segment.first.0 <= self.after.0.saturating_add(1),
            };
            if !joins {
                let gap = format!("the events before {} are missing", segment.first);
                return Err(ReadError::Malformed(gap.into()));
            }
            from = segment.last();
            joined = true;
        }
        self.from = from;
        self.joined = joined;
        Ok(())
    }
}

/// Retries a read a few times if the storage is unavailable.
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

/// The result of one poll.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly every result is an event")]
pub enum Poll {
    /// The next event of the log.
    Event(Event),
    /// The log is closed, and all its events were delivered.
    Closed,
    /// No new event.
    Idle,
}

/// A live reader of one log, which polls the tail. After a new segment, the first poll comes after three quarters of the
/// time between the owner's last two, when the next one is nearly due. From then on, the pause is a third of the silence,
/// up to five seconds.
///
/// Only strongly consistent reads tell that the reader has caught up, and that a log has ended or has a gap. Between them it
/// polls with eventually consistent reads, at half the cost: they may find an event late, but a segment that they find is
/// stored and never changes.
#[derive(Debug)]
pub struct Follow<S> {
    storage: S,
    key: LogKey,
    after: Seq,
    chain: Chain,
    ready: VecDeque<Event>,
    last_write: Option<Timestamp>,
    /// The time between the owner's last two segments.
    gap: Duration,
    closed: bool,
    /// A strongly consistent read has found the end of the log.
    caught_up: bool,
    silent_since: Instant,
    next_read: Instant,
}

impl<S: Storage> Follow<S> {
    /// Creates a follower. Its first event is the one after `after`, which need not be the end of a segment.
    #[must_use]
    pub fn new(storage: S, key: LogKey, after: Seq) -> Self {
        Self {
            storage,
            key,
            after,
            chain: Chain::from(after),
            ready: VecDeque::new(),
            last_write: None,
            gap: USUAL_GAP,
            closed: false,
            caught_up: false,
            silent_since: Instant::now(),
            next_read: Instant::now(),
        }
    }

    /// The position of the last event delivered.
    #[must_use]
    pub fn position(&self) -> Seq {
        self.after
    }

    /// The time of the owner's last segment, if one was read.
    #[must_use]
    pub fn last_write(&self) -> Option<Timestamp> {
        self.last_write
    }

    /// Returns the next event, or reports after one read that there is none yet. Dropping the future loses
    /// nothing.
    ///
    /// # Errors
    /// If the log cannot be read. The follower can be polled again.
    pub async fn poll(&mut self) -> Result<Poll, ReadError> {
        if let Some(event) = self.deliver() {
            return Ok(event);
        }
        if self.caught_up {
            if self.closed {
                return Ok(Poll::Closed);
            }
            sleep_until(self.next_read).await;
        }
        let consistency = if self.caught_up { Consistency::Eventual } else { Consistency::Strong };
        let page = self.chain.read(&self.storage, self.key, consistency).await?;
        for segment in &page.segments {
            self.note(segment);
            self.ready.extend(segment.events().filter(|event| event.seq > self.after));
        }
        // An eventually consistent read that finds an end may have missed what follows it.
        let shows_the_end = consistency == Consistency::Strong || !self.closed;
        self.caught_up = !page.has_more && shows_the_end;
        self.schedule(page.segments.is_empty());
        if !self.chain.joined {
            self.check_tail().await?;
        }
        Ok(self.deliver().unwrap_or(match self.closed && self.caught_up {
            true => Poll::Closed,
            false => Poll::Idle,
        }))
    }

    fn deliver(&mut self) -> Option<Poll> {
        let event = self.ready.pop_front()?;
        self.after = event.seq;
        Some(Poll::Event(event))
    }

    /// Sets the time of the next read. This is a point in time and not a pause: a caller that drops and repeats `poll` must
    /// not restart the pause.
    fn schedule(&mut self, is_silent: bool) {
        let shortest = scaled(SHORTEST_POLL);
        let now = Instant::now();
        let pause = if is_silent {
            (self.silent_since.elapsed() / LATE).clamp(shortest, scaled(LONGEST_POLL))
        } else {
            self.silent_since = now;
            (self.gap * 3 / 4).clamp(shortest, scaled(LONGEST_FIRST_POLL))
        };
        self.next_read = now + pause;
    }

    /// Reads the tail. There is no event near the cursor, which may lie beyond the end of a closed log.
    async fn check_tail(&mut self) -> Result<(), ReadError> {
        let tail = retrying(|| self.storage.tail(self.key)).await?;
        if let Some(tail) = tail.filter(|tail| tail.last() <= self.after) {
            self.note(&tail);
            self.chain.from = tail.last();
            self.chain.joined = true;
        }
        Ok(())
    }

    fn note(&mut self, segment: &Segment) {
        self.closed = segment.leaves_closed();
        if segment.epoch > 0 {
            self.gap = self.last_write.map_or(USUAL_GAP, |before| segment.at.since(before));
            self.last_write = Some(segment.at);
        }
    }
}
