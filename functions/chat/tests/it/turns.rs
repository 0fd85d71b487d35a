//! Requests that meet a used key or a busy project.

use futures::future::join_all;
use http::StatusCode;
use sequent_conversation::{NewRun, RunStore, TurnRequest, create};
use sequent_core::{TenantId, UserId};
use sequent_runlog::{DynamoStorage, Settings};
use serde_json::{Value, json};

use crate::app::{app, app_over, event, events, frames, say, send};

#[tokio::test]
async fn fifty_requests_with_one_key_start_one_run() {
    let app = app().await;
    let ask = send(&say("/demo tokens=3 rate=0")).header("idempotency-key", "k-1");
    let answers = join_all((0..50).map(|_| ask.send(&app))).await;
    let run = answers[0].header("x-run-id");
    assert!(!run.is_empty());
    for answer in &answers {
        assert_eq!((answer.status, answer.header("x-run-id")), (StatusCode::OK, run));
        assert_eq!(frames(answer), frames(&answers[0]));
    }
    assert_eq!(answers.iter().filter(|answer| answer.header("idempotency-replayed") != "true").count(), 1);
    let other = send(&say("something else")).header("idempotency-key", "k-1").send(&app).await;
    assert_eq!(
        (other.status, other.code().as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused")
    );
}

#[tokio::test]
async fn on_conflict_decides_what_happens_in_a_busy_project() {
    let app = app().await;
    let first = send(&say("/demo tokens=3 rate=0")).send(&app).await;
    let project = first.header("x-project-id");
    let long = json!({"project_id": project, "message": {"content": "/demo tokens=400 rate=40"}});
    let open = send(&long).open(&app).await;
    let live = open.headers()["x-run-id"].to_str().unwrap().to_owned();

    let refused = send(&long).send(&app).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::CONFLICT, "run_in_progress"));
    assert_eq!(refused.json()["run_id"], live);

    let next = json!({"project_id": project, "message": {"content": "/demo tokens=2 rate=0"}, "on_conflict": "interrupt"});
    let next = send(&next).send(&app).await;
    assert_eq!(events(&next).last().unwrap()["outcome"]["type"], "success", "{}", next.text());
    let ended = event("GET", &format!("/api/runs/{live}/events")).send(&app).await;
    assert_eq!(events(&ended).last().unwrap()["outcome"]["type"], "cancelled");
    drop(open);
}

#[tokio::test]
async fn a_run_that_waits_is_answered_first_even_if_the_turn_is_free_for_an_instant() {
    let storage = DynamoStorage::new(sequent_tables::testing::store().await);
    let tenant = TenantId::new();
    let app = app_over(storage.clone(), tenant);
    let first = send(&say("/demo tokens=1 rate=0")).send(&app).await;
    let project = first.header("x-project-id").to_owned();
    // This run is created and has no owner yet.
    let waiting = NewRun::new(tenant, UserId::new(), project.parse().unwrap(), "/demo tokens=2 rate=0");
    create(&RunStore::new(storage, Settings::default()), &waiting, TurnRequest::Wait).await.unwrap();
    let last = json!({"message": {"content": "/demo tokens=1 rate=0"}, "project_id": project, "on_conflict": "enqueue"});
    let path = format!("/api/runs/{}/events", waiting.run);
    // No worker runs in this test. The reader of the waiting run claims it.
    let last = send(&last);
    let reader = event("GET", &path);
    let (last, waited) = tokio::join!(last.send(&app), reader.send(&app));
    let last = events(&last);
    let waited = events(&waited);
    let at = |event: &Value| event["timestamp"].as_u64().unwrap();
    let ended = waited.last().unwrap();
    assert_eq!(ended["outcome"]["type"], "success");
    let begun = last.iter().find(|event| event["type"] == "RUN_STARTED").unwrap();
    assert!(at(begun) >= at(ended));
    assert_eq!(last.last().unwrap()["outcome"]["type"], "success");
}
