//! Reading a log: whole, by page, and live.

use std::{collections::VecDeque, time::Duration};

use sequent_domain::Timestamp;
use sequent_event::{Event, Seq};
use tokio::time::sleep;

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
    let mut from = aligned_before(after);
    loop {
        let segments = read_retrying(storage, key, from).await?;
        let Some(last) = segments.last() else { return Ok((events, false)) };
        from = last.last();
        events.extend(segments.iter().flat_map(Segment::events).filter(|event| event.seq > after));
        if events.len() > limit {
            events.truncate(limit);
            return Ok((events, true));
        }
    }
}

/// Every segment of a log.
///
/// # Errors
/// When the log cannot be read.
pub async fn read_all<S: Storage>(storage: &S, key: LogKey) -> Result<Vec<Segment>, ReadError> {
    let mut all: Vec<Segment> = Vec::new();
    loop {
        let from = all.last().map_or(Seq::START, Segment::last);
        let segments = read_retrying(storage, key, from).await?;
        if segments.is_empty() {
            return Ok(all);
        }
        all.extend(segments);
    }
}

/// A position at or before `after` from which a read cannot miss the segment that holds `after + 1`.
fn aligned_before(after: Seq) -> Seq {
    Seq(after.0.saturating_sub(MAX_EVENTS as u64 - 1))
}

pub(crate) async fn read_retrying<S: Storage>(
    storage: &S,
    key: LogKey,
    after: Seq,
) -> Result<Vec<Segment>, ReadError> {
    let mut attempt = 0;
    loop {
        match storage.read(key, after).await {
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
    from: Seq,
    ready: VecDeque<Event>,
    owner_seen: Option<Timestamp>,
    closed: bool,
    pause: Duration,
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
            from: aligned_before(after),
            ready: VecDeque::new(),
            owner_seen: None,
            closed: false,
            pause: SHORTEST_POLL,
            fresh: true,
        }
    }

    /// The position of the last event delivered.
    #[must_use]
    pub fn position(&self) -> Seq {
        self.after
    }

    /// The next event, or the news that there is none yet after one poll.
    ///
    /// # Errors
    /// When the log cannot be read; the follower can be polled again.
    pub async fn poll(&mut self) -> Result<Poll, ReadError> {
        if let Some(event) = self.ready.pop_front() {
            self.after = event.seq;
            return Ok(Poll::Event(event));
        }
        if !std::mem::take(&mut self.fresh) {
            if self.closed {
                return Ok(Poll::Closed);
            }
            sleep(self.pause).await;
            self.pause = (self.pause * 3 / 2).min(LONGEST_POLL);
        }
        let segments = read_retrying(&self.storage, self.key, self.from).await?;
        if segments.is_empty() {
            return Ok(if self.closed { Poll::Closed } else { Poll::Idle(self.owner_seen) });
        }
        self.take(&segments);
        self.pause = SHORTEST_POLL;
        // A read need not reach the end of the log, so look again before saying that there is no more.
        self.fresh = true;
        match self.ready.pop_front() {
            Some(event) => {
                self.after = event.seq;
                Ok(Poll::Event(event))
            }
            None => Ok(Poll::Idle(self.owner_seen)),
        }
    }

    fn take(&mut self, segments: &[Segment]) {
        for segment in segments {
            self.from = segment.last();
            self.closed = segment.is_terminal();
            if segment.epoch > 0 {
                self.owner_seen = Some(segment.at);
            }
            self.ready.extend(segment.events().filter(|event| event.seq > self.after));
        }
    }
}
