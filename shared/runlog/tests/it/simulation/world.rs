//! One simulated run with processes that compete for it, people who send control events, and readers.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use sequent_core::{MessageId, UserId};
use sequent_event::{Body, CancelReason, Event, Seq};
use sequent_runlog::{
    Claim, ControlOutcome, Follow, Poll, ReadError, Segment, Settings, Writer, append_control, claim, create,
    create_claimed, page,
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use super::{check, mutation::Mutation, owner};
use crate::{
    memory::{Faults, Rows, Table, key, question, started, user_message},
    process::Process,
};

/// The record of one owner.
#[derive(Debug, Default)]
pub(super) struct Ownership {
    /// The events that it passed to its writer, in order.
    pub(super) sent: Vec<Body>,
    /// The number of sent events that were acknowledged.
    pub(super) acknowledged: usize,
    /// The events that its observer got.
    pub(super) observed: Vec<Event>,
}

/// The record of all operations, for the checks at the end.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) owners: BTreeMap<u32, Ownership>,
    pub(super) controls: Vec<(Body, Option<ControlOutcome>)>,
    /// For each reader, its cursor and the events that it got.
    pub(super) readers: Vec<(Seq, Vec<Event>)>,
    pub(super) succeeded: u64,
    pub(super) failed: u64,
}

/// The result of a simulated run.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) violations: Vec<(&'static str, String)>,
    pub(crate) trace: String,
    pub(crate) events: usize,
    pub(crate) epochs: usize,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) storage_calls: u64,
    pub(crate) faults: u64,
}

#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) table: Table,
    pub(super) history: Arc<Mutex<History>>,
}

const SETTINGS: Settings = Settings {
    linger_min: Duration::from_millis(5),
    linger_max: Duration::from_millis(60),
    lease: Duration::from_millis(1000),
    renew: Duration::from_millis(300),
    idle_check: Duration::from_millis(100),
    patience: Duration::from_millis(2500),
    merge: true,
};

/// The longest allowed virtual time from the last fault to the end of the run.
const PATIENCE: Duration = Duration::from_secs(120);

/// Plays the run that `seed` determines and checks it.
pub(crate) fn play(seed: u64, mutation: Mutation) -> Report {
    fastrand::seed(seed);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let until = Instant::now() + Duration::from_millis(fastrand::u64(2_000..12_000));
        let rate = || fastrand::choice([0.0, 0.02, 0.05, 0.15]).unwrap();
        let faults = Faults {
            throttle: rate(),
            lost_response: rate(),
            dropped: rate(),
            late: rate(),
            read: rate(),
            pause: rate() / 3.0,
            until,
            latency: 0..=fastrand::u64(1..30),
            lag: Duration::from_millis(fastrand::choice([0, 20, 200, 2000]).unwrap()),
            gap: rate(),
        };
        let world = World { table: Table::new(faults, mutation), history: Arc::default() };
        world.play(until).await;
        // Delayed writes must find the log closed, too.
        sleep(Duration::from_secs(10)).await;
        check::all(&world);
        world.report(seed)
    })
}

impl World {
    async fn play(&self, until: Instant) {
        let mut actors = JoinSet::new();
        let merge = fastrand::bool();
        let settings = Settings { merge, ..SETTINGS };
        if fastrand::bool() {
            let world = self.clone();
            actors.spawn(async move { world.begin_unowned(settings).await });
        }
        for _ in 0..fastrand::usize(1..4) {
            let world = self.clone();
            actors.spawn(async move { world.machine(settings).await });
        }
        for _ in 0..fastrand::usize(0..3) {
            let world = self.clone();
            actors.spawn(async move { world.person().await });
        }
        for reader in 0..3 {
            let world = self.clone();
            actors.spawn(async move { world.follower(reader).await });
        }
        let world = self.clone();
        actors.spawn(async move { world.pager().await });

        let all = async {
            while let Some(joined) = actors.join_next().await {
                if let Err(error) = joined {
                    self.table.violation("no panic", error.to_string());
                }
            }
        };
        if tokio::time::timeout_at(until + PATIENCE, all).await.is_err() {
            self.table.violation("liveness", "the run did not close".to_owned());
        }
    }

    /// Counts the result of an operation and returns it.
    pub(super) fn count<T, E: std::fmt::Display>(&self, name: &str, result: Result<T, E>) -> Result<T, E> {
        let mut history = self.history.lock().unwrap();
        match &result {
            Ok(_) => history.succeeded += 1,
            Err(error) => {
                history.failed += 1;
                self.table.trace(format_args!("{name} failed: {error}"));
            }
        }
        result
    }

    async fn begin_unowned(&self, settings: Settings) {
        let process = self.table.process(0);
        let created = create(&process, key(), settings, vec![question()], Rows::default()).await;
        let _ = self.count("create", created); // if it failed, a machine creates the log
    }

    /// One machine: one process after the other tries to own the run, and each may die.
    async fn machine(&self, settings: Settings) {
        loop {
            let process = self.table.process(fastrand::i64(-300..300));
            let mortal = self.table.faulty() && fastrand::u8(..) < 150;
            let death = Instant::now() + Duration::from_millis(fastrand::u64(1..1500));
            let dies = async {
                sleep_until(death).await;
                process.kill();
            };
            let closed = tokio::select! {
                biased;
                () = dies, if mortal => false,
                closed = self.live(&process, settings) => closed,
            };
            if closed {
                return;
            }
            sleep(Duration::from_millis(fastrand::u64(1..300))).await;
        }
    }

    /// Lives until the process has owned the run once. Returns `true` if the run is over.
    async fn live(&self, process: &Process, settings: Settings) -> bool {
        loop {
            let (observer, observed) = mpsc::channel(10_000);
            let claim = claim(process, key(), settings, true, Some(observer.clone())).await;
            let writer = match self.count("claim", claim) {
                Ok(Claim::Closed) => return true,
                Ok(Claim::Won(writer)) => Some(*writer),
                Ok(Claim::Held) | Err(_) => None,
                Ok(Claim::Missing) => {
                    let before = vec![question()];
                    let after = vec![started()];
                    let opened = create_claimed(
                        process,
                        key(),
                        settings,
                        before,
                        after,
                        Rows::default(),
                        Some(observer),
                    )
                    .await;
                    self.count("create claimed", opened).ok()
                }
            };
            if let Some(writer) = writer {
                return self.own(process, writer, observed).await;
            }
            sleep(Duration::from_millis(fastrand::u64(50..400))).await;
        }
    }

    async fn own(
        &self,
        process: &Process,
        writer: Writer<Process>,
        observed: mpsc::Receiver<Arc<Segment>>,
    ) -> bool {
        let epoch = writer.epoch();
        self.table.trace(format_args!("p{} owns epoch {epoch}", process.id));
        if self.history.lock().unwrap().owners.insert(epoch, Ownership::default()).is_some() {
            self.table.violation("one owner per epoch", format!("epoch {epoch} was won twice"));
        }
        tokio::spawn(self.clone().observe(epoch, observed));
        let ended = owner::work(self, writer, epoch).await;
        self.table.trace(format_args!("p{} ends epoch {epoch}: {ended:?}", process.id));
        matches!(ended, Ok(owner::Ended::Finished))
    }

    async fn observe(self, epoch: u32, mut observed: mpsc::Receiver<Arc<Segment>>) {
        while let Some(segment) = observed.recv().await {
            for event in segment.events() {
                // One mutation hides events.
                if event.entry.type_name() != "HIDDEN" {
                    self.table.show(&format!("observer of epoch {epoch}"), &event);
                }
                let mut history = self.history.lock().unwrap();
                history.owners.entry(epoch).or_default().observed.push(event);
            }
        }
    }

    /// A person who sends messages and may cancel.
    async fn person(&self) {
        let process = self.table.process(0);
        for _ in 0..fastrand::usize(1..4) {
            sleep(Duration::from_millis(fastrand::u64(0..4000))).await;
            let id = fastrand::u128(..);
            let body = if fastrand::u8(..) < 80 {
                let by = Some(UserId::from_bits(id));
                Body::CancelRequested { by, reason: CancelReason::Requested }
            } else {
                user_message(MessageId::from_bits(id))
            };
            let result = self.count("control", append_control(&process, key(), body.clone()).await);
            self.table.trace(format_args!("control {}: {result:?}", body.type_name()));
            self.history.lock().unwrap().controls.push((body, result.ok()));
        }
    }

    /// Follows the log to its end and sometimes reconnects.
    async fn follower(&self, reader: usize) {
        let process = self.table.process(0);
        let begin = Seq([0, fastrand::u64(0..90), fastrand::u64(0..400)][reader]);
        let mut seen = Vec::new();
        let mut follow = Follow::new(process.clone(), key(), begin);
        loop {
            match follow.poll().await {
                Ok(Poll::Event(event)) => {
                    self.table.show(&format!("follower {reader}"), &event);
                    seen.push(event);
                    if fastrand::u8(..) < 4 {
                        follow = Follow::new(process.clone(), key(), follow.position());
                    }
                }
                Ok(Poll::Idle) => {}
                Ok(Poll::Closed) => break,
                Err(error @ ReadError::Malformed(_)) => {
                    self.table.violation("readers", format!("follower {reader}: {error}"));
                    break;
                }
                Err(error) => self.table.trace(format_args!("follower {reader}: {error}")),
            }
        }
        self.table.trace(format_args!("follower {reader} from {begin} saw {}", seen.len()));
        self.history.lock().unwrap().readers.push((begin, seen));
    }

    /// Reads the whole log by pages once it is closed.
    async fn pager(&self) {
        let process = self.table.process(0);
        let mut after = Seq::START;
        let mut seen = Vec::new();
        loop {
            let limit = fastrand::usize(1..50);
            match page(&process, key(), after, limit).await {
                Ok((events, more)) => {
                    if events.len() > limit || (more && events.len() < limit) {
                        self.table.violation("pages", format!("{} events of {limit}", events.len()));
                    }
                    after = events.last().map_or(after, |event| event.seq);
                    let closed = events.last().is_some_and(Event::is_terminal);
                    seen.extend(events);
                    if closed && !more {
                        break;
                    }
                }
                Err(error) => self.table.trace(format_args!("page: {error}")),
            }
            sleep(Duration::from_millis(fastrand::u64(100..900))).await;
        }
        self.history.lock().unwrap().readers.push((Seq::START, seen));
    }

    fn report(&self, seed: u64) -> Report {
        let history = self.history.lock().unwrap();
        let mut inner = self.table.lock();
        Report {
            seed,
            violations: std::mem::take(&mut inner.violations),
            trace: std::mem::take(&mut inner.trace),
            events: inner.segments.values().map(|segment| segment.entries.len()).sum(),
            epochs: history.owners.len(),
            succeeded: history.succeeded,
            failed: history.failed,
            storage_calls: inner.writes + inner.reads,
            faults: inner.faults,
        }
    }
}
