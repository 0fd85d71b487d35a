//! The feed of a tenant through the whole stack: written from the table's stream, read over the one origin.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    background::{create, instances},
    once::all,
    system::{Caller, PATIENCE, System},
};

/// Reads the whole feed, by page.
pub(crate) async fn entries(caller: &Caller) -> Vec<Value> {
    let mut entries: Vec<Value> = Vec::new();
    let mut after = 0;
    loop {
        let page = caller.get(&format!("/api/feed?limit=1000&after={after}")).await;
        entries.extend(page["entries"].as_array().unwrap_or_else(|| panic!("{page}")).iter().cloned());
        after = page["next_after"].as_u64().unwrap();
        if page["has_more"] == false {
            return entries;
        }
    }
}

/// The number of entries of a type for each run.
fn runs_with<'a>(entries: &'a [Value], kind: &str) -> BTreeMap<&'a str, usize> {
    let mut runs = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry["type"] == kind) {
        *runs.entry(entry["run_id"].as_str().unwrap()).or_default() += 1;
    }
    runs
}

/// Checks the feed against the rows, once it has the ends of these runs: positions without gaps, and each run created and ended
/// once, as its row says.
pub(crate) async fn check(caller: &Caller, runs: &[String]) {
    let told = async {
        loop {
            let entries = entries(caller).await;
            if runs_with(&entries, "run.ended").len() >= runs.len() {
                return entries;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let entries = timeout(PATIENCE, told).await.expect("the feed tells of the end of each run");
    let seqs = entries.iter().map(|entry| entry["seq"].as_u64().unwrap());
    assert!(seqs.eq(1..=entries.len() as u64), "a gap, or a position twice");
    let rows = all(caller, "/api/runs").await;
    let rows: BTreeMap<&str, &Value> = rows
        .iter()
        .filter(|row| row["parent_run_id"].is_null())
        .map(|row| (row["id"].as_str().unwrap(), row))
        .collect();
    for kind in ["run.created", "run.started", "run.ended"] {
        let told = runs_with(&entries, kind);
        assert!(told.keys().eq(rows.keys()), "{kind}: {told:?}");
        assert!(told.values().all(|count| *count == 1), "{kind} twice: {told:?}");
    }
    for entry in entries.iter().filter(|entry| entry["type"] == "run.ended") {
        let row = rows[entry["run_id"].as_str().unwrap()];
        assert_eq!(entry["status"], row["status"], "{entry}");
    }
    let snapshot = caller.get("/api/feed/snapshot").await;
    assert_eq!(snapshot["runs"], json!([]));
    // Entries about messages and names may follow.
    assert!(snapshot["seq"].as_u64().is_some_and(|seq| seq >= entries.len() as u64), "{}", snapshot["seq"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_learns_of_every_run_although_the_writer_is_killed() {
    let system = System::start(&[]).await;
    let caller = system.sign_up("reader@example.com").await.with_api_key().await;
    let mut response =
        caller.request("GET", "/api/feed").header("accept", "text/event-stream").send().await.unwrap();
    assert_eq!(response.status(), 200);

    let mut runs = Vec::new();
    for _ in 0..6 {
        let run = create(&caller, &json!({"input": "/demo tokens=3 rate=0"})).await;
        runs.push(run["id"].as_str().unwrap().to_owned());
        for (pid, _) in instances(&system, "FeedFunction") {
            system.stack.kill(pid);
        }
    }
    let question = json!({"input": "/demo tokens=1 rate=0 tool=ask_user args={\"question\":\"Which?\"}\n/demo tokens=1 rate=0"});
    let waiting = create(&caller, &question).await;
    let waiting = waiting["id"].as_str().unwrap();
    let live = async {
        loop {
            let snapshot = caller.get("/api/feed/snapshot").await;
            let run = snapshot["runs"].as_array().unwrap().iter().find(|run| run["id"] == waiting).cloned();
            if let Some(run) = run.filter(|run| run["status"] == "interrupted") {
                return run;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let run = timeout(PATIENCE, live).await.expect("the snapshot has the open question");
    let answer = json!({"answers": [{"interrupt_id": run["interrupts"][0]["id"], "payload": "this"}]});
    let path = format!("/api/runs/{waiting}/resume");
    let resumed = caller
        .request("POST", &path)
        .header("accept", "application/json")
        .json(&answer)
        .send()
        .await
        .unwrap();
    assert!(resumed.status().is_success(), "{resumed:?}");
    resumed.bytes().await.unwrap();
    runs.push(waiting.to_owned());
    check(&caller, &runs).await;

    let entries = entries(&caller).await;
    for kind in ["run.interrupted", "run.answered"] {
        assert_eq!(runs_with(&entries, kind), BTreeMap::from([(waiting, 1)]), "{kind}");
    }
    let created = entries.iter().find(|entry| entry["type"] == "project.created").unwrap();
    assert!(created["project_name"].as_str().is_some_and(|name| name.starts_with("/demo")), "{created}");
    // The stream that was opened before has the same entries.
    let reading = async {
        let mut text = String::new();
        while text.matches("\nid: ").count() < entries.len() {
            let chunk =
                response.chunk().await.unwrap().expect("the stream is not cut before a minute has passed");
            text += std::str::from_utf8(&chunk).unwrap();
        }
        text
    };
    let streamed = timeout(PATIENCE, reading).await.expect("the stream has every entry");
    let ids =
        streamed.lines().filter_map(|line| line.strip_prefix("id: ")).map(|id| id.parse::<u64>().unwrap());
    assert!(ids.take(entries.len()).eq(1..=entries.len() as u64), "{streamed}");
}
