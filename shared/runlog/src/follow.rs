//! Reading a log: as a whole, by page, and live.

use std::{collections::VecDeque, future::Future, time::Duration};

use sequent_core::{Timestamp, pace::scaled};
use sequent_event::{Event, Seq};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{LogKey, MAX_EVENTS, ReadError, Segment, Storage};

const SHORTEST_POLL: Duration = Duration::from_millis(30);
/// The longest pause between two polls in the first seconds of a silence.
const LONG_POLL: Duration = Duration::from_millis(500);
/// The part of a silence by which the reader may learn late of its end: an eighth.
const LATE: u32 = 8;
/// The longest pause between two polls. It bounds the delay after a long silence.
const LONGEST_POLL: Duration = Duration::from_secs(2);
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
        let segments = chain.read(storage, key).await?;
        if segments.is_empty() {
            return Err(ReadError::Malformed("the log ends before its tail".into()));
        }
        all.extend(segments);
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

    async fn read<S: Storage>(&mut self, storage: &S, key: LogKey) -> Result<Vec<Segment>, ReadError> {
        let segments = retrying(|| storage.read(key, self.from)).await?;
        let mut from = self.from;
        let mut joined = self.joined;
        for segment in &segments {
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
        Ok(segments)
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
pub enum Poll {
    /// The next event of the log.
    Event(Event),
    /// The log is closed, and all its events were delivered.
    Closed,
    /// No new event. Contains the time of the owner's last segment, if one was read.
    Idle(Option<Timestamp>),
}

/// A live reader of one log. It polls the tail: every 30 ms after a new event, then with backoff up to half a
/// second. After four seconds without an event, the pause is an eighth of the silence, up to two seconds.
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
    silent_since: Instant,
    next_read: Instant,
    has_more: bool,
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
            owner_seen: None,
            closed: false,
            pause: scaled(SHORTEST_POLL),
            silent_since: Instant::now(),
            next_read: Instant::now(),
            has_more: true,
        }
    }

    /// The position of the last event delivered.
    #[must_use]
    pub fn position(&self) -> Seq {
        self.after
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
        if !self.has_more {
            if self.closed {
                return Ok(Poll::Closed);
            }
            sleep_until(self.next_read).await;
        }
        let segments = self.chain.read(&self.storage, self.key).await?;
        // A read need not reach the end of the log, so read again before reporting that there are no more
        // events.
        self.has_more = !segments.is_empty();
        if self.has_more {
            self.pause = scaled(SHORTEST_POLL);
            self.silent_since = Instant::now();
        } else {
            // This is a point in time and not a pause: a caller that drops and repeats `poll` must not
            // restart the pause.
            self.next_read = Instant::now() + self.pause;
            let longest = scaled(LONG_POLL).max(self.silent_since.elapsed() / LATE);
            self.pause = (self.pause * 3 / 2).min(longest).min(scaled(LONGEST_POLL));
            if !self.chain.joined {
                self.check_tail().await?;
            }
        }
        for segment in &segments {
            self.note(segment);
            self.ready.extend(segment.events().filter(|event| event.seq > self.after));
        }
        Ok(self.deliver().unwrap_or(match self.closed && !self.has_more {
            true => Poll::Closed,
            false => Poll::Idle(self.owner_seen),
        }))
    }

    fn deliver(&mut self) -> Option<Poll> {
        let event = self.ready.pop_front()?;
        self.after = event.seq;
        Some(Poll::Event(event))
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
            self.owner_seen = Some(segment.at);
        }
    }
}
