//! Creating, changing and deleting schedules.

use futures::future::join_all;
use sequent_core::{ApiKeyId, Principal, Scope, Scopes, TenantId, Timestamp, UserId, Via};
use sequent_schedules::{
    Error, MAX_SCHEDULES, Pause, PauseReason, Schedule, ScheduleChange, ScheduleSpec, Schedules,
};
use sequent_tables::{DueIndex, Store, due_at, key, testing};
use serde_json::{Value, json};

pub(crate) fn caller(scopes: Scopes) -> Principal {
    let api_key = Some(ApiKeyId::new());
    Principal {
        tenant: TenantId::new(),
        user: UserId::new(),
        session: None,
        api_key,
        scopes,
        via: Via::ApiKey,
    }
}

pub(crate) fn spec(more: Value) -> ScheduleSpec {
    let mut spec = json!({"name": "Tides", "input": "When is high tide?"});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

fn change(change: Value) -> ScheduleChange {
    serde_json::from_value(change).unwrap()
}

fn at(text: &str) -> Timestamp {
    serde_json::from_value(json!(text)).unwrap()
}

struct Bench {
    store: Store,
    schedules: Schedules,
    caller: Principal,
    now: Timestamp,
}

impl Bench {
    async fn new() -> Self {
        let store = testing::store().await;
        let schedules = Schedules::new(store.clone());
        Self { store, schedules, caller: caller(Scopes::ALL), now: at("2026-12-01T00:00:00Z") }
    }

    async fn create(&self, more: Value) -> Result<Schedule, Error> {
        self.schedules.create(&self.caller, spec(more), self.now).await
    }

    async fn change(&self, of: &Schedule, to: Value) -> Result<Schedule, Error> {
        self.schedules.change(&self.caller, of.id, &change(to), self.now).await
    }

    /// The time at which the index has the schedule.
    async fn indexed_at(&self, schedule: &Schedule) -> Option<Timestamp> {
        let row = self.store.get_item(&key::schedule(self.caller.tenant, schedule.id)).await.unwrap();
        due_at(&row.unwrap())
    }
}

#[tokio::test]
async fn a_schedule_is_in_the_due_index_while_it_is_active() {
    let bench = Bench::new().await;
    let created = bench.create(json!({"cron": "0 9 * * *", "time_zone": "Europe/Berlin"})).await.unwrap();
    assert_eq!(bench.schedules.get(bench.caller.tenant, created.id).await.unwrap(), created);
    let due = at("2026-12-01T08:00:00Z");
    assert_eq!((created.next_due, bench.indexed_at(&created).await), (Some(due), Some(due)));
    let page = DueIndex::Schedules.sweep(&bench.store, due);
    let mut sweep = page;
    let mut found = Vec::new();
    while let Some(page) = sweep.page().await.unwrap() {
        found.extend(page);
    }
    let [found] = found.try_into().unwrap();
    assert_eq!(key::parse_schedule(found.key()), Some((bench.caller.tenant, created.id)));
    assert_eq!(found.at(), due);

    let paused = bench.change(&created, json!({"paused": true})).await.unwrap();
    let requested = Pause { reason: PauseReason::Requested, detail: None, at: bench.now };
    assert_eq!((paused.paused, paused.next_due), (Some(requested), None));
    assert_eq!(bench.indexed_at(&created).await, None);
    let active = bench.change(&created, json!({"paused": false})).await.unwrap();
    assert_eq!((active.paused, active.next_due), (None, Some(due)));
}

#[tokio::test]
async fn a_change_replaces_what_it_names() {
    let bench = Bench::new().await;
    let created = bench
        .create(json!({"cron": "0 9 * * *", "agent": "support", "ends_at": "2027-01-01T00:00:00Z"}))
        .await;
    let created = created.unwrap();
    let changed =
        bench.change(&created, json!({"every_seconds": 600, "agent": null, "ends_at": null})).await.unwrap();
    assert_eq!((&changed.spec.cron, changed.spec.every_seconds), (&None, Some(600)));
    assert_eq!((changed.spec.agent.clone(), changed.spec.ends_at), (None, None));
    assert_eq!(changed.next_due, Some(at("2026-12-01T00:10:00Z")));
    let back = bench.change(&created, json!({"cron": "0 10 * * *"})).await.unwrap();
    assert_eq!((back.spec.every_seconds, back.next_due), (None, Some(at("2026-12-01T10:00:00Z"))));
}

#[tokio::test]
async fn a_change_that_does_not_concern_the_times_keeps_a_due_time_that_has_come() {
    let bench = Bench::new().await;
    let created = bench.create(json!({"every_seconds": 60})).await.unwrap();
    let due = created.next_due.unwrap();
    let change_at = async |to: Value, at: Timestamp| {
        bench.schedules.change(&bench.caller, created.id, &change(to), at).await.unwrap().next_due
    };
    let just_after = due + std::time::Duration::from_secs(5);
    assert_eq!(change_at(json!({"name": "High tides", "overlap": "queue"}), just_after).await, Some(due));
    assert_eq!(change_at(json!({"paused": false}), just_after).await, Some(due), "it is active");
    let begun_again = change_at(json!({"every_seconds": 120}), just_after).await;
    assert_eq!(begun_again, Some(due + std::time::Duration::from_secs(60)));
}

#[tokio::test]
async fn a_schedule_that_is_never_due_or_not_allowed_is_refused() {
    let bench = Bench::new().await;
    for (more, expected) in [
        (json!({"cron": "0 0 30 2 *"}), "no time is ever due"),
        (json!({"cron": "0 9 * * *", "ends_at": "2026-12-01T08:00:00Z"}), "no time is ever due"),
        (json!({}), "a schedule has either a cron expression or an interval"),
        (
            json!({"cron": "0 9 * * *", "every_seconds": 60}),
            "a schedule has either a cron expression or an interval",
        ),
        (json!({"every_seconds": 59}), "the interval is not allowed"),
        (json!({"every_seconds": 60, "jitter_seconds": 3601}), "the jitter is not allowed"),
        (
            json!({"every_seconds": 60, "starts_at": "2027-01-01T00:00:00Z", "ends_at": "2026-12-31T00:00:00Z"}),
            "the end comes before the start",
        ),
    ] {
        let refused = bench.create(more.clone()).await.unwrap_err();
        assert_eq!(refused.to_string(), expected, "{more}");
    }
    let created = bench.create(json!({"cron": "0 9 * * *"})).await.unwrap();
    let refused = bench.change(&created, json!({"cron": "0 0 30 2 *"})).await;
    assert!(matches!(refused, Err(Error::NeverDue)), "{refused:?}");
    assert_eq!(bench.schedules.get(bench.caller.tenant, created.id).await.unwrap(), created);
}

#[tokio::test]
async fn of_many_creations_at_once_as_many_succeed_as_there_is_room_for() {
    let bench = Bench::new().await;
    for _ in 0..MAX_SCHEDULES - 3 {
        bench.create(json!({"every_seconds": 60})).await.unwrap();
    }
    let many = join_all((0..8).map(|_| bench.create(json!({"every_seconds": 60})))).await;
    let created: Vec<&Schedule> = many.iter().flatten().collect();
    assert_eq!(created.len(), 3, "{many:?}");
    assert!(
        many.iter().flat_map(|created| created.as_ref().err()).all(|error| matches!(error, Error::TooMany))
    );
    let tenant = bench.caller.tenant;
    bench.schedules.delete(tenant, created[0].id).await.unwrap();
    assert!(matches!(bench.schedules.delete(tenant, created[0].id).await, Err(Error::NotFound)));
    bench.create(json!({"every_seconds": 60})).await.unwrap();
    assert!(matches!(bench.create(json!({"every_seconds": 60})).await, Err(Error::TooMany)));
}

#[tokio::test]
async fn who_changes_the_task_answers_for_the_runs() {
    let bench = Bench::new().await;
    let created = bench.create(json!({"every_seconds": 60})).await.unwrap();
    let narrow = Principal {
        user: UserId::new(),
        ..caller(Scopes::NONE.with(Scope::SchedulesWrite).with(Scope::Chat))
    };
    let narrow = Principal { tenant: bench.caller.tenant, ..narrow };
    let paused = bench
        .schedules
        .change(&narrow, created.id, &change(json!({"paused": true})), bench.now)
        .await
        .unwrap();
    assert_eq!((paused.user_id, paused.scopes()), (bench.caller.user, Scopes::ALL));
    let task = change(json!({"input": "And low tide?"}));
    let changed = bench.schedules.change(&narrow, created.id, &task, bench.now).await.unwrap();
    assert_eq!((changed.user_id, changed.scopes()), (narrow.user, narrow.scopes));
    let cancels = change(json!({"overlap": "cancel"}));
    let refused = bench.schedules.change(&narrow, created.id, &cancels, bench.now).await;
    assert!(matches!(refused, Err(Error::Scope(_))), "{refused:?}");
}

#[tokio::test]
async fn another_tenant_does_not_find_it() {
    let bench = Bench::new().await;
    let created = bench.create(json!({"every_seconds": 60})).await.unwrap();
    let eve = caller(Scopes::ALL);
    assert!(matches!(bench.schedules.get(eve.tenant, created.id).await, Err(Error::NotFound)));
    let refused = bench.schedules.change(&eve, created.id, &change(json!({"paused": true})), bench.now).await;
    assert!(matches!(refused, Err(Error::NotFound)));
    assert!(matches!(bench.schedules.delete(eve.tenant, created.id).await, Err(Error::NotFound)));
}
