//! Passes a run's events to one reader: each event once and in order, whichever process executes the run.

use std::{sync::Arc, time::Duration};

use sequent_core::{Timestamp, pace::scaled};
use sequent_event::{Event, Seq};
use sequent_runlog::{DynamoStorage, Follow, LogKey, Poll, ReadError, Segment, Settings, page};
use tokio::{
    sync::mpsc::{self, Receiver},
    time::{Instant, timeout_at},
};

use crate::{Engine, Window};

/// Interval at which a stream without new events sends a comment. CloudFront gives an origin 30 s by default.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Time that a stream with [`OnCut::Reconnect`] follows what another process writes. A function does not learn
/// that its reader has left, so this limits the cost of a reader that leaves and reconnects again and again.
const LONGEST_FOLLOW: Duration = Duration::from_secs(60);
/// Events that are read at once to catch up. They are in memory until a slow reader has taken them.
const PAGE: usize = 512;

/// The behaviour of a client whose stream ends although its run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnCut {
    /// It reconnects at its cursor, so its stream may be cut soon.
    Reconnect,
    /// It shows what it has as the answer, so its stream lasts as long as the invocation.
    GiveUp,
}

/// An item of a reader's stream.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly every item is an event")]
pub enum StreamItem {
    /// The next event of the run.
    Event(Event),
    /// There is no new event, but the stream is alive.
    Heartbeat,
    /// The stream ends although the log is open. The reader reconnects with its cursor.
    Cut,
}

/// The reason why a reader stopped following or observing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pause {
    /// The stream has ended, or its reader has left.
    Ended,
    /// The run may have no owner.
    Orphaned,
}

/// The reader of one run.
pub(crate) struct Reader {
    engine: Engine,
    key: LogKey,
    /// The last event that was sent.
    after: Seq,
    on_cut: OnCut,
    window: Option<Window>,
    out: mpsc::Sender<StreamItem>,
    last_sent: Instant,
}

/// The position of a reader in a log that another process writes.
pub(crate) struct Tail {
    follow: Follow<DynamoStorage>,
    /// The end of the stream. `None` if it ends with the log.
    until: Option<Instant>,
    checks: OwnerChecks,
}

/// The times at which a reader reads the row of a silent run, to learn whether it has an owner: when the last known lease
/// can have expired. Without a known lease the times grow apart, so that a run that stays silent costs next to nothing.
struct OwnerChecks {
    next: Instant,
    pause: Duration,
    shortest: Duration,
    longest: Duration,
    /// Time between the end of a lease and the check. It makes up for the difference of two clocks.
    grace: Duration,
}

impl OwnerChecks {
    fn new(settings: Settings) -> Self {
        let shortest = settings.idle_check;
        let longest = (settings.lease / 2).max(shortest);
        Self { next: Instant::now(), pause: shortest, shortest, longest, grace: settings.lease / 5 }
    }

    fn are_due(&self) -> bool {
        Instant::now() >= self.next
    }

    /// Postpones the next check. An owner holds the lease until `lease`, if there is one.
    fn postpone(&mut self, lease: Option<Timestamp>) {
        let now = Instant::now();
        if let Some(until) = lease {
            self.next = now + until.since(Timestamp::now()) + self.grace;
        } else {
            self.next = now + self.pause;
            self.pause = (self.pause * 2).min(self.longest);
        }
    }

    /// Begins again with the shortest pause: the owner has written.
    fn restart(&mut self) {
        self.pause = self.shortest;
    }
}

impl Tail {
    /// Postpones the next check for an owner. `lease` is the time at which the owner's lease expires, if it has one.
    pub(crate) fn postpone_check(&mut self, lease: Option<Timestamp>) {
        self.checks.postpone(lease);
    }

    /// The time of the owner's last write, if the reader has seen one.
    pub(crate) fn last_write(&self) -> Option<Timestamp> {
        self.follow.last_write()
    }

    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// Polls the log until the stream ends. Returns `None` then. The pause before a poll ends early for the next check.
    async fn poll(&mut self) -> Option<Result<Poll, ReadError>> {
        if self.is_over() {
            return None;
        }
        let check = Some(self.checks.next).filter(|_| !self.checks.are_due());
        let Some(end) = self.until.into_iter().chain(check).min() else {
            return Some(self.follow.poll().await);
        };
        match timeout_at(end, self.follow.poll()).await {
            Ok(polled) => Some(polled),
            Err(_) if self.is_over() => None,
            Err(_) => Some(Ok(Poll::Idle)),
        }
    }
}

impl Reader {
    pub(crate) fn new(
        engine: Engine,
        key: LogKey,
        after: Seq,
        on_cut: OnCut,
        window: Option<Window>,
        out: mpsc::Sender<StreamItem>,
    ) -> Self {
        Self { engine, key, after, on_cut, window, out, last_sent: Instant::now() }
    }

    /// Passes on the segments that this process stores, until its writer ends. The writer does not wait for a slow
    /// reader: segments that `stored` had no room for are read from the log.
    pub(crate) async fn observe(&mut self, mut stored: Receiver<Arc<Segment>>) -> Pause {
        let mut is_connected = true;
        loop {
            let segment = tokio::select! {
                biased;
                segment = stored.recv() => segment,
                () = tokio::time::sleep_until(self.last_sent + scaled(HEARTBEAT)), if is_connected => {
                    is_connected = self.send(StreamItem::Heartbeat).await;
                    continue;
                }
            };
            let Some(segment) = segment else {
                // The writer has ended: it closed the log, lost the run, or handed it over. The log shows
                // which. It may also have events that the reader was too slow for.
                return if is_connected { Pause::Orphaned } else { Pause::Ended };
            };
            if segment.first > self.after.next() && is_connected {
                is_connected = self.catch_up(segment.first).await;
            }
            for event in segment.events().filter(|event| event.seq > self.after).collect::<Vec<_>>() {
                let seq = event.seq;
                let closes = event.leaves_closed();
                // Segments are received even after the reader left, so that they do not pile up.
                is_connected = is_connected && self.send(StreamItem::Event(event)).await;
                self.after = seq;
                if closes {
                    return Pause::Ended;
                }
            }
        }
    }

    /// Passes on what others stored before this process became the owner. Returns `false` if the reader has
    /// left, or the log cannot be read.
    async fn catch_up(&mut self, until: Seq) -> bool {
        while self.after.next() < until {
            let missing = usize::try_from(until.0 - self.after.0 - 1).unwrap_or(usize::MAX);
            let events = match page(&self.engine.storage, self.key, self.after, missing.min(PAGE)).await {
                Ok((events, _)) => events,
                Err(error) => {
                    tracing::error!(run = %self.key.run, %error, "could not read the log; ending the reader's stream");
                    return false;
                }
            };
            if events.is_empty() {
                return false;
            }
            for event in events {
                self.after = event.seq;
                if !self.send(StreamItem::Event(event)).await {
                    return false;
                }
            }
        }
        true
    }

    /// The position from which [`Reader::follow`] goes on.
    pub(crate) fn tail(&self) -> Tail {
        let follow = Follow::new(self.engine.storage.clone(), self.key, self.after);
        let cut = (self.on_cut == OnCut::Reconnect).then(|| Instant::now() + scaled(LONGEST_FOLLOW));
        let end = self.window.map(|window| window.stream_end());
        let until = cut.into_iter().chain(end).min();
        Tail { follow, until, checks: OwnerChecks::new(self.engine.settings) }
    }

    /// Follows a run that another process executes. Can be called again after [`Pause::Orphaned`].
    pub(crate) async fn follow(&mut self, tail: &mut Tail) -> Pause {
        while let Some(polled) = tail.poll().await {
            match polled {
                Ok(Poll::Event(event)) => {
                    tail.checks.restart();
                    self.after = event.seq;
                    if !self.send(StreamItem::Event(event)).await {
                        return Pause::Ended;
                    }
                }
                Ok(Poll::Closed) => return Pause::Ended,
                Ok(Poll::Idle) => {
                    if tail.checks.are_due() && self.may_be_orphaned(tail.last_write()) {
                        return Pause::Orphaned;
                    }
                    if !self.keep_alive().await {
                        return Pause::Ended;
                    }
                }
                Err(error) => {
                    tracing::error!(run = %self.key.run, %error, "could not follow the log; cutting the reader's stream");
                    break;
                }
            }
        }
        self.send(StreamItem::Cut).await;
        Pause::Ended
    }

    /// Returns `true` if the reader has got an event after `seq`.
    pub(crate) fn has_passed(&self, seq: Seq) -> bool {
        self.after > seq
    }

    /// Sends a heartbeat if it is time. Returns `false` if the reader has left.
    pub(crate) async fn keep_alive(&mut self) -> bool {
        let is_due = self.last_sent.elapsed() >= scaled(HEARTBEAT);
        (!is_due || self.send(StreamItem::Heartbeat).await) && !self.out.is_closed()
    }

    /// Returns `true` if the run has been silent for long enough to ask its row for a lease, and if there is
    /// time to execute it. A released lease shows in the row alone, and asking for it costs one read.
    fn may_be_orphaned(&self, last_write: Option<Timestamp>) -> bool {
        let silence = self.engine.settings.idle_check * 2;
        let has_time = self.window.is_none_or(|window| window.is_open());
        has_time && last_write.is_none_or(|at| Timestamp::now().since(at) >= silence)
    }

    async fn send(&mut self, item: StreamItem) -> bool {
        self.last_sent = Instant::now();
        self.out.send(item).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the number of checks in 100 seconds, and the checks themselves find `lease`.
    async fn checks_in_100_seconds(lease: impl Fn() -> Option<Timestamp>) -> u32 {
        let mut checks = OwnerChecks::new(Settings::default());
        let began = Instant::now();
        let mut count = 0;
        while began.elapsed() < Duration::from_secs(100) {
            tokio::time::sleep_until(checks.next).await;
            checks.postpone(lease());
            count += 1;
        }
        count
    }

    #[tokio::test(start_paused = true)]
    async fn an_owner_is_looked_for_when_its_lease_can_have_expired() {
        // A silent owner renews its lease every 3 seconds, so it lasts for 8.5 more on average.
        let renewed = || Some(Timestamp::now() + Duration::from_millis(8_500));
        assert!(checks_in_100_seconds(renewed).await <= 11);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_lease_the_checks_grow_apart() {
        assert!(checks_in_100_seconds(|| None).await <= 25);
    }
}
