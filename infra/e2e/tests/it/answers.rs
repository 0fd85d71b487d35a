//! The first answer to a question wins and takes effect once, whichever process is killed.

use std::time::Duration;

use crate::{
    background::{create, instances, until},
    system::{Caller, PATIENCE, System, check_ended, count_responses, of_kind, read_events, scaled, texts},
};
use futures::{StreamExt, stream};
use reqwest::Response;
use serde_json::{Value, json};
use tokio::time::timeout;

/// Asks a question and continues for a moment after the answer.
const ASK: &str =
    "/demo tokens=2 rate=0 tool=ask_user args={\"question\":\"Which?\"}\n/demo tokens=40 rate=200";

/// Starts a run that waits for a person, and returns the run and its question.
async fn asking(caller: &Caller, background: bool) -> (String, String) {
    let run = if background {
        create(caller, &json!({"input": ASK})).await["id"].as_str().unwrap().to_owned()
    } else {
        let sent = caller.send(&json!({"message": {"content": ASK}})).await;
        let run = sent.headers()["x-run-id"].to_str().unwrap().to_owned();
        assert_eq!(read_events(sent).await.events.last().unwrap()["outcome"]["type"], "interrupt");
        run
    };
    let row = until(caller, &run, |run| run["status"] == "interrupted").await;
    assert!(row["completed_at"].is_null(), "it has not ended: {row}");
    (run, row["interrupts"][0]["id"].as_str().unwrap().to_owned())
}

pub(crate) async fn resume(
    caller: &Caller,
    run: &str,
    question: &str,
    payload: &str,
    background: bool,
) -> reqwest::Result<Response> {
    let body = json!({"answers": [{"interrupt_id": question, "payload": payload}]});
    let accept = if background { "application/json" } else { "text/event-stream" };
    let request = caller.request("POST", &format!("/api/runs/{run}/resume")).header("accept", accept);
    request.json(&body).send().await
}

/// Checks that the run succeeded with this answer, and that every event in it happened once.
async fn check_answered(caller: &Caller, run: &str, payload: &str) {
    let row = until(caller, run, |run| run["completed_at"].is_string()).await;
    assert_eq!(row["status"], "success", "{row}");
    let log = caller.log(run).await;
    check_ended(run, &log);
    assert_eq!(log.last().unwrap()["outcome"]["type"], "success", "{run}");
    let answers = of_kind(&log, "CLARIFICATION_ANSWERED");
    assert_eq!(answers.len(), 1, "{run}: one answer counts");
    assert_eq!(answers[0]["payload"], payload, "{run}: the winner's");
    let results = of_kind(&log, "TOOL_CALL_RESULT");
    assert_eq!(results.len(), 1, "{run}: the call has one result");
    assert_eq!(results[0]["content"], payload, "{run}");
    assert_eq!(of_kind(&log, "CLARIFICATION_NEEDED").len(), 1, "{run}: asked once");
    assert_eq!(count_responses(&log), 2, "{run}: the response before and the one after");
    let words: Vec<usize> = texts(&log).iter().map(|text| text.split_whitespace().count()).collect();
    assert_eq!(words, [2, 40], "{run}: both of them whole");
    let project = row["project_id"].as_str().unwrap();
    let messages = caller.get(&format!("/api/projects/{project}/messages")).await;
    assert_eq!(messages["items"].as_array().unwrap().len(), 2, "{run}: a question and an answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_answers_at_once_one_wins_and_the_other_request_gets_the_winner() {
    let system = System::start(&[]).await;
    let caller = system.sign_up("twice@example.com").await;
    let rounds = scaled(16, 200);
    let rounds = (0..rounds).map(|round| contested(&caller, round % 2 == 0, round % 4 < 2));
    let won: Vec<bool> = stream::iter(rounds).buffer_unordered(4).collect().await;
    let east = won.iter().filter(|east| **east).count();
    println!("{} rounds, the first request won {east} of them", won.len());
}

/// Lets two people answer at the same time. Returns `true` if the first one won.
async fn contested(caller: &Caller, background: bool, streamed: bool) -> bool {
    let (run, question) = asking(caller, background).await;
    let resume = |payload| resume(caller, &run, &question, payload, !streamed);
    let (east, west) = tokio::join!(resume("east"), resume("west"));
    let east = east.unwrap();
    let west = west.unwrap();
    let (east_won, winner, loser, payload) = match (east.status().as_u16(), west.status().as_u16()) {
        (200 | 202, 409) => (true, east, west, "east"),
        (409, 200 | 202) => (false, west, east, "west"),
        other => panic!("{run}: one wins and one is told so: {other:?}"),
    };
    let problem: Value = loser.json().await.unwrap();
    assert_eq!(problem["code"], "already_answered", "{problem}");
    assert_eq!(problem["answer"]["payload"], payload, "{problem}");
    assert_eq!(problem["answer"]["interrupt_id"], question.as_str(), "{problem}");
    if streamed {
        assert_eq!(winner.status(), 200);
        let received = read_events(winner).await;
        assert!(!received.broke);
        assert_eq!(received.events[0]["type"], "CLARIFICATION_ANSWERED");
        assert_eq!(received.events.last().unwrap()["outcome"]["type"], "success");
    }
    check_answered(caller, &run, payload).await;
    // A client that lost the response repeats the winning answer, and receives success.
    let again = resume(payload).await.unwrap();
    assert_eq!(again.status(), 202, "{run}");
    east_won
}

/// Kills the process that stored the answer, or the one that continues with it, at a random moment after the
/// answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accepted_answer_is_used_once_even_if_processes_die() {
    let system = System::start(&[("LEASE_MS", "900"), ("LEASE_RENEW_MS", "250")]).await;
    let caller = system.sign_up("killed@example.com").await;
    let seed = fastrand::u64(..);
    let rounds = scaled(6, 40);
    println!("seed {seed}, {rounds} rounds");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut killed = 0;
    let mut repeated = 0;
    let mut round = 0;
    while round < rounds || (killed == 0 && round < 10 * rounds) {
        let streamed = round % 2 == 0;
        let (run, question) = asking(&caller, true).await;
        let sent = resume(&caller, &run, &question, "this one", !streamed).await.unwrap();
        assert!([200, 202].contains(&sent.status().as_u16()), "{sent:?}");
        tokio::time::sleep(Duration::from_millis(random.u64(..if streamed { 150 } else { 400 }))).await;
        for function in ["ChatFunction", "AgentWorkerFunction"] {
            for (pid, _) in instances(&system, function).iter().filter(|(_, state)| state == "busy") {
                killed += usize::from(system.stack.kill(*pid));
            }
        }
        drop(sent);
        if round % 4 < 2 {
            let mut received = Vec::new();
            let reading = timeout(PATIENCE, caller.read(&run, &mut received)).await;
            reading.unwrap_or_else(|_| panic!("{run}: the follower does not continue it"));
        } else {
            swept(&system, &caller, &run).await;
        }
        check_answered(&caller, &run, "this one").await;
        // A client without a response repeats its request.
        let again = resume(&caller, &run, &question, "this one", true).await.unwrap();
        assert_eq!(again.status(), 202);
        repeated += 1;
        round += 1;
    }
    println!("{killed} processes killed in {round} rounds, {repeated} answers repeated");
    assert!(killed > 0, "no kill hit");
}

/// Invokes the scheduler repeatedly, as the schedule does once per minute, until the run has ended.
async fn swept(system: &System, caller: &Caller, run: &str) {
    let scheduler =
        system.stack.runtime().function("SchedulerFunction").expect("the template has it").clone();
    let ended = async {
        loop {
            scheduler.invoke("{}".into()).await.unwrap();
            if caller.get(&format!("/api/runs/{run}")).await["completed_at"].is_string() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, ended).await.unwrap_or_else(|_| panic!("{run}: no sweep finds it"));
}
