//! Processes are killed at random moments, and no client loses a byte.

use std::time::Duration;

use crate::audited::audited;
use crate::background::instances;
use crate::once::all;
use crate::system::{Caller, PATIENCE, System, answer, is_terminal, read_events, scaled};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::time::timeout;

/// The owner of each run is killed at a random moment. One client per run reconnects until the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_run_is_continued_and_its_reader_misses_nothing() {
    let system = System::start(&[("LEASE_MS", "900"), ("LEASE_RENEW_MS", "250")]).await;
    let caller = system.sign_up("kill@example.com").await.with_api_key().await;
    let message = "/demo tokens=60 rate=60";
    let whole = caller.send(&json!({"message": {"content": message}})).await;
    let expected = answer(&read_events(whole).await.events);
    assert!(!expected.is_empty());

    let runs = scaled(12, 200);
    let seed = fastrand::u64(..);
    println!("seed {seed}, {runs} runs");
    let mut random = fastrand::Rng::with_seed(seed);
    let pauses: Vec<Duration> = (0..runs).map(|_| Duration::from_millis(random.u64(20..400))).collect();
    let killed = pauses.iter().map(|pause| killed(&system, &caller, message, &expected, *pause));
    let survived: Vec<usize> = stream::iter(killed).buffer_unordered(4).collect().await;
    println!("all taken over, beside {} runs that no kill hit", survived.iter().sum::<usize>());
    audited(&system).await;
}

/// A client without response headers cannot know whether its run exists. It repeats the request with the same
/// key, and exactly one run exists.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_killed_before_its_headers_and_repeated_runs_once() {
    let system = System::start(&[("LEASE_MS", "900"), ("LEASE_RENEW_MS", "250")]).await;
    let caller = system.sign_up("again@example.com").await;
    let body = json!({"message": {"content": "/demo tokens=12 rate=60"}});
    let expected = answer(&read_events(caller.send(&body).await).await.events);

    let sends = scaled(12, 200);
    let seed = fastrand::u64(..);
    println!("seed {seed}, {sends} sends");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut unanswered = 0;
    let mut stored = 0;
    let mut number = 0;
    // On a machine that is busy in some way, the first kills may all come after the headers.
    while number < sends || (unanswered == 0 && number < 20 * sends) {
        let send = || {
            let request = caller.request("POST", "/api/chat/send").json(&body);
            request.header("idempotency-key", format!("send-{number}")).send()
        };
        let after = Duration::from_millis(random.u64(..25));
        let killed = async {
            busy(&system).await;
            kill(&system, after).await;
        };
        let (first, ()) = tokio::join!(send(), killed);
        let lost = !first.is_ok_and(|response| response.status() == 200);
        let again = async {
            loop {
                match send().await {
                    Ok(response) if response.status() == 200 => return response,
                    Ok(response) => assert!(response.status().is_server_error(), "{response:?}"),
                    Err(_) => {}
                }
            }
        };
        let again = timeout(PATIENCE, again).await.expect("a retry is answered");
        let attached = again.headers().contains_key("idempotency-replayed");
        unanswered += usize::from(lost);
        stored += usize::from(lost && attached);
        let run = again.headers()["x-run-id"].to_str().unwrap().to_owned();
        let received = caller.follow(&run, read_events(again).await.events, PATIENCE).await;
        complete(&caller, &run, received, &expected).await;
        number += 1;
        assert_eq!(all(&caller, "/api/runs").await.len(), number + 1, "one run per send");
    }
    assert_eq!(all(&caller, "/api/projects").await.len(), number + 1, "one conversation per send");
    println!("{unanswered} of {number} had no answer, {stored} of them had stored their run");
    assert!(unanswered > 0, "no kill came before the headers");
    audited(&system).await;
}

/// Waits until a process works on a request, so that a kill hits it however long the request takes to get
/// there.
async fn busy(system: &System) {
    let working = async {
        while !instances(system, "ChatFunction").iter().any(|(_, state)| state == "busy") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, working).await.expect("the request reaches a process");
}

/// Kills one of the processes that execute a run at that moment.
async fn kill(system: &System, after: Duration) {
    tokio::time::sleep(after).await;
    let instances = system.stack.instances();
    let owners =
        instances.iter().filter(|instance| instance.function == "ChatFunction" && instance.state == "busy");
    if let Some(owner) = fastrand::choice(owners.collect::<Vec<_>>()) {
        system.stack.kill(owner.pid);
    }
}

/// Repeats runs until one was taken over by another process. Returns the number of runs that ended before the
/// kill.
async fn killed(system: &System, caller: &Caller, message: &str, expected: &str, pause: Duration) -> usize {
    for survived in 0..20 {
        let log = one(system, caller, message, expected, pause).await;
        if log.iter().filter_map(|event| event["epoch"].as_u64()).max() > Some(1) {
            return survived;
        }
    }
    panic!("no kill hits a run in flight");
}

/// Sends a message, kills until the response breaks off, and follows the run through every cut.
async fn one(system: &System, caller: &Caller, message: &str, expected: &str, pause: Duration) -> Vec<Value> {
    let sent = loop {
        // If the process is killed before the response begins, the request fails or its connection breaks.
        let send = caller.request("POST", "/api/chat/send").json(&json!({"message": {"content": message}}));
        match send.send().await {
            Ok(response) if response.status() == 200 => break response,
            Ok(response) => assert!(response.status().is_server_error(), "{response:?}"),
            Err(_) => {}
        }
    };
    let run = sent.headers()["x-run-id"].to_str().unwrap().to_owned();
    let mut reading = std::pin::pin!(read_events(sent));
    let received = loop {
        tokio::select! {
            received = &mut reading => break received,
            () = kill(system, pause) => {}
        }
    };
    let received = caller.follow(&run, received.events, PATIENCE).await;
    complete(caller, &run, received, expected).await
}

/// Compares the received events with the log, and the log with its projections.
async fn complete(caller: &Caller, run: &str, received: Vec<Value>, expected: &str) -> Vec<Value> {
    let log = caller.log(run).await;
    assert_eq!(received, log, "{run}: the received events are the log");
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
