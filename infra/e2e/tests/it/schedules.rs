//! Schedules through the whole stack: the due index, the sweep, the queue and its worker.

use sequent_core::Timestamp;
use serde_json::{Value, json};

use crate::system::{PATIENCE, System};

/// The sweep runs every three seconds in scaled time. Due times are not scaled.
#[tokio::test]
async fn a_schedule_of_a_minute_starts_a_run_that_names_it() {
    let system = System::start_with(&[], |options| options.time_scale = 20).await;
    let caller = system.sign_up("schedules@example.com").await;
    let starts_at = Timestamp::now() + std::time::Duration::from_secs(6);
    let schedule = json!({"name": "Every minute", "input": "/demo tokens=3 rate=0", "every_seconds": 60, "starts_at": starts_at});
    let created = caller.request("POST", "/api/schedules").json(&schedule).send().await.unwrap();
    assert_eq!(created.status(), 201);
    let created: Value = created.json().await.unwrap();
    let path = format!("/api/schedules/{}", created["id"].as_str().unwrap());
    let started = async {
        loop {
            let shown = caller.get(&path).await;
            if let Some(run) = shown["runs"][0]["run_id"].as_str() {
                return (run.to_owned(), shown);
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let (run, shown) = tokio::time::timeout(PATIENCE, started).await.expect("a run is started");
    assert_eq!(shown["runs"][0]["due_at"], json!(starts_at), "{shown}");
    assert_eq!(shown["counts"], json!({"started": 1, "skipped": 0, "missed": 0, "failed": 0}));
    let ended = async {
        loop {
            let run = caller.get(&format!("/api/runs/{run}")).await;
            if run["completed_at"].is_string() {
                return run;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let run = tokio::time::timeout(PATIENCE, ended).await.expect("the run ends");
    assert_eq!(run["status"], "success");
    assert_eq!(run["schedule"], json!({"id": created["id"], "due_at": starts_at}));
}
