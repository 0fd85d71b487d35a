//! Processes that use a table over a faulty network: with latency, throttling, lost responses, and writes
//! that arrive late or never. The process itself may pause at any moment, or die.

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use sequent_core::Timestamp;
use sequent_event::Seq;
use sequent_runlog::{
    AppendError, Consistency, Lease, LogKey, ReadError, Segment, SegmentPage, Storage, Waiting,
};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    memory::{Inner, Rows, Table},
    simulation::mutation::Mutation,
};

const EPOCH_MS: i64 = 1_700_000_000_000;

/// The fate of one write on the network.
#[derive(Debug)]
enum Fate {
    Arrives,
    Throttled,
    LostResponse,
    Dropped,
    Late(Duration),
}

/// A process, with the storage as it sees it.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) table: Table,
    pub(crate) id: u32,
    skew: i64,
    dead: Arc<AtomicBool>,
    paused: Arc<Mutex<Instant>>,
    /// The epoch of its last write.
    pub(crate) epoch: Arc<AtomicU32>,
}

impl Process {
    pub(crate) fn new(table: Table, id: u32, skew: i64) -> Self {
        let paused = Arc::new(Mutex::new(table.began));
        Self { table, id, skew, dead: Arc::default(), paused, epoch: Arc::default() }
    }

    /// Cuts the process off: no request reaches the table any more, and no response the process.
    pub(crate) fn kill(&self) {
        self.table.trace(format_args!("p{} dies", self.id));
        self.dead.store(true, Ordering::Relaxed);
    }

    /// Stops the process for `time`.
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
        } else if self.strikes(faults.lost_response) {
            Fate::LostResponse
        } else if self.strikes(faults.dropped) {
            Fate::Dropped
        } else if self.strikes(faults.late) {
            Fate::Late(Duration::from_millis(fastrand::u64(1..4000)))
        } else {
            Fate::Arrives
        }
    }

    /// Travels one way between the process and the table.
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

    /// Travels back. This takes no time in a table without faults.
    async fn back(&self) {
        if self.table.faults.latency.start() != self.table.faults.latency.end() {
            self.travel().await;
        }
    }

    async fn read_table<T>(
        &self,
        consistency: Consistency,
        read: impl FnOnce(&Inner) -> T,
    ) -> Result<T, ReadError> {
        let fails = self.strikes(self.table.faults.read);
        self.travel().await;
        let found = {
            let mut inner = self.table.lock();
            inner.reads += 1;
            inner.half_units += if consistency == Consistency::Strong { 2 } else { 1 };
            read(&inner)
        };
        self.back().await;
        if fails { Err(ReadError::Unavailable("injected".into())) } else { Ok(found) }
    }
}

impl Storage for Process {
    type Rows = Rows;

    async fn append(&self, _: LogKey, segments: &[Segment], rows: &Rows) -> Result<(), AppendError> {
        let segment = &segments[0];
        if segment.epoch > 0 {
            self.epoch.store(segment.epoch, Ordering::Relaxed);
        }
        let fate = self.fate();
        let id = self.id;
        let epoch = segment.epoch;
        let first = segment.first;
        let count = segment.entries.len();
        let name = segment.entries.last().map_or("nothing", |entry| entry.type_name());
        self.table
            .trace(format_args!("p{id} appends {count} at {first} under {epoch}, last {name}: {fate:?}"));
        self.table.mutation.before_append(self, segment);
        self.travel().await;
        let result = match fate {
            Fate::Throttled => Err(AppendError::Busy),
            Fate::Dropped => Err(AppendError::Ambiguous),
            Fate::Late(by) => {
                let table = self.table.clone();
                let segments = segments.to_vec();
                let rows = rows.clone();
                tokio::spawn(async move {
                    sleep(by).await;
                    let landed = table.put(&segments, &rows).is_ok();
                    table.trace(format_args!("late write of p{id} at {first}: landed {landed}"));
                });
                Err(AppendError::Ambiguous)
            }
            Fate::LostResponse => {
                let _ = self.table.put(segments, rows); // the process does not learn the result
                Err(AppendError::Ambiguous)
            }
            Fate::Arrives if self.table.mutation == Mutation::SplitTerminal && rows.close.is_some() => {
                let stored = self.table.put(segments, &Rows::default());
                self.travel().await;
                if stored.is_ok() {
                    self.table.put_rows(rows);
                }
                stored
            }
            Fate::Arrives => self.table.put(segments, rows),
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

    async fn read(&self, _: LogKey, after: Seq, consistency: Consistency) -> Result<SegmentPage, ReadError> {
        let most = if self.table.faulty() { fastrand::usize(1..9) } else { 1000 };
        let is_stale = consistency == Consistency::Eventual || self.table.mutation == Mutation::StaleReads;
        let lag = if is_stale { self.table.faults.lag } else { Duration::ZERO };
        let mut found = self.read_table(consistency, |inner| inner.older_than(lag, after)).await?;
        if is_stale && found.len() > 1 && self.strikes(self.table.faults.gap) {
            found.remove(fastrand::usize(..found.len() - 1));
        }
        let has_more = found.len() > most;
        found.truncate(most);
        self.table.lock().segments_read += found.len();
        let segments = found.into_iter().map(|segment| self.table.mutation.seen(self, segment)).collect();
        Ok(SegmentPage { segments, has_more })
    }

    async fn tail(&self, _: LogKey) -> Result<Option<Segment>, ReadError> {
        let tail = |inner: &Inner| inner.segments.values().next_back().cloned();
        let tail = self.read_table(Consistency::Strong, tail).await?;
        self.table.lock().segments_read += usize::from(tail.is_some());
        Ok(tail)
    }

    async fn lease(&self, _: LogKey) -> Result<Lease, ReadError> {
        let lease = |inner: &Inner| inner.lease.map_or(Lease::Free, Lease::Held);
        self.read_table(Consistency::Strong, lease).await
    }

    async fn wait(&self, key: LogKey, epoch: u32, _: &Waiting) -> Result<(), AppendError> {
        self.renew(key, epoch, None).await
    }

    async fn renew(&self, _: LogKey, epoch: u32, until: Option<Timestamp>) -> Result<(), AppendError> {
        let fate = self.fate();
        self.travel().await;
        if matches!(fate, Fate::Arrives | Fate::LostResponse) {
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
