//! A table in memory, and processes that reach it over a network as unkind as a test wants it.
//!
//! The table itself is linearizable: one lock, one instant per operation. Everything that can go wrong lies between
//! the table and the process: latency, throttling, answers that are lost, writes that arrive late or never, and the
//! process itself, which may pause at any moment or die.

use std::{
    collections::BTreeMap,
    fmt::Write,
    future::pending,
    ops::RangeInclusive,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use sequent_data::{Cancelled, Reason};
use sequent_domain::{RunId, TenantId, Timestamp};
use sequent_event::{Event, Seq, State};
use sequent_runlog::{AppendError, LogKey, ReadError, Segment, Storage};
use tokio::time::{Instant, sleep, sleep_until};

use crate::simulation::mutation::Mutation;

const EPOCH_MS: i64 = 1_700_000_000_000;

/// The one log of a test.
pub(crate) fn key() -> LogKey {
    LogKey { tenant: TenantId::from_bits(1), run: RunId::from_bits(2) }
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
    faults: Arc<Faults>,
    began: Instant,
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
        let mut inner = self.lock();
        inner.processes += 1;
        Process {
            table: self.clone(),
            id: inner.processes,
            skew,
            dead: Arc::default(),
            paused: Arc::new(Mutex::new(self.began)),
            epoch: Arc::default(),
        }
    }

    pub(crate) fn segments(&self) -> Vec<Segment> {
        self.lock().segments.values().cloned().collect()
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.lock().segments.values().flat_map(Segment::events).collect()
    }

    /// An event reaches somebody outside: it must stand in the log by now, just so.
    pub(crate) fn show(&self, to: &str, event: &Event) {
        let inner = self.lock();
        let segment = inner.segments.range(..=event.seq.0).next_back().map(|(_, segment)| segment);
        let stands = segment.is_some_and(|segment| segment.events().any(|stored| stored == *event));
        drop(inner);
        if !stands {
            self.violation(
                "truth before show",
                format!("{to} saw {} {}", event.seq, event.entry.type_name()),
            );
        }
    }

    fn put(&self, segment: &Segment, rows: &Rows) -> Result<(), AppendError> {
        let mut inner = self.lock();
        inner.writes += 1;
        if self.mutation != Mutation::Overwrite
            && let Some(stored) = inner.segments.get(&segment.first.0)
        {
            return Err(AppendError::Conflict(Box::new(stored.clone())));
        }
        if rows.refused {
            let reasons = vec![Reason::None, Reason::Condition(None)];
            return Err(AppendError::Companions(Cancelled::Reasons(reasons)));
        }
        inner.segments.insert(segment.first.0, segment.clone());
        drop(inner);
        self.put_rows(rows);
        Ok(())
    }

    fn put_rows(&self, rows: &Rows) {
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

/// What the network does to one write.
#[derive(Debug)]
enum Fate {
    Arrives,
    Throttled,
    LostAnswer,
    Dropped,
    Late(Duration),
}

/// A process: the storage as it sees it.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) table: Table,
    pub(crate) id: u32,
    skew: i64,
    dead: Arc<AtomicBool>,
    paused: Arc<Mutex<Instant>>,
    /// The epoch it last wrote under.
    pub(crate) epoch: Arc<AtomicU32>,
}

impl Process {
    /// From now on nothing it does reaches the table, and no answer reaches it.
    pub(crate) fn kill(&self) {
        self.table.trace(format_args!("p{} dies", self.id));
        self.dead.store(true, Ordering::Relaxed);
    }

    /// It stands still for `time`.
    pub(crate) fn pause(&self, time: Duration) {
        self.table.trace(format_args!("p{} pauses for {} ms", self.id, time.as_millis()));
        *self.paused.lock().unwrap() = Instant::now() + time;
    }

    fn strikes(&self, chance: f64) -> bool {
        let strikes = self.table.faulty() && fastrand::f64() < chance;
        self.table.lock().faults += u64::from(strikes);
        strikes
    }

    fn fate(&self) -> Fate {
        let faults = &self.table.faults;
        if self.strikes(faults.throttle) {
            Fate::Throttled
        } else if self.strikes(faults.lost_answer) {
            Fate::LostAnswer
        } else if self.strikes(faults.dropped) {
            Fate::Dropped
        } else if self.strikes(faults.late) {
            Fate::Late(Duration::from_millis(fastrand::u64(1..4000)))
        } else {
            Fate::Arrives
        }
    }

    /// One way between process and table.
    async fn travel(&self) {
        if self.strikes(self.table.faults.pause) {
            self.pause(Duration::from_millis(fastrand::u64(200..4000)));
        }
        let latency = fastrand::u64(self.table.faults.latency.clone());
        if latency > 0 {
            sleep(Duration::from_millis(latency)).await;
        }
        loop {
            let until = *self.paused.lock().unwrap();
            if until <= Instant::now() {
                break;
            }
            sleep_until(until).await;
        }
        if self.dead.load(Ordering::Relaxed) {
            pending::<()>().await;
        }
    }

    /// The way back: as long as the way there when there are faults, none in a calm table.
    async fn back(&self) {
        if self.table.faults.latency.start() != self.table.faults.latency.end() {
            self.travel().await;
        }
    }

    async fn look<T>(&self, read: impl FnOnce(&Inner) -> T) -> Result<T, ReadError> {
        let fails = self.strikes(self.table.faults.read);
        self.travel().await;
        let found = {
            let mut inner = self.table.lock();
            inner.reads += 1;
            read(&inner)
        };
        self.back().await;
        if fails { Err(ReadError::Unavailable("injected".into())) } else { Ok(found) }
    }
}

impl Storage for Process {
    type Companions = Rows;

    async fn append(&self, _: LogKey, segment: &Segment, rows: &Rows) -> Result<(), AppendError> {
        if segment.epoch > 0 {
            self.epoch.store(segment.epoch, Ordering::Relaxed);
        }
        let fate = self.fate();
        let (id, epoch, first, count) = (self.id, segment.epoch, segment.first, segment.entries.len());
        let name = segment.entries.last().map_or("nothing", |entry| entry.type_name());
        self.table
            .trace(format_args!("p{id} appends {count} at {first} under {epoch}, last {name}: {fate:?}"));
        self.table.mutation.before_append(self, segment);
        self.travel().await;
        let result = match fate {
            Fate::Throttled => Err(AppendError::Busy),
            Fate::Dropped => Err(AppendError::Ambiguous),
            Fate::Late(by) => {
                let (table, segment, rows) = (self.table.clone(), segment.clone(), rows.clone());
                tokio::spawn(async move {
                    sleep(by).await;
                    let landed = table.put(&segment, &rows).is_ok();
                    table.trace(format_args!("late write of p{id} at {first}: landed {landed}"));
                });
                Err(AppendError::Ambiguous)
            }
            Fate::LostAnswer => {
                let _ = self.table.put(segment, rows); // the process will not know
                Err(AppendError::Ambiguous)
            }
            Fate::Arrives if self.table.mutation == Mutation::SplitTerminal && rows.close.is_some() => {
                let stored = self.table.put(segment, &Rows::default());
                self.travel().await;
                if stored.is_ok() {
                    self.table.put_rows(rows);
                }
                stored
            }
            Fate::Arrives => self.table.put(segment, rows),
        };
        self.back().await;
        let shown = match &result {
            Err(AppendError::Conflict(stored)) => format!("lost to epoch {}", stored.epoch),
            Err(error) => error.to_string(),
            Ok(()) => "stored".to_owned(),
        };
        self.table.trace(format_args!("p{id} at {first}: {shown}"));
        result.map_err(|error| match error {
            AppendError::Conflict(stored) => {
                AppendError::Conflict(Box::new(self.table.mutation.conflict(self, *stored)))
            }
            other => other,
        })
    }

    async fn read(&self, _: LogKey, after: Seq) -> Result<Vec<Segment>, ReadError> {
        let most = if self.table.faulty() { fastrand::usize(1..9) } else { 1000 };
        let read = |inner: &Inner| {
            inner.segments.range(after.0 + 1..).take(most).map(|(_, segment)| segment.clone()).collect()
        };
        let found: Vec<Segment> = self.look(read).await?;
        Ok(found.into_iter().map(|segment| self.table.mutation.seen(self, segment)).collect())
    }

    async fn tail(&self, _: LogKey) -> Result<Option<Segment>, ReadError> {
        self.look(|inner| inner.segments.values().next_back().cloned()).await
    }

    async fn lease(&self, _: LogKey) -> Result<Option<Timestamp>, ReadError> {
        self.look(|inner| inner.lease).await
    }

    async fn renew(&self, _: LogKey, epoch: u32, until: Option<Timestamp>) -> Result<(), AppendError> {
        let fate = self.fate();
        self.travel().await;
        if matches!(fate, Fate::Arrives | Fate::LostAnswer) {
            let mut inner = self.table.lock();
            if inner.lease_epoch == epoch {
                inner.lease = until;
            }
        }
        self.back().await;
        match fate {
            Fate::Arrives => Ok(()),
            Fate::Throttled => Err(AppendError::Busy),
            _ => Err(AppendError::Ambiguous),
        }
    }

    fn with_lease(&self, rows: Rows, _: LogKey, epoch: u32, until: Timestamp) -> Rows {
        Rows { lease: Some((epoch, until)), ..rows }
    }

    fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.table.began.elapsed().as_millis()).unwrap();
        Timestamp::from_millis(EPOCH_MS + elapsed + self.skew)
    }
}
