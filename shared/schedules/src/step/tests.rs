use std::time::Duration;

use proptest::prelude::*;
use sequent_core::{Principal, ProjectId, Scopes, TenantId, UserId, Via};
use serde_json::{Value, json};

use super::*;
use crate::{GRACE, ScheduleCounts, ScheduleSpec};

/// 1 December 2026, midnight in UTC.
const START: Timestamp = Timestamp::from_millis(1_796_083_200_000);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn spec(more: Value) -> ScheduleSpec {
    let mut spec = json!({"name": "Tides", "input": "When is high tide?"});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

fn schedule(more: Value) -> Schedule {
    let caller = Principal {
        tenant: TenantId::new(),
        user: UserId::new(),
        session: None,
        api_key: None,
        scopes: Scopes::ALL,
        via: Via::Bearer,
    };
    Schedule::new(spec(more), &caller, START)
}

fn run() -> LastRun {
    LastRun { run_id: RunId::new(), project_id: ProjectId::new() }
}

fn counts(started: u64, skipped: u64, missed: u64, failed: u64) -> ScheduleCounts {
    ScheduleCounts { started, skipped, missed, failed }
}

#[test]
fn a_run_starts_at_its_time_and_not_before() {
    let schedule = schedule(json!({"every_seconds": 3600}));
    let due = START + HOUR;
    assert_eq!(schedule.step(due - Duration::from_millis(1), false), ScheduleStep::Rest);
    assert_eq!(schedule.step(due, false), ScheduleStep::Start(Occurrence::on_time(due)));
    let next = schedule.started(&Occurrence::on_time(due), run(), due);
    assert_eq!((next.next_due, next.revision, next.counts), (Some(due + HOUR), 2, counts(1, 0, 0, 0)));
    assert_eq!(next.step(due, false), ScheduleStep::Rest);
}

#[test]
fn times_that_were_missed_have_one_run_together() {
    let schedule = schedule(json!({"every_seconds": 3600}));
    let now = START + 5 * HOUR + HOUR / 2;
    let ScheduleStep::Start(missed) = schedule.step(now, false) else { panic!("it catches up") };
    assert_eq!((missed.due, missed.missed, missed.is_late()), (START + 5 * HOUR, 5, true));
    let next = schedule.started(&missed, run(), now);
    assert_eq!((next.next_due, next.counts), (Some(START + 6 * HOUR), counts(1, 0, 5, 0)));
    assert_eq!(next.last_missed, (1..=5).map(|hour| START + hour * HOUR).collect::<Vec<_>>());

    let on_time = START + 5 * HOUR + MINUTE;
    let ScheduleStep::Start(last) = schedule.step(on_time, false) else { panic!("the last is on time") };
    assert_eq!((last.due, last.missed, last.is_late()), (START + 5 * HOUR, 4, false));
}

#[test]
fn without_a_catch_up_only_a_time_that_is_on_time_has_a_run() {
    let schedule = schedule(json!({"every_seconds": 3600, "catch_up": false}));
    let late = START + 5 * HOUR + HOUR / 2;
    let ScheduleStep::Pass(missed, ScheduleOutcome::Missed) = schedule.step(late, false) else {
        panic!("no run")
    };
    let next = schedule.passed(&missed, ScheduleOutcome::Missed, None, late);
    assert_eq!((next.next_due, next.counts), (Some(START + 6 * HOUR), counts(0, 0, 5, 0)));
    assert!(matches!(schedule.step(START + 5 * HOUR, false), ScheduleStep::Start(last) if last.missed == 4));
}

#[test]
fn times_within_the_grace_have_runs_of_their_own() {
    let schedule = schedule(json!({"every_seconds": 60}));
    let now = START + MINUTE + GRACE;
    assert_eq!(schedule.step(now, false), ScheduleStep::Start(Occurrence::on_time(START + MINUTE)));
    let missed = schedule.occurrence(now + Duration::from_millis(1)).unwrap();
    assert_eq!((missed.due, missed.missed), (START + 11 * MINUTE, 10));
}

#[test]
fn a_live_run_is_left_queued_behind_or_replaced() {
    let due = START + HOUR;
    let come = Occurrence::on_time(due);
    let of = |overlap: &str| schedule(json!({"every_seconds": 3600, "overlap": overlap}));
    assert_eq!(of("skip").step(due, true), ScheduleStep::Pass(come.clone(), ScheduleOutcome::Skipped));
    assert_eq!(of("cancel").step(due, true), ScheduleStep::Replace(come.clone()));
    assert_eq!(of("queue").step(due, true), ScheduleStep::Queue(come.clone()));

    let queued = of("queue").queued(&come, due);
    assert_eq!((queued.next_due, queued.acts_at()), (Some(due + HOUR), Some(due + MINUTE)));
    assert_eq!(queued.step(due + MINUTE, true), ScheduleStep::LookAgain);
    assert_eq!(queued.looking_again(due + MINUTE).acts_at(), Some(due + 3 * MINUTE));
    let second = Occurrence::on_time(due + HOUR);
    assert_eq!(queued.step(due + HOUR, true), ScheduleStep::Pass(second.clone(), ScheduleOutcome::Skipped));
    let skipped = queued.passed(&second, ScheduleOutcome::Skipped, None, due + HOUR);
    assert_eq!(skipped.waiting, queued.waiting, "the first goes on waiting");
    assert_eq!(skipped.step(due + HOUR, false), ScheduleStep::Start(come.clone()));
    let started = skipped.started(&come, run(), due + HOUR);
    assert_eq!((started.waiting, started.next_due), (None, Some(due + 2 * HOUR)));
    assert_eq!(started.counts, counts(1, 1, 0, 0));
}

#[test]
fn a_run_that_lasts_for_days_is_looked_at_less_and_less_often() {
    let schedule = schedule(json!({"every_seconds": 31_622_400, "overlap": "queue"}));
    let due = schedule.next_due.unwrap();
    let mut waiting = schedule.queued(&Occurrence::on_time(due), due);
    let mut now = due;
    let mut pauses = Vec::new();
    while now < due + 72 * HOUR {
        let look_at = waiting.acts_at().unwrap();
        pauses.push(look_at.since(now).as_secs() / 60);
        now = look_at;
        assert_eq!(waiting.step(now, true), ScheduleStep::LookAgain);
        waiting = waiting.looking_again(now);
    }
    assert_eq!(pauses[..7], [1, 2, 4, 8, 16, 30, 30]);
    assert!(pauses.len() < 150, "{} looks in three days", pauses.len());
    assert_eq!(waiting.step(now, false), ScheduleStep::Start(Occurrence::on_time(due)));
}

#[test]
fn a_schedule_that_fails_steadily_is_paused_with_the_reason() {
    let mut failing = schedule(json!({"every_seconds": 3600}));
    let why = StartRefusal { code: "insufficient_credits".to_owned(), detail: "Buy credits.".to_owned() };
    for failures in 1..=MAX_FAILURES {
        assert_eq!(failing.paused, None);
        let due = failing.next_due.unwrap();
        failing = failing.refused(&Occurrence::on_time(due), why.clone(), due);
        assert_eq!((failing.failures, failing.counts.failed), (failures, failures.into()));
        assert_eq!(failing.recent[0].error, Some(why.clone()));
    }
    let pause = failing.paused.clone().unwrap();
    assert_eq!((pause.reason, failing.acts_at()), (PauseReason::Failing, None));
    assert!(pause.detail.unwrap().contains("`insufficient_credits`"));
}

#[test]
fn a_run_between_two_refusals_begins_the_count_again() {
    let mut schedule = schedule(json!({"every_seconds": 3600}));
    let why = StartRefusal { code: "too_many_runs".to_owned(), detail: String::new() };
    for _ in 0..3 * MAX_FAILURES {
        let due = Occurrence::on_time(schedule.next_due.unwrap());
        schedule = schedule.refused(&due, why.clone(), due.due);
        let due = Occurrence::on_time(schedule.next_due.unwrap());
        schedule = schedule.started(&due, run(), due.due);
    }
    assert_eq!(schedule.paused, None);
}

#[test]
fn without_its_user_or_key_a_schedule_is_paused_and_the_time_is_missed() {
    let schedule = schedule(json!({"every_seconds": 3600}));
    let due = START + HOUR;
    for (ended, reason) in
        [(EndedAuthority::User, PauseReason::UserDisabled), (EndedAuthority::ApiKey, PauseReason::KeyRevoked)]
    {
        let paused = schedule.without_authority(&Occurrence::on_time(due), ended, due);
        assert_eq!((paused.counts, paused.last_missed.clone()), (counts(0, 0, 1, 0), vec![due]));
        assert_eq!(paused.paused.unwrap().reason, reason);
        let waiting = schedule.queued(&Occurrence::on_time(due), due);
        let paused = waiting.without_authority(&Occurrence::on_time(due), ended, due + MINUTE);
        assert_eq!((paused.counts, paused.waiting), (counts(0, 0, 1, 0), None));
    }
}

#[test]
fn a_period_has_a_first_and_a_last_time() {
    let schedule = schedule(json!({
        "cron": "0 9 * * *", "starts_at": "2026-12-03T09:00:00Z", "ends_at": "2026-12-05T09:00:00Z",
    }));
    let times: Vec<String> = schedule.next_times(5).iter().map(ToString::to_string).collect();
    assert_eq!(times, ["2026-12-03T09:00:00Z", "2026-12-04T09:00:00Z", "2026-12-05T09:00:00Z"]);
}

proptest! {
    #[test]
    fn jitter_is_the_same_each_time_and_ends_before_the_next_due_time(
        jitter in 0_u32..=3600, every in 60_u32..4000, times in 1_u32..50,
    ) {
        let schedule = schedule(json!({"every_seconds": every, "jitter_seconds": jitter}));
        let due = START + Duration::from_secs(every.into()) * times;
        let start = schedule.start_of(due);
        prop_assert_eq!(start, schedule.start_of(due));
        prop_assert!(start >= due && start <= due + Duration::from_secs(jitter.into()));
        prop_assert!(start < due + Duration::from_secs(every.into()));
    }

    #[test]
    fn each_due_time_is_counted_once(every in 60_u32..10_000, waits in prop::collection::vec(0_u64..100_000, 1..40)) {
        let mut schedule = schedule(json!({"every_seconds": every}));
        let mut now = START;
        let mut caught_up = 0;
        for wait in waits {
            now = now + Duration::from_secs(wait);
            while let ScheduleStep::Start(come) = schedule.step(now, false) {
                caught_up += u64::from(come.is_late());
                schedule = schedule.started(&come, run(), now);
            }
        }
        let due = now.since(START).as_secs() / u64::from(every);
        prop_assert_eq!(schedule.counts.started - caught_up + schedule.counts.missed, due);
        prop_assert!(schedule.next_due.unwrap() > now);
    }
}
