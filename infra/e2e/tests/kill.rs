//! Processes die at any moment; nobody loses a byte.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::time::Duration;

use futures::{StreamExt, stream};
use sequent_e2e::{Caller, System, answer, hear, is_terminal, scaled};
use serde_json::{Value, json};

/// Each run's owner is killed at a random moment, with SIGKILL; one client per run reconnects until it has the end.
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
    let mut taken_over = 0;
    for round in (0..runs).collect::<Vec<_>>().chunks(4) {
        let before: Vec<u32> = busy(&system);
        assert!(before.is_empty(), "every run of the round before has ended");
        let sends = round.iter().map(|_| one(&caller, message, &expected));
        let killer = async {
            let mut victims = random.usize(1..=2);
            while victims > 0 {
                tokio::time::sleep(Duration::from_millis(random.u64(50..900))).await;
                let chat = busy(&system);
                if let Some(pid) = chat.get(random.usize(..chat.len().max(1))) {
                    system.stack.kill(*pid);
                }
                victims -= 1;
            }
        };
        let (logs, ()) = tokio::join!(stream::iter(sends).buffer_unordered(4).collect::<Vec<_>>(), killer);
        taken_over +=
            logs.iter().filter(|log| log.iter().any(|event| event["epoch"].as_u64() > Some(1))).count();
    }
    println!("{taken_over} of {runs} runs were taken over");
    assert!(taken_over > 0, "the test killed nothing");
}

fn busy(system: &System) -> Vec<u32> {
    let instances = system.stack.instances();
    let chat =
        instances.iter().filter(|instance| instance.function == "ChatFunction" && instance.state == "busy");
    chat.map(|instance| instance.pid).collect()
}

/// Sends, follows through every cut, and holds what was heard against the log.
async fn one(caller: &Caller, message: &str, expected: &str) -> Vec<Value> {
    let sent = loop {
        // Killed before the run was stored: the request failed as a whole, and is made again.
        let response = caller.send(&json!({"message": {"content": message}})).await;
        if response.status() == 200 {
            break response;
        }
    };
    let run = sent.headers()["x-run-id"].to_str().unwrap().to_owned();
    let heard = caller.follow(&run, hear(sent).await.events, Duration::from_secs(60)).await;
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
