//! Many schedules over simulated time, across the changes of clocks of several zones, with the faults of a deployment: lost
//! and duplicate messages, processes that end before or after a write, and a scheduler that sleeps for hours.
//!
//! Real are the decisions, the store and the due index. The runs are rows, so that a year passes in minutes.
//! `SCHEDULE_YEAR=1000` simulates so many schedules over a whole year. Otherwise a few pass through the days of the changes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::join_all;
use jiff::tz::TimeZone;
use sequent_core::{ProjectId, RunId, ScheduleId, Scopes, TenantId, Timestamp, UserId};
use sequent_identity::EndedAuthority;
use sequent_schedules::{
    Error, LastRun, Launch, Launched, Launcher, Occurrence, Schedule, ScheduleDelivery, ScheduleWorker,
    Schedules, postpone,
};
use sequent_tables::{DueIndex, Label, Retry, Row, Store, Transaction, Write, due_at, key, testing};
use serde_json::json;

use crate::{
    reference::Fields,
    storing::{caller, spec},
};

const ZONES: [&str; 5] =
    ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Casablanca"];

/// Expressions around the hours in which clocks are changed. The last ones are the most frequent.
const EXPRESSIONS: [&str; 9] = [
    "30 2 * * *",
    "0 9 * * 1-5",
    "45 1 1,15 * 0",
    "0 0 * * *",
    "30 1-2 */3 * *",
    "15 2 * 3,4,10,11 *",
    "0 2,14 * * *",
    "*/20 1-3 * * *",
    "15 */6 * * *",
];
/// The interval of the schedules without an expression.
const INTERVAL: Duration = Duration::from_secs(7 * 3600);

/// The days around the changes of each zone in 2026, by the number of the zone.
const CHANGES: [(usize, &str, &str); 9] = [
    (0, "2026-03-08T00:00:00Z", "2026-03-09T08:00:00Z"),
    (0, "2026-11-01T00:00:00Z", "2026-11-02T08:00:00Z"),
    (1, "2026-03-28T18:00:00Z", "2026-03-30T02:00:00Z"),
    (1, "2026-10-24T18:00:00Z", "2026-10-26T02:00:00Z"),
    (2, "2026-04-04T06:00:00Z", "2026-04-05T14:00:00Z"),
    (2, "2026-10-03T06:00:00Z", "2026-10-04T14:00:00Z"),
    (3, "2026-06-01T00:00:00Z", "2026-06-02T08:00:00Z"),
    (4, "2026-02-14T18:00:00Z", "2026-02-16T02:00:00Z"),
    (4, "2026-03-21T18:00:00Z", "2026-03-23T02:00:00Z"),
];

const RUN: Label = Label::new("run");
const SCHEDULE: Label = Label::new("schedule");

/// Probabilities of faults, in percent.
const CRASH: u8 = 5;
const LOST: u8 = 3;
const TWICE: u8 = 10;

/// Starts runs that are rows and end at once.
#[derive(Clone)]
struct SimulatedRuns {
    store: Store,
    started: Arc<Mutex<HashMap<ScheduleId, Vec<Occurrence>>>>,
    random: Arc<Mutex<fastrand::Rng>>,
}

impl SimulatedRuns {
    fn happens(&self, percent: u8) -> bool {
        self.random.lock().unwrap().u8(..100) < percent
    }
}

impl Launcher for SimulatedRuns {
    async fn ended_authority(&self, _: TenantId, _: &Schedule) -> Result<Option<EndedAuthority>, Error> {
        Ok(None)
    }

    async fn is_live(&self, _: TenantId, _: RunId) -> Result<bool, Error> {
        Ok(false)
    }

    async fn stop(&self, _: TenantId, _: RunId, _: UserId) -> Result<(), Error> {
        Ok(())
    }

    async fn launch(&self, launch: Launch<'_>) -> Result<Launched, Error> {
        let crash = |runs: &Self| if runs.happens(CRASH) { Err(Error::Contended) } else { Ok(()) };
        crash(self)?;
        let Launch { tenant, schedule, occurrence, .. } = launch;
        let run = LastRun { run_id: RunId::new(), project_id: ProjectId::new() };
        let name = format!("{} {}", schedule.id, occurrence.due.millis());
        let row = Row::new(&key::idempotency(tenant, "simulated", &name), &run)?;
        let transaction =
            Transaction::new().write(Write::insert(row)).label(RUN).write(launch.write(run)?).label(SCHEDULE);
        match self.store.commit(transaction, Retry::BRIEF).await {
            Ok(()) => {}
            Err(cancelled) if cancelled.refused(RUN) => return Ok(Launched::Before(run)),
            Err(cancelled) if cancelled.refused(SCHEDULE) => return Ok(Launched::Changed),
            Err(cancelled) => return Err(cancelled.into()),
        }
        self.started.lock().unwrap().entry(schedule.id).or_default().push(occurrence.clone());
        crash(self)?;
        Ok(Launched::New(run))
    }
}

struct Simulation {
    store: Store,
    runs: SimulatedRuns,
    worker: ScheduleWorker<SimulatedRuns>,
    schedules: Vec<(TenantId, Schedule)>,
    /// The schedules by their times in the due index, so that the minutes in between pass at once.
    due: BTreeSet<(Timestamp, TenantId, ScheduleId)>,
    now: Timestamp,
    swept: u64,
}

impl Simulation {
    async fn new(schedules: Range<usize>, from: Timestamp, to: Timestamp, seed: u64) -> Self {
        let store = testing::store().await;
        let random = Arc::new(Mutex::new(fastrand::Rng::with_seed(seed)));
        let runs = SimulatedRuns { store: store.clone(), started: Arc::default(), random };
        let worker = ScheduleWorker::new(Schedules::new(store.clone()), runs.clone());
        let mut simulation =
            Self { store, runs, worker, schedules: Vec::new(), due: BTreeSet::new(), now: from, swept: 0 };
        let mut owner = caller(Scopes::ALL);
        for number in schedules {
            if number % 100 == 0 {
                owner = caller(Scopes::ALL);
            }
            let jitter = if number % 4 == 0 { 900 } else { 0 };
            let mut chosen = json!({"ends_at": to, "jitter_seconds": jitter});
            // Of many schedules, most are due once a day or less often, as those of people are.
            let rules = if number < 50 { EXPRESSIONS.len() + 1 } else { 6 };
            match EXPRESSIONS.get(number % rules) {
                Some(cron) => chosen["cron"] = json!(cron),
                None => chosen["every_seconds"] = json!(INTERVAL.as_secs()),
            }
            chosen["time_zone"] = json!(ZONES[number / (EXPRESSIONS.len() + 1) % ZONES.len()]);
            match Schedules::new(simulation.store.clone()).create(&owner, spec(chosen), from).await {
                Ok(schedule) => {
                    simulation.due.extend(schedule.acts_at().map(|at| (at, owner.tenant, schedule.id)));
                    simulation.schedules.push((owner.tenant, schedule));
                }
                Err(Error::NeverDue) => {}
                Err(error) => panic!("{error}"),
            }
        }
        simulation
    }

    /// Lets the time pass until no schedule is due any more.
    async fn pass(&mut self) {
        while let Some((at, ..)) = self.due.first() {
            // The sweep runs twenty seconds after each full minute.
            let minute = at.max(&self.now).millis().div_euclid(60_000) + 1;
            self.now = Timestamp::from_millis(minute * 60_000 + 20_000);
            if self.runs.happens(1) {
                let hours = self.runs.random.lock().unwrap().u64(1..9);
                self.now = self.now + Duration::from_secs(hours * 3600);
            }
            self.sweep().await;
        }
    }

    async fn sweep(&mut self) {
        self.swept += 1;
        let again = self.now + Duration::from_secs(90);
        let store = self.store.clone();
        let mut sweep = DueIndex::Schedules.sweep(&store, self.now);
        while let Some(page) = sweep.page().await.unwrap() {
            for due in page {
                let moved = postpone(&store, &due, again).await.unwrap().expect("there is one sweep");
                if !self.runs.happens(LOST) {
                    self.deliver(moved).await;
                }
                let ScheduleDelivery { tenant_id, schedule_id } = moved;
                self.due.remove(&(due.at(), tenant_id, schedule_id));
                let row = store.get_item(&key::schedule(tenant_id, schedule_id)).await.unwrap().unwrap();
                self.due.extend(due_at(&row).map(|at| (at, tenant_id, schedule_id)));
            }
        }
    }

    /// Delivers a message, at times twice at once. A worker that fails leaves the schedule to a later sweep.
    async fn deliver(&self, ScheduleDelivery { tenant_id, schedule_id }: ScheduleDelivery) {
        let copies = 1 + usize::from(self.runs.happens(TWICE));
        let work = || self.worker.work(tenant_id, schedule_id, self.now);
        drop(join_all((0..copies).map(|_| work())).await);
    }

    /// Compares what was started with the due times as a watcher of the clocks finds them. Returns the number of due times.
    async fn check(&self, from: Timestamp, to: Timestamp) -> usize {
        let mut watched: BTreeMap<(String, String), Vec<Timestamp>> = BTreeMap::new();
        let started = self.runs.started.lock().unwrap().clone();
        let mut total = 0;
        for (tenant, schedule) in &self.schedules {
            let zone = schedule.spec.time_zone.to_string();
            let expected = match &schedule.spec.cron {
                Some(cron) => {
                    let key = (cron.to_string(), zone.clone());
                    watched.entry(key).or_insert_with(|| watch(&cron.to_string(), &zone, from, to)).clone()
                }
                None => (1..).map(|n| from + INTERVAL * n).take_while(|due| *due <= to).collect(),
            };
            let row: Schedule = self.store.get(&key::schedule(*tenant, schedule.id)).await.unwrap().unwrap();
            check_one(&row, &expected, started.get(&schedule.id).map_or(&[], Vec::as_slice));
            total += expected.len();
        }
        total
    }
}

/// Each run stands for the due times since the run before: for its own, or for those that were missed together.
fn check_one(row: &Schedule, expected: &[Timestamp], started: &[Occurrence]) {
    let of = format!("{:?} in {}", row.spec.cron, row.spec.time_zone);
    let mut left = expected;
    for run in started {
        let covered = left.iter().take_while(|due| **due <= run.due).count();
        assert!(covered > 0 && left[covered - 1] == run.due, "{of}: {} is not due", run.due);
        let missed = usize::try_from(run.missed).unwrap();
        assert_eq!(covered, missed + usize::from(!run.is_late()), "{of}: {run:?}");
        left = &left[covered..];
    }
    assert_eq!(left, [], "{of}: they were forgotten");
    assert_eq!(row.counts.started, started.len() as u64, "{of}");
    assert_eq!(row.counts.missed, started.iter().map(|run| u64::from(run.missed)).sum::<u64>(), "{of}");
    assert_eq!((row.counts.skipped, row.counts.failed, row.next_due), (0, 0, None), "{of}");
}

fn watch(cron: &str, zone: &str, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
    let [from, to] = [from, to].map(|at| jiff::Timestamp::from_millisecond(at.millis()).unwrap());
    let due = Fields::read(cron).watch(&TimeZone::get(zone).unwrap(), from, to);
    due.into_iter().map(|at| Timestamp::from_millis(at.as_millisecond())).collect()
}

fn at(text: &str) -> Timestamp {
    serde_json::from_value(json!(text)).unwrap()
}

async fn simulate(schedules: Range<usize>, from: &str, to: &str, seed: u64) -> usize {
    let [from, to] = [from, to].map(at);
    let mut simulation = Simulation::new(schedules, from, to, seed).await;
    simulation.pass().await;
    simulation.check(from, to).await
}

#[tokio::test]
async fn each_due_time_has_one_run_or_is_told_as_missed() {
    let seed = std::env::var("SIM_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("SIM_SEED={seed}");
    let mut due = 0;
    if let Ok(count) = std::env::var("SCHEDULE_YEAR") {
        let schedules = 0..count.parse().unwrap();
        due += simulate(schedules, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", seed).await;
    } else {
        const RULES: usize = EXPRESSIONS.len() + 1;
        for (zone, from, to) in CHANGES {
            due += simulate(zone * RULES..(zone + 1) * RULES, from, to, seed).await;
        }
    }
    println!("{due} due times");
    assert!(due > 250, "{due}");
}
