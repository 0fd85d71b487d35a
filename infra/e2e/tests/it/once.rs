//! Cancelling a run over HTTP, and starting it once.

use std::time::Instant;

use crate::{
    background::until,
    cancel::logged,
    system::{Caller, PATIENCE, System, answer, read_events, scaled},
};
use futures::future::join_all;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_ends_a_long_answer_and_keeps_its_beginning() {
    let system = System::start(&[]).await;
    let caller = system.sign_up("cancel@example.com").await;
    let sent = caller.send(&json!({"message": {"content": "/demo tokens=100000 rate=50"}})).await;
    let run = sent.headers()["x-run-id"].to_str().unwrap().to_owned();
    let reading = tokio::spawn(read_events(sent));
    logged(&caller, &run, "TEXT_MESSAGE_CONTENT").await;
    let asked = Instant::now();
    let answered = caller.request("POST", &format!("/api/runs/{run}/cancel")).send().await.unwrap();
    assert!(answered.status().is_success(), "{}", answered.status());
    let received = reading.await.unwrap().events;
    let took = asked.elapsed();
    println!("cancelled in {took:?}");
    assert_eq!(received.last().unwrap()["outcome"]["type"], "cancelled");
    // The target is one second. The run would last for half an hour.
    assert!(took < PATIENCE, "{took:?}");
    let row = caller.get(&format!("/api/runs/{run}")).await;
    assert_eq!(row["status"], "cancelled");
    let messages =
        caller.get(&format!("/api/projects/{}/messages", row["project_id"].as_str().unwrap())).await;
    assert_eq!(messages["items"][1]["content"], answer(&received));
    assert_eq!(messages["items"][1]["status"], "partial");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_requests_with_one_key_have_one_effect() {
    let system = System::start(&[]).await;
    let caller = system.sign_up("once@example.com").await;
    let keys = scaled(3, 100);
    for key in 0..keys {
        let body = json!({"message": {"content": format!("{key}\n/demo tokens=2 rate=0")}});
        // Each is another process, and all have to start within the ten seconds that Lambda gives them.
        let requests = (0..scaled(20, 50)).map(|_| async {
            let request =
                caller.request("POST", "/api/chat/send").header("idempotency-key", format!("key-{key}"));
            let response = request.json(&body).send().await.unwrap();
            let run = response.headers().get("x-run-id").map(|run| run.to_str().unwrap().to_owned());
            (response.status().as_u16(), run)
        });
        let answers = join_all(requests).await;
        let mut runs: Vec<&String> = answers.iter().filter_map(|(_, run)| run.as_ref()).collect();
        assert!(answers.iter().all(|(status, _)| [200, 409, 429, 503].contains(status)), "{answers:?}");
        runs.dedup();
        assert_eq!(runs.len(), 1, "key {key}: {answers:?}");
    }
    let runs = all(&caller, "/api/runs").await;
    assert_eq!(runs.len(), keys, "one run per key");
    for run in runs {
        // A response begins before its run has ended, and nothing above reads it to its end.
        let run = until(&caller, run["id"].as_str().unwrap(), |run| run["completed_at"].is_string()).await;
        assert_eq!(run["status"], "success", "{run}");
    }
    assert_eq!(all(&caller, "/api/projects").await.len(), keys, "in one conversation");
}

/// Reads all pages of a list.
pub(crate) async fn all(caller: &Caller, path: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = caller.get(&format!("{path}?limit=100{cursor}")).await;
        items.extend(page["items"].as_array().unwrap_or_else(|| panic!("{page}")).clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}
