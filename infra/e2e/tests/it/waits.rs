//! Long waits, in scaled time.

use serde_json::json;

use crate::{
    audited::audited,
    background::{create, epochs, until},
    system::{Caller, PATIENCE, System, check_ended, scaled},
};

/// Minutes that each child of the plan takes, in scaled time.
const MINUTES: u64 = 12;

/// Returns a plan whose two children work for that many seconds, beside each other.
fn plan(seconds: u64) -> String {
    let child = format!("/demo tokens={} rate=4", seconds * 4);
    let step = |id: &str| json!({"id": id, "title": id, "instructions": child, "independent": true});
    // The arguments of a directive contain no spaces.
    let plan = json!({"steps": [step("east"), step("west")]}).to_string().replace(' ', "\\u0020");
    format!("Two slow steps.\n/demo tokens=1 rate=0 tool=write_plan args={plan}\n/demo tokens=3 rate=300")
}

/// Waiting for children is not crashing: neither the sweep nor a reader takes a run that waits, again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_outlives_children_of_twelve_minutes_with_a_reader_and_without() {
    let factor = scaled(120, 60) as u64;
    let system = System::start_with(&[], |options| options.time_scale = factor.try_into().unwrap()).await;
    let caller = system.sign_up("waits@example.com").await;
    let body = json!({"input": plan(MINUTES * 60 / factor), "orchestration": "plan"});
    let start = || async { create(&caller, &body).await["id"].as_str().unwrap().to_owned() };
    let alone = start().await;
    let watched = start().await;
    let mut received = Vec::new();
    let reading = async {
        tokio::time::timeout(PATIENCE, caller.read(&watched, &mut received)).await.expect("the run ends");
    };
    let waiting = until(&caller, &alone, |run| run["completed_at"].is_string());
    tokio::join!(reading, waiting);
    assert_eq!(received, caller.log(&watched).await);
    let claims = [claims(&caller, &alone).await, claims(&caller, &watched).await];
    println!("claims without a reader and with one: {claims:?}");
    assert!(claims.iter().all(|claims| *claims <= 8), "a run that waits is left alone: {claims:?}");
    audited(&system).await;
}

/// Checks that the run succeeded, and returns the number of its claims.
async fn claims(caller: &Caller, run: &str) -> usize {
    let log = caller.log(run).await;
    check_ended(run, &log);
    assert_eq!(log.last().unwrap()["outcome"]["type"], "success", "{:?}", log.last());
    epochs(&log)
}
