//! A table in memory: linearizable, one instant per operation. What lies between it and a process is in
//! [`process`](crate::process).

use std::{
    collections::BTreeMap,
    fmt::Write,
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard},
};

use sequent_core::{MessageId, ProjectId, RunId, TenantId, Timestamp};
use sequent_event::{Body, CancelReason, Event, Role, RunOutcome, Seq, State};
use sequent_runlog::{AppendError, LogKey, Segment, Settings, Writer, create_claimed};
use sequent_tables::{Cancelled, Reason};
use tokio::{sync::mpsc, time::Instant};

use crate::{process::Process, simulation::mutation::Mutation};

/// The one log of a test.
pub(crate) fn key() -> LogKey {
    LogKey { tenant: TenantId::from_bits(1), run: RunId::from_bits(2) }
}

pub(crate) const MESSAGE: MessageId = MessageId::from_bits(9);

pub(crate) fn question() -> Body {
    says(MessageId::from_bits(7))
}

pub(crate) fn says(message_id: MessageId) -> Body {
    Body::UserMessage { message_id, content: "Why?".into(), by: None, model: None }
}

pub(crate) fn started() -> Body {
    Body::RunStarted { thread_id: ProjectId::from_bits(3), run_id: key().run, parent_run_id: None }
}

pub(crate) fn begins() -> Body {
    Body::TextMessageStart { message_id: MESSAGE, role: Role::Assistant }
}

pub(crate) fn delta(text: &str) -> Body {
    Body::TextMessageContent { message_id: MESSAGE, delta: text.to_owned() }
}

pub(crate) fn ends() -> Body {
    Body::TextMessageEnd { message_id: MESSAGE }
}

pub(crate) fn cancel() -> Body {
    Body::CancelRequested { by: None, reason: CancelReason::Requested }
}

pub(crate) fn finished(outcome: RunOutcome) -> Body {
    Body::RunFinished { thread_id: ProjectId::from_bits(3), run_id: key().run, outcome }
}

/// The row that repeats the log's end, as the run row does.
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

/// Companion writes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    pub(crate) lease: Option<(u32, Timestamp)>,
    pub(crate) close: Option<Closed>,
    /// A companion whose condition does not hold.
    pub(crate) refused: bool,
}

/// How unkind the network is, until when.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    pub(crate) throttle: f64,
    /// Done, but the answer is lost.
    pub(crate) lost_answer: f64,
    /// Not done, and the answer is lost.
    pub(crate) dropped: f64,
    /// Done at some later time; meanwhile the answer is lost.
    pub(crate) late: f64,
    pub(crate) read: f64,
    /// The process pauses on its way to or from the table.
    pub(crate) pause: f64,
    pub(crate) until: Instant,
    /// One way, in milliseconds.
    pub(crate) latency: RangeInclusive<u64>,
}

impl Faults {
    /// None at all; an operation takes `millis` to reach the table and no time to return.
    pub(crate) fn none(millis: u64) -> Self {
        let latency = millis..=millis;
        let until = Instant::now();
        Self {
            throttle: 0.0,
            lost_answer: 0.0,
            dropped: 0.0,
            late: 0.0,
            read: 0.0,
            pause: 0.0,
            until,
            latency,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Inner {
    pub(crate) segments: BTreeMap<u64, Segment>,
    pub(crate) lease: Option<Timestamp>,
    pub(crate) lease_epoch: u32,
    pub(crate) closed: Option<Closed>,
    pub(crate) trace: String,
    /// What was seen to go wrong while it happened: the rule, and how.
    pub(crate) violations: Vec<(&'static str, String)>,
    pub(crate) writes: u64,
    pub(crate) reads: u64,
    pub(crate) faults: u64,
    processes: u32,
}

/// The table.
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

    /// A table without faults whose operations take `millis`.
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

    /// A new process; `skew` is how far its clock is ahead.
    pub(crate) fn process(&self, skew: i64) -> Process {
        let id = {
            let mut inner = self.lock();
            inner.processes += 1;
            inner.processes
        };
        Process::new(self.clone(), id, skew)
    }

    /// A log opened in this table by `process`, its claim and start stored.
    pub(crate) async fn opened(
        &self,
        settings: Settings,
    ) -> (Writer<Process>, Process, mpsc::UnboundedReceiver<Arc<Segment>>) {
        let (observer, observed) = mpsc::unbounded_channel();
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

    /// An event reaches somebody outside: it must stand in the log by now, just so, and if it ends the run, the row
    /// must say so, too.
    pub(crate) fn show(&self, to: &str, event: &Event) {
        let inner = self.lock();
        let entry =
            inner.segments.range(..=event.seq.0).next_back().and_then(|(first, segment)| {
                segment.entries.get(usize::try_from(event.seq.0 - first).unwrap())
            });
        let stands = entry == Some(&event.entry);
        let alone = event.is_terminal() && inner.closed.is_none();
        drop(inner);
        let what = || format!("{to} saw {} {}", event.seq, event.entry.type_name());
        if !stands {
            self.violation("truth before show", what());
        }
        if alone {
            self.violation("one transaction", what());
        }
    }

    pub(crate) fn put(&self, segment: &Segment, rows: &Rows) -> Result<(), AppendError> {
        let mut inner = self.lock();
        inner.writes += 1;
        if self.mutation != Mutation::Overwrite
            && let Some(stored) = inner.segments.get(&segment.first.0)
        {
            return Err(AppendError::Conflict(Box::new(stored.clone())));
        }
        if rows.refused {
            let reasons = vec![Reason::None, Reason::Condition(None)];
            return Err(AppendError::RowsRefused(Cancelled::Reasons(reasons.into())));
        }
        inner.segments.insert(segment.first.0, segment.clone());
        drop(inner);
        self.put_rows(rows);
        Ok(())
    }

    pub(crate) fn put_rows(&self, rows: &Rows) {
        let mut inner = self.lock();
        if let Some((epoch, until)) = rows.lease {
            (inner.lease, inner.lease_epoch) = (Some(until), epoch);
        }
        if let Some(closed) = &rows.close {
            // The end of a run removes its lease, epoch and all.
            (inner.closed, inner.lease, inner.lease_epoch) = (Some(closed.clone()), None, 0);
        }
    }
}
