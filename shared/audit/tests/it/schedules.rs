//! Schedules that are stuck.

use sequent_audit::FindingKind;
use sequent_core::{Principal, Scopes, Timestamp, UserId, Via};
use sequent_schedules::{Schedule, Schedules};
use sequent_tables::{Update, key};
use serde_json::json;

use crate::bench::{Bench, HOUR, MINUTE};

/// A schedule that is due each hour.
async fn hourly(bench: &Bench) -> Schedule {
    let caller = Principal {
        tenant: bench.tenant,
        user: UserId::new(),
        session: None,
        api_key: None,
        scopes: Scopes::ALL,
        via: Via::Bearer,
    };
    let spec = json!({"name": "Tides", "input": "When is high tide?", "every_seconds": 3600});
    let spec = serde_json::from_value(spec).unwrap();
    Schedules::new(bench.store().clone()).create(&caller, spec, Timestamp::now()).await.unwrap()
}

#[tokio::test]
async fn a_schedule_that_no_sweep_can_find_is_found() {
    let bench = Bench::new().await;
    let schedule = hourly(&bench).await;
    assert_eq!(bench.found(MINUTE).await, []);
    let row = key::schedule(bench.tenant, schedule.id);
    bench.update(Update::of(&row).remove_gsi2()).await;
    assert_eq!(bench.found(MINUTE).await, [FindingKind::ScheduleNotDue]);
    let late = key::due_schedule(schedule.id, Timestamp::now() + 9 * HOUR);
    bench.update(Update::of(&row).gsi2(&late)).await;
    assert_eq!(bench.found(MINUTE).await, [FindingKind::ScheduleNotDue], "it is found too late");
}

#[tokio::test]
async fn a_schedule_that_a_sweep_has_sent_is_no_finding() {
    let bench = Bench::new().await;
    let schedule = hourly(&bench).await;
    let due = schedule.next_due.unwrap();
    let postpone = async |until| {
        let row = Update::of(&key::schedule(bench.tenant, schedule.id));
        bench.update(row.gsi2(&key::due_schedule(schedule.id, until))).await;
    };
    postpone(due + 2 * MINUTE).await;
    assert_eq!(bench.found(59 * MINUTE).await, [], "it was sent before its time");
    let later = due + 30 * MINUTE;
    postpone(later + 2 * MINUTE).await;
    assert_eq!(bench.found_at(later).await, [], "it was sent again and again");
    let much_later = due + 2 * HOUR;
    postpone(much_later + 2 * MINUTE).await;
    assert_eq!(bench.found_at(much_later).await, [FindingKind::ScheduleOverdue]);
}

#[tokio::test]
async fn a_schedule_is_found_if_no_worker_takes_it() {
    let bench = Bench::new().await;
    hourly(&bench).await;
    assert_eq!(bench.found(HOUR + 30 * MINUTE).await, [], "a worker may still come");
    assert_eq!(bench.found(3 * HOUR).await, [FindingKind::ScheduleOverdue]);
}
