//! Schedules whose runs are real.

use std::time::Duration;

use sequent_billing::{Credits, Markup, Plans, Terms};
use sequent_conversation::{Run, RunStarter, RunStatus, RunStore, Runs};
use sequent_core::{MicroCredits, Principal, ScheduleId, Scope, Scopes, SessionId, Timestamp};
use sequent_definitions::{AgentDefinition, Agents, NewAgent, NewVersion};
use sequent_event::RunSchedule;
use sequent_runlog::{DynamoStorage, LogKey, Settings, read_all};
use sequent_schedules::{
    Error, PauseReason, RunLauncher, Schedule, ScheduleChange, ScheduleDelivery, ScheduleOutcome,
    ScheduleWorked, ScheduleWorker, Schedules,
};
use sequent_tables::{Row, Store, Update, key, testing};
use serde_json::{Value, json};

use crate::storing::{caller, spec};

const HOUR: Duration = Duration::from_secs(3600);
const EMAIL: &str = "ada@example.com";

struct Bench {
    store: Store,
    schedules: Schedules,
    launcher: RunLauncher,
    worker: ScheduleWorker<RunLauncher>,
    caller: Principal,
    start: Timestamp,
}

impl Bench {
    async fn new() -> Self {
        let store = testing::store().await;
        let credits = Credits::new(store.clone(), None, Default::default());
        Self::with(store, credits).await
    }

    /// A tenant whose plan allows no run at all.
    async fn without_runs() -> Self {
        let store = testing::store().await;
        let terms = Terms {
            plans: Plans::from_json(r#"{"free": {"concurrent_runs": 0}}"#).unwrap(),
            markup: Markup(100),
            usual_hold: MicroCredits(200_000),
            welcome: MicroCredits::whole(1),
            unverified_usd: None,
            metered: false,
        };
        let credits = Credits::new(store.clone(), Some(terms), Default::default());
        Self::with(store, credits).await
    }

    async fn with(store: Store, credits: Credits) -> Self {
        let runs = RunStore::new(DynamoStorage::new(store.clone()), Settings::default());
        let schedules = Schedules::new(store.clone());
        let launcher = RunLauncher::new(RunStarter::new(runs, credits));
        let worker = ScheduleWorker::new(schedules.clone(), launcher.clone());
        let bench =
            Self { store, schedules, launcher, worker, caller: caller(Scopes::ALL), start: Timestamp::now() };
        bench.sign_up().await;
        bench
    }

    async fn sign_up(&self) {
        let Principal { tenant, user, .. } = self.caller;
        let row = json!({"id": user, "email": EMAIL, "name": "Ada", "tenant_id": tenant, "created_at": self.start, "role": "owner"});
        self.store.put(Row::new(&key::user(tenant, user), &row).unwrap()).await.unwrap();
        let row = json!({"tenant": tenant, "user": user, "password_hash": "none"});
        self.store.put(Row::new(&key::lookup::email(EMAIL), &row).unwrap()).await.unwrap();
        self.put_api_key(&self.caller, None).await;
    }

    async fn put_api_key(&self, of: &Principal, valid_until: Option<Timestamp>) {
        let id = of.api_key.unwrap();
        let row = json!({
            "id": id, "name": "robot", "prefix": "sk_1", "scopes": of.scopes, "user": of.user,
            "created_at": self.start, "valid_until": valid_until, "digest": "none",
        });
        self.store.put(Row::new(&key::api_key(of.tenant, id), &row).unwrap()).await.unwrap();
    }

    /// Changes the schedule at its creation time.
    async fn change(&self, by: &Principal, id: ScheduleId, change: Value) -> Result<Schedule, Error> {
        let change: ScheduleChange = serde_json::from_value(change).unwrap();
        self.schedules.change(by, id, &change, self.start).await
    }

    /// Creates a schedule that is due every hour from now on.
    async fn hourly(&self, more: Value) -> ScheduleId {
        let mut chosen = json!({"every_seconds": 3600});
        chosen.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.schedules.create(&self.caller, spec(chosen), self.start).await.unwrap().id
    }

    /// Works on the schedule so many hours after its creation.
    async fn work(&self, id: ScheduleId, hours: u32) -> Schedule {
        let now = self.start + HOUR * hours;
        let worked = self.worker.work(self.caller.tenant, id, now).await.unwrap();
        assert_ne!(worked, ScheduleWorked::Unfinished);
        self.schedules.get(self.caller.tenant, id).await.unwrap()
    }

    async fn run(&self, schedule: &Schedule) -> Run {
        let run = schedule.last_run.expect("a run").run_id;
        Runs::new(&self.store, self.caller.tenant).get(run).await.unwrap()
    }

    /// Ends a run without executing it.
    async fn end(&self, run: &Run) {
        let row = Update::of(&key::run(self.caller.tenant, run.id));
        self.store.write(row.set("status", RunStatus::Success)).await.unwrap();
        let project = Update::of(&key::project(self.caller.tenant, run.project_id));
        self.store.write(project.remove("live_run_id")).await.unwrap();
    }
}

fn outcomes(schedule: &Schedule) -> Vec<ScheduleOutcome> {
    schedule.recent.iter().map(|entry| entry.outcome).collect()
}

#[tokio::test]
async fn a_run_tells_its_schedule_and_its_due_time() {
    let bench = Bench::new().await;
    let id = bench.hourly(json!({})).await;
    assert_eq!(bench.work(id, 0).await.counts.started, 0);
    let schedule = bench.work(id, 1).await;
    let run = bench.run(&schedule).await;
    let due_at = bench.start + HOUR;
    let origin = RunSchedule { id, due_at, missed: 0 };
    assert_eq!(
        (run.options.schedule, run.user_id, run.status),
        (Some(origin), bench.caller.user, RunStatus::Pending)
    );
    let log = LogKey { tenant: bench.caller.tenant, run: run.id };
    let events = read_all(&DynamoStorage::new(bench.store.clone()), log).await.unwrap();
    let first = format!("{:?}", events[0].entries[0]);
    assert!(first.contains(&id.to_string()) && first.contains(&due_at.to_string()), "{first}");
    assert_eq!((schedule.counts.started, schedule.next_due), (1, Some(due_at + HOUR)));
    let again = bench.work(id, 1).await;
    assert_eq!(again, schedule, "a duplicate message changes nothing");
}

#[tokio::test]
async fn runs_of_one_conversation_continue_each_other_and_a_deleted_one_is_replaced() {
    let bench = Bench::new().await;
    let id = bench.hourly(json!({"project": "same"})).await;
    let first = bench.run(&bench.work(id, 1).await).await;
    let skipped = bench.work(id, 2).await;
    assert_eq!(
        outcomes(&skipped),
        [ScheduleOutcome::Skipped, ScheduleOutcome::Started],
        "the first has not ended"
    );
    bench.end(&first).await;
    let second = bench.run(&bench.work(id, 3).await).await;
    assert_eq!((second.project_id, second.after), (first.project_id, Some(first.id)));
    bench.end(&second).await;
    bench.store.delete(&key::project(bench.caller.tenant, first.project_id)).await.unwrap();
    let third = bench.run(&bench.work(id, 4).await).await;
    assert_ne!(third.project_id, first.project_id);
}

#[tokio::test]
async fn a_busy_project_is_skipped_with_the_reason() {
    let bench = Bench::new().await;
    let id = bench.hourly(json!({"project": "same"})).await;
    let first = bench.run(&bench.work(id, 1).await).await;
    let by_hand = bench.launcher.run_now(&bench.caller, id, None, bench.start + HOUR).await;
    let busy = by_hand.expect_err("the first has not ended").to_string();
    assert!(busy.contains(&first.id.to_string()), "{busy}");
}

#[tokio::test]
async fn a_queued_run_starts_after_the_one_before() {
    let bench = Bench::new().await;
    let id = bench.hourly(json!({"overlap": "queue"})).await;
    let first = bench.run(&bench.work(id, 1).await).await;
    let waiting = bench.work(id, 2).await;
    assert_eq!((waiting.counts.started, waiting.waiting.is_some()), (1, true));
    bench.end(&first).await;
    let started = bench.work(id, 3).await;
    let second = bench.run(&started).await;
    let due: Vec<Timestamp> = started.recent.iter().map(|entry| entry.due_at).collect();
    assert_eq!(due[..2], [bench.start + 2 * HOUR, bench.start + HOUR], "the third waits for the second");
    assert!(started.waiting.is_some());
    assert_eq!(second.options.schedule.unwrap().due_at, bench.start + 2 * HOUR);
}

#[tokio::test]
async fn the_end_of_the_run_before_starts_the_queued_one_before_the_next_look() {
    let bench = Bench::new().await;
    let id = bench.hourly(json!({"overlap": "queue"})).await;
    let first = bench.run(&bench.work(id, 1).await).await;
    let waiting = bench.work(id, 2).await;
    let now = bench.start + HOUR * 2 + Duration::from_secs(5);
    let look_at = waiting.acts_at().unwrap();
    assert!(look_at > now);
    let early = bench.worker.work(bench.caller.tenant, id, now).await.unwrap();
    assert_eq!(early, ScheduleWorked::NotYet(look_at), "the run before has not ended");
    let before = bench.store.get_item(&key::run(bench.caller.tenant, first.id)).await.unwrap().unwrap();
    bench.end(&first).await;
    let after = bench.store.get_item(&key::run(bench.caller.tenant, first.id)).await.unwrap().unwrap();
    let delivery = ScheduleDelivery::of_end(Some(&before), &after);
    assert_eq!(delivery, Some(ScheduleDelivery { tenant_id: bench.caller.tenant, schedule_id: id }));
    assert_eq!(ScheduleDelivery::of_end(Some(&after), &after), None);
    bench.worker.work(bench.caller.tenant, id, now).await.unwrap();
    let started = bench.schedules.get(bench.caller.tenant, id).await.unwrap();
    assert_eq!((started.counts.started, started.waiting), (2, None));
}

#[tokio::test]
async fn a_run_that_is_replaced_is_cancelled() {
    let bench = Bench::new().await;
    let id = bench.hourly(json!({"overlap": "cancel"})).await;
    let first = bench.run(&bench.work(id, 1).await).await;
    let second = bench.run(&bench.work(id, 2).await).await;
    let first = Runs::new(&bench.store, bench.caller.tenant).get(first.id).await.unwrap();
    assert_eq!((first.status, second.status), (RunStatus::Cancelled, RunStatus::Pending));
}

#[tokio::test]
async fn refused_starts_pause_the_schedule_with_their_code() {
    let bench = Bench::without_runs().await;
    let id = bench.hourly(json!({})).await;
    for hours in 1..5 {
        let schedule = bench.work(id, hours).await;
        assert_eq!(schedule.recent[0].error.as_ref().unwrap().code, "too_many_runs");
        assert_eq!(schedule.paused, None);
    }
    let schedule = bench.work(id, 5).await;
    assert_eq!((schedule.paused.unwrap().reason, schedule.counts.failed), (PauseReason::Failing, 5));
}

#[tokio::test]
async fn an_agent_that_was_deleted_is_a_failure() {
    let bench = Bench::new().await;
    let agents = Agents::new(bench.store.clone());
    let version = NewVersion { content: AgentDefinition::default(), change: None, user: bench.caller.user };
    let new = NewAgent { name: "support".parse().unwrap(), version };
    agents.create(bench.caller.tenant, &new, bench.start).await.unwrap();
    let id = bench.hourly(json!({"agent": "support"})).await;
    let run = bench.run(&bench.work(id, 1).await).await;
    assert_eq!(run.options.agent.as_ref().unwrap().name, "support");
    bench.end(&run).await;
    agents.delete(bench.caller.tenant, &"support".parse().unwrap()).await.unwrap();
    let schedule = bench.work(id, 2).await;
    assert_eq!(schedule.recent[0].error.as_ref().unwrap().code, "agent_not_found");
}

#[tokio::test]
async fn a_suspended_or_closed_account_pauses_its_schedules() {
    let bench = Bench::new().await;
    let suspended = bench.hourly(json!({})).await;
    let address = key::lookup::email(EMAIL);
    bench.store.write(Update::of(&address).set("suspended_at", bench.start)).await.unwrap();
    let schedule = bench.work(suspended, 1).await;
    assert_eq!((schedule.paused.unwrap().reason, schedule.counts.missed), (PauseReason::UserDisabled, 1));
    let row = key::schedule(bench.caller.tenant, suspended);
    let row = bench.store.get_item(&row).await.unwrap().unwrap();
    assert!(row.contains_key("queued_at"), "the stream carries the row, so that webhooks are told");
    bench.sign_up().await;
    let closed = bench.hourly(json!({})).await;
    bench.store.delete(&address).await.unwrap();
    let schedule = bench.work(closed, 1).await;
    assert_eq!((schedule.paused.unwrap().reason, schedule.counts.started), (PauseReason::UserDisabled, 0));
}

#[tokio::test]
async fn a_revoked_or_expired_key_pauses_its_schedules_and_whoever_lets_them_go_on_answers_for_them() {
    let bench = Bench::new().await;
    let Principal { tenant, user, .. } = bench.caller;
    let robot = Principal { tenant, user, ..caller(Scopes::ALL) };
    bench.put_api_key(&robot, Some(bench.start + HOUR * 2)).await;
    let created = bench.schedules.create(&robot, spec(json!({"every_seconds": 3600})), bench.start).await;
    let id = created.unwrap().id;
    let run = bench.run(&bench.work(id, 1).await).await;
    bench.end(&run).await;
    bench.put_api_key(&robot, Some(bench.start)).await;
    let expired = bench.work(id, 2).await;
    assert_eq!((expired.paused.unwrap().reason, expired.counts.missed), (PauseReason::KeyRevoked, 1));

    let narrow = Principal {
        scopes: Scopes::NONE.with(Scope::SchedulesWrite).with(Scope::Chat),
        ..bench.caller.clone()
    };
    let resumed = bench.change(&narrow, id, json!({"paused": false})).await.unwrap();
    assert_eq!((resumed.scopes(), resumed.paused), (narrow.scopes, None));
    assert_eq!(bench.work(id, 3).await.counts.started, 2);

    bench.store.delete(&key::api_key(tenant, narrow.api_key.unwrap())).await.unwrap();
    let revoked = bench.work(id, 4).await;
    assert_eq!(outcomes(&revoked)[0], ScheduleOutcome::Skipped, "the run before has not ended");
    bench.end(&bench.run(&revoked).await).await;
    let revoked = bench.work(id, 5).await;
    assert_eq!((revoked.paused.unwrap().reason, revoked.counts.started), (PauseReason::KeyRevoked, 2));

    let signed_in = Principal { api_key: None, session: Some(SessionId::new()), ..bench.caller.clone() };
    let theirs = bench.change(&signed_in, id, json!({"paused": false})).await.unwrap();
    assert_eq!((theirs.api_key, theirs.scopes()), (None, Scopes::ALL));
}

#[tokio::test]
async fn a_run_by_hand_leaves_the_due_times_and_counts() {
    let bench = Bench::new().await;
    let id = bench.hourly(json!({})).await;
    let (run, replayed) = bench.launcher.run_now(&bench.caller, id, None, bench.start).await.unwrap();
    let schedule = bench.schedules.get(bench.caller.tenant, id).await.unwrap();
    assert_eq!((schedule.last_run.unwrap().run_id, replayed), (run.id, false));
    assert_eq!((schedule.counts.started, schedule.next_due), (1, Some(bench.start + HOUR)));
    assert_eq!(run.options.schedule.unwrap().due_at, bench.start);
}

#[tokio::test]
async fn a_deleted_schedule_starts_nothing() {
    let bench = Bench::new().await;
    let id = bench.hourly(json!({})).await;
    bench.schedules.delete(bench.caller.tenant, id).await.unwrap();
    let worked = bench.worker.work(bench.caller.tenant, id, bench.start + HOUR).await.unwrap();
    assert_eq!(worked, ScheduleWorked::Nothing);
}
