//! Processes die at any moment; nobody loses a byte.

use std::time::Duration;

use crate::system::{Caller, System, answer, hear, is_terminal, scaled};
use futures::{StreamExt, stream};
use serde_json::{Value, json};

/// For every run an owner is killed at a random moment, with SIGKILL; one client per run reconnects until the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_run_is_continued_and_its_reader_misses_nothing() {
    let system = System::start(&[("LEASE_MS", "900"), ("LEASE_RENEW_MS", "250")]).await;
    let caller = system.sign_up("kill@example.com").await;
    let message = "/demo tokens=60 rate=60";
    let whole = caller.send(&json!({"message": {"content": message}})).await;
    let expected = answer(&hear(whole).await.events);
    assert!(!expected.is_empty());

    let runs = scaled(12, 200);
    let seed = fastrand::u64(..);
    println!("seed {seed}, {runs} runs");
    let mut random = fastrand::Rng::with_seed(seed);
    let kills: Vec<Duration> = (0..runs).map(|_| Duration::from_millis(random.u64(..1000))).collect();
    let runs_of = kills.iter().map(|after| one(&system, &caller, message, &expected, *after));
    let logs: Vec<Vec<Value>> = stream::iter(runs_of).buffer_unordered(4).collect().await;
    let epochs = logs.iter().map(|log| log.iter().filter_map(|event| event["epoch"].as_u64()).max());
    let taken_over = epochs.filter(|epoch| *epoch > Some(1)).count();
    println!("{taken_over} of {runs} runs were taken over");
    assert!(taken_over > 0, "no kill hit a run in flight");
}

/// Kills one of the processes that work on a run at that moment: one kill for each run, on average.
async fn kill(system: &System, after: Duration) {
    tokio::time::sleep(after).await;
    let instances = system.stack.instances();
    let owners =
        instances.iter().filter(|instance| instance.function == "ChatFunction" && instance.state == "busy");
    if let Some(owner) = fastrand::choice(owners.collect::<Vec<_>>()) {
        system.stack.kill(owner.pid);
    }
}

/// Sends, follows through every cut, and holds what was heard against the log.
async fn one(system: &System, caller: &Caller, message: &str, expected: &str, after: Duration) -> Vec<Value> {
    let sent = loop {
        // Killed before the run was stored, the request fails as a whole and is made again.
        let response = caller.send(&json!({"message": {"content": message}})).await;
        if response.status() == 200 {
            break response;
        }
    };
    let run = sent.headers()["x-run-id"].to_str().unwrap().to_owned();
    let (heard, ()) = tokio::join!(hear(sent), kill(system, after));
    let heard = caller.follow(&run, heard.events, Duration::from_secs(60)).await;
    let log = caller.log(&run).await;
    assert_eq!(heard, log, "{run}: what was heard is the log");
    let seqs: Vec<u64> = log.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=log.len() as u64).collect::<Vec<_>>(), "{run}: no gap, no duplicate");
    assert_eq!(log.iter().filter(|event| is_terminal(event)).count(), 1, "{run}");
    assert_eq!(log.last().unwrap()["outcome"]["type"], "success", "{run}");
    assert_eq!(answer(&log), expected, "{run}: the answer is complete");
    let row = caller.get(&format!("/api/runs/{run}")).await;
    assert_eq!(row["status"], "success", "{run}");
    let project = row["project_id"].as_str().unwrap();
    let messages = caller.get(&format!("/api/projects/{project}/messages")).await;
    assert_eq!(messages["items"].as_array().unwrap().len(), 2, "{run}: a question and an answer");
    assert_eq!(messages["items"][1]["content"], expected, "{run}");
    log
}
