//! A table in memory: linearizable, and every operation takes one instant. The network between it and a
//! process is in [`process`](crate::process).

use std::{
    collections::BTreeMap,
    fmt::Write,
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use sequent_core::{MessageId, ProjectId, RunId, TenantId, Timestamp};
use sequent_event::{Body, CancelReason, Event, Role, RunOutcome, Seq, State};
use sequent_runlog::{AppendError, LogKey, Segment, Settings, Writer, create_claimed};
use sequent_tables::{Cancelled, Reason};
use tokio::{sync::mpsc, time::Instant};

use crate::{process::Process, simulation::mutation::Mutation};

/// The key of the only log of a test.
pub(crate) fn key() -> LogKey {
    LogKey { tenant: TenantId::from_bits(1), run: RunId::from_bits(2) }
}

pub(crate) const MESSAGE: MessageId = MessageId::from_bits(9);

pub(crate) fn question() -> Body {
    user_message(MessageId::from_bits(7))
}

pub(crate) fn user_message(message_id: MessageId) -> Body {
    Body::UserMessage { message_id, content: "Why?".into(), by: None, model: None }
}

pub(crate) fn started() -> Body {
    Body::RunStarted { thread_id: ProjectId::from_bits(3), run_id: key().run, parent_run_id: None }
}

pub(crate) fn message_start() -> Body {
    Body::TextMessageStart { message_id: MESSAGE, role: Role::Assistant }
}

pub(crate) fn delta(text: &str) -> Body {
    Body::TextMessageContent { message_id: MESSAGE, delta: text.to_owned() }
}

pub(crate) fn message_end() -> Body {
    Body::TextMessageEnd { message_id: MESSAGE }
}

pub(crate) fn cancel() -> Body {
    Body::CancelRequested { by: None, reason: CancelReason::Requested }
}

pub(crate) fn finished(outcome: RunOutcome) -> Body {
    Body::RunFinished { thread_id: ProjectId::from_bits(3), run_id: key().run, outcome }
}

/// A row that repeats the end of the log, as the run's row does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) last: Seq,
    pub(crate) text: String,
}

impl Closed {
    pub(crate) fn of(state: &State) -> Self {
        Self { last: state.last, text: state.answer_text() }
    }
}

/// The transaction rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    pub(crate) lease: Option<(u32, Timestamp)>,
    pub(crate) close: Option<Closed>,
    /// The condition of a row fails.
    pub(crate) refused: bool,
}

/// The rates of faults, and the time at which they end.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    pub(crate) throttle: f64,
    /// The write succeeds, but the response is lost.
    pub(crate) lost_response: f64,
    /// The write is lost, and so is the response.
    pub(crate) dropped: f64,
    /// The response is lost, and the write succeeds at a later time.
    pub(crate) late: f64,
    pub(crate) read: f64,
    /// The process pauses on its way to or from the table.
    pub(crate) pause: f64,
    pub(crate) until: Instant,
    /// Time of one way in milliseconds.
    pub(crate) latency: RangeInclusive<u64>,
    /// Eventually consistent reads show the log as it was this long ago.
    pub(crate) lag: Duration,
    /// An eventually consistent read misses a segment that later ones follow.
    pub(crate) gap: f64,
}

impl Faults {
    /// No faults. An operation takes `millis` to reach the table and no time to return.
    pub(crate) fn none(millis: u64) -> Self {
        let latency = millis..=millis;
        let until = Instant::now();
        Self {
            throttle: 0.0,
            lost_response: 0.0,
            dropped: 0.0,
            late: 0.0,
            read: 0.0,
            pause: 0.0,
            until,
            latency,
            lag: Duration::ZERO,
            gap: 0.0,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Inner {
    pub(crate) segments: BTreeMap<u64, Segment>,
    /// The time at which the segment at each position was stored.
    stored: BTreeMap<u64, Instant>,
    pub(crate) lease: Option<Timestamp>,
    pub(crate) lease_epoch: u32,
    pub(crate) closed: Option<Closed>,
    pub(crate) trace: String,
    /// Violations found during the run: the guarantee and the details.
    pub(crate) violations: Vec<(&'static str, String)>,
    pub(crate) writes: u64,
    pub(crate) reads: u64,
    /// Cost of the reads in halves of a read unit: an eventually consistent read costs one of them.
    pub(crate) half_units: u64,
    /// Segments that reads of the log have returned.
    pub(crate) segments_read: usize,
    pub(crate) faults: u64,
    processes: u32,
}

impl Inner {
    /// Returns the time for which the segment at `first` has been stored.
    pub(crate) fn age(&self, first: Seq) -> Option<Duration> {
        self.stored.get(&first.0).map(Instant::elapsed)
    }

    /// Returns the segments after `after` that were stored at least `lag` ago.
    pub(crate) fn older_than(&self, lag: Duration, after: Seq) -> Vec<Segment> {
        let is_old = |first: &u64| self.stored.get(first).is_none_or(|at| at.elapsed() >= lag);
        let later = self.segments.range(after.0.saturating_add(1)..);
        later.filter(|(first, _)| is_old(first)).map(|(_, segment)| segment.clone()).collect()
    }
}

/// A shared handle of the table.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    inner: Arc<Mutex<Inner>>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) began: Instant,
    pub(crate) mutation: Mutation,
}

impl Table {
    pub(crate) fn new(faults: Faults, mutation: Mutation) -> Self {
        Self { inner: Arc::default(), faults: Arc::new(faults), began: Instant::now(), mutation }
    }

    /// Creates a table without faults. Its operations take `millis`.
    pub(crate) fn calm(millis: u64) -> Self {
        Self::new(Faults::none(millis), Mutation::None)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub(crate) fn faulty(&self) -> bool {
        Instant::now() < self.faults.until
    }

    pub(crate) fn trace(&self, line: std::fmt::Arguments<'_>) {
        let at = self.began.elapsed().as_millis();
        writeln!(self.lock().trace, "{at:>6} {line}").unwrap();
    }

    pub(crate) fn violation(&self, rule: &'static str, how: String) {
        self.trace(format_args!("VIOLATION {rule}: {how}"));
        self.lock().violations.push((rule, how));
    }

    /// Starts a process. Its clock is ahead by `skew` milliseconds.
    pub(crate) fn process(&self, skew: i64) -> Process {
        let id = {
            let mut inner = self.lock();
            inner.processes += 1;
            inner.processes
        };
        Process::new(self.clone(), id, skew)
    }

    /// Creates a log that is claimed and started.
    pub(crate) async fn opened(
        &self,
        settings: Settings,
    ) -> (Writer<Process>, Process, mpsc::Receiver<Arc<Segment>>) {
        let (observer, observed) = mpsc::channel(10_000);
        let process = self.process(0);
        let before = vec![question()];
        let after = vec![started()];
        let writer =
            create_claimed(&process, key(), settings, before, after, Rows::default(), Some(observer))
                .await
                .unwrap();
        (writer, process, observed)
    }

    pub(crate) fn state(&self) -> State {
        State::of(&self.events()).unwrap()
    }

    pub(crate) fn segments(&self) -> Vec<Segment> {
        self.lock().segments.values().cloned().collect()
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.lock().segments.values().flat_map(Segment::events).collect()
    }

    /// Checks an event at the time at which a reader gets it: it must be in the log, and if it ends the run,
    /// the row must be closed, too.
    pub(crate) fn show(&self, to: &str, event: &Event) {
        let inner = self.lock();
        let entry =
            inner.segments.range(..=event.seq.0).next_back().and_then(|(first, segment)| {
                segment.entries.get(usize::try_from(event.seq.0 - first).unwrap())
            });
        let is_stored = entry == Some(&event.entry);
        let row_is_open = event.is_terminal() && inner.closed.is_none();
        drop(inner);
        let what = || format!("{to} got {} {}", event.seq, event.entry.type_name());
        if !is_stored {
            self.violation("shown is stored", what());
        }
        if row_is_open {
            self.violation("one transaction", what());
        }
    }

    pub(crate) fn put(&self, segments: &[Segment], rows: &Rows) -> Result<(), AppendError> {
        let mut inner = self.lock();
        inner.writes += 1;
        if self.mutation != Mutation::Overwrite
            && let Some(stored) = inner.segments.get(&segments[0].first.0)
        {
            return Err(AppendError::Conflict(Box::new(stored.clone())));
        }
        if rows.refused {
            let reasons = vec![Reason::None, Reason::Condition(None)];
            return Err(AppendError::RowsRefused(Cancelled::Reasons(reasons.into())));
        }
        inner.segments.extend(segments.iter().map(|segment| (segment.first.0, segment.clone())));
        inner.stored.extend(segments.iter().map(|segment| (segment.first.0, Instant::now())));
        drop(inner);
        self.put_rows(rows);
        Ok(())
    }

    pub(crate) fn put_rows(&self, rows: &Rows) {
        let mut inner = self.lock();
        if let Some((epoch, until)) = rows.lease {
            inner.lease = Some(until);
            inner.lease_epoch = epoch;
        }
        if let Some(closed) = &rows.close {
            // The end of a run removes its lease and the epoch of the lease.
            inner.closed = Some(closed.clone());
            inner.lease = None;
            inner.lease_epoch = 0;
        }
    }
}
