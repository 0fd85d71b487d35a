//! The answers to the golden events.

use sequent_http::testing::golden::Golden;
use sequent_schedules_function::openapi;

use crate::deployment::{Deployment, golden};

fn goldens() -> Golden {
    Golden::new("schedules", &openapi()).redact_member("instance")
}

/// Sends the event in a deployment with one schedule, and renders the response.
async fn answer(case: &str) -> String {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let path = deployment.create(&ada).await;
    let event = golden(case, &ada, &path);
    goldens().render(&event, &deployment.send(&event).await)
}

#[test]
fn every_golden_event_has_a_test() {
    goldens().assert_all_tested(include_str!("golden.rs"));
}

#[tokio::test]
async fn a_schedule_is_shown() {
    insta::assert_snapshot!(answer("get").await, @r#"
    200 application/json
    {
      "id": "sch_1",
      "name": "Nightly report",
      "status": "active",
      "paused": null,
      "cron": "30 2 * * *",
      "every_seconds": null,
      "time_zone": "Europe/Berlin",
      "agent": null,
      "input": "Report on the tides.",
      "variables": {},
      "project": "new",
      "overlap": "skip",
      "catch_up": true,
      "starts_at": "[time]",
      "ends_at": null,
      "jitter_seconds": 0,
      "next_times": [
        "[time]",
        "[time]",
        "[time]",
        "[time]",
        "[time]"
      ],
      "waiting": null,
      "project_id": null,
      "user_id": "usr_1",
      "counts": {
        "started": 0,
        "skipped": 0,
        "missed": 0,
        "failed": 0
      },
      "last_missed": [],
      "runs": [],
      "created_at": "[time]",
      "updated_at": "[time]"
    }
    "#);
}

#[tokio::test]
async fn a_schedule_is_created() {
    let nightly = answer("create").await;
    assert!(nightly.starts_with("201 application/json"), "{nightly}");
    for part in [r#""cron": "30 2 * * MON-FRI""#, r#""time_zone": "Europe/Berlin""#, r#""status": "active""#]
    {
        assert!(nightly.contains(part), "{part} is missing: {nightly}");
    }
    let hourly = answer("create-interval").await;
    assert!(hourly.starts_with("201 application/json"), "{hourly}");
    assert_eq!(
        hourly.matches("\"[time]\"").count(),
        3 + 2 + 2,
        "three due times are in its period: {hourly}"
    );
}

#[tokio::test]
async fn a_schedule_that_is_not_allowed_is_refused_with_the_place_and_the_rule() {
    for (case, status, part) in [
        ("create-seconds", 422, "Seconds and years are not supported"),
        ("create-unknown-zone", 422, "IANA"),
        ("create-both", 422, "#/cron"),
        ("create-never", 422, "must name a time to come"),
        ("create-unknown-agent", 404, "agent_not_found"),
    ] {
        let refused = answer(case).await;
        assert!(refused.starts_with(&format!("{status} application/problem+json")), "{case}: {refused}");
        assert!(refused.contains(part), "{case}: {refused}");
    }
}

#[tokio::test]
async fn a_schedule_is_listed_changed_run_and_deleted() {
    for (case, status, part) in [
        ("list", 200, "Nightly report"),
        ("pause", 200, r#""reason": "requested""#),
        ("change", 200, r#""cron": "0 6 * * *""#),
        ("run", 202, r#""schedule": {"#),
        ("delete", 204, ""),
    ] {
        let answer = answer(case).await;
        assert!(answer.starts_with(&status.to_string()), "{case}: {answer}");
        assert!(answer.contains(part), "{case}: {answer}");
    }
}
