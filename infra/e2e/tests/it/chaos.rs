//! All features of an agent under all kinds of faults.
//!
//! Each run plans, executes two steps in child runs, calls tools in parallel and asks a person. Meanwhile
//! workers are killed, messages are doubled and reordered, the database fails in every way that it can, its
//! indexes lag, instances are frozen between invocations, and some models fail.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    audited::{audited, sweep},
    once::all,
    system::{Caller, System, scaled},
    till::Till,
};
use futures::{StreamExt, future::join_all, stream};
use sequent_conversation::{Run, Runs};
use sequent_core::{RunId, TenantId};
use sequent_event::{ChildEnd, Event, Phase, Reason, RunOutcome, State};
use sequent_runlog::{DynamoStorage, LogKey, Segment, read_all};
use sequent_tables::testing::{Fault, Faults, Rates};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// Time until an index shows a write.
const INDEX_DELAY: Duration = Duration::from_millis(300);

/// Calls of the database between two kills, at least.
const CALLS_BETWEEN_KILLS: u64 = 30;

/// Faults of every kind among a thousand calls of the database: conflicts, throttling, and answers that are lost after
/// the write at 5 % each.
fn rates() -> Rates {
    Rates::from([
        (Fault::Contention, 50),
        (Fault::Throttled, 50),
        (Fault::LostAnswer, 25),
        (Fault::InternalError, 20),
        (Fault::Silence, 5),
        (Fault::LostRequest, 10),
        (Fault::Unprocessed, 50),
    ])
}

/// Returns the script for the model. One run in twenty fails, after everything else has been done.
fn script(n: usize) -> String {
    let charge = |what: &str| format!("tool=till__charge args={}", json!({"for": format!("{n}-{what}")}));
    let child = |what: &str| format!("/demo tokens=3 rate=300 {}\n/demo tokens=3 rate=300", charge(what));
    let cite = json!({"url": "https://example.com/", "title": "Example"});
    let ask = json!({"question": "Which?", "options": ["a", "b"]});
    let fails = if n % 20 == 19 { " fail_after=1 error=overloaded" } else { "" };
    let join = format!(
        "/demo tokens=2 rate=300 {} tool=cite_source args={cite} tool=ask_user args={ask}\n\
         /demo tokens=3 rate=300{fails}",
        charge("join")
    );
    let step = |id: &str, instructions: &str, independent: bool| json!({"id": id, "title": id, "instructions": instructions, "independent": independent});
    let steps =
        [step("east", &child("east"), true), step("west", &child("west"), true), step("join", &join, false)];
    // The arguments of a directive contain no spaces.
    let plan = json!({"steps": steps}).to_string().replace(' ', "\\u0020");
    // After the last line the demo would quote its input at length, so the script ends with short responses.
    format!("Run {n}.\n/demo tokens=1 rate=0 tool=write_plan args={plan}\n/demo tokens=5 rate=300")
}

/// Repeats a request with its idempotency key until it gets a final response.
async fn insist(caller: &Caller, path: &str, key: &str, body: &Value) -> (u16, Value) {
    loop {
        let request = caller.request("POST", path).header("accept", "application/json");
        let sent = request.header("idempotency-key", key).json(body).send().await;
        if let Ok(answer) = sent
            && !answer.status().is_server_error()
            && let (status, Ok(answer)) = (answer.status().as_u16(), answer.json::<Value>().await)
            // An earlier attempt of the same request may still be in progress.
            && answer["code"] != "idempotency_key_in_progress"
        {
            return (status, answer);
        }
        sleep(Duration::from_millis(50)).await;
    }
}

struct Chaos {
    system: System,
    caller: Caller,
    faults: Faults,
    tenant: TenantId,
}

impl Chaos {
    /// Kills processes, mostly workers of runs. On a busy machine a run makes less progress between two kills, and would
    /// be given up for losing all its owners. So the system works in between: it calls the database.
    async fn kill(&self) -> ! {
        loop {
            let calls = self.faults.calls();
            sleep(Duration::from_millis(fastrand::u64(50..700))).await;
            while self.faults.calls() < calls + CALLS_BETWEEN_KILLS {
                sleep(Duration::from_millis(50)).await;
            }
            let victims = match fastrand::u32(..10) {
                0 => "ChatFunction",
                1 => "FanoutFunction",
                2 => "SchedulerFunction",
                3 => "FeedFunction",
                _ => "AgentWorkerFunction",
            };
            let busy = self.system.stack.instances().into_iter();
            let busy = busy.filter(|one| one.function == victims && one.state == "busy");
            if let Some(victim) = fastrand::choice(busy.collect::<Vec<_>>()) {
                self.system.stack.kill(victim.pid);
            }
        }
    }

    /// Sends the messages of runs again, late and in another order.
    async fn duplicate(&self, runs: &[String]) -> ! {
        let queue = &self.system.stack.deployed().outputs["RunsQueueUrl"];
        loop {
            sleep(Duration::from_millis(fastrand::u64(20..200))).await;
            let run = fastrand::choice(runs).unwrap();
            let body = json!({"tenant_id": self.tenant, "run_id": run}).to_string();
            let message = json!({"QueueUrl": queue, "MessageBody": body, "DelaySeconds": fastrand::u32(..3)});
            // The result does not depend on a single message.
            drop(self.system.stack.endpoint().json("sqs", "AmazonSQS.SendMessage", &message).await);
        }
    }

    /// Answers every question, sometimes twice at the same time, until all `count` runs have ended.
    async fn answer(&self, count: usize) -> usize {
        let mut answered = 0;
        loop {
            let runs = all(&self.caller, "/api/runs").await;
            if runs.len() == count && runs.iter().all(|run| run["completed_at"].is_string()) {
                return answered;
            }
            // A run with an answered question waits for a worker and has no open question.
            let waiting =
                runs.iter().filter(|run| run["interrupts"].as_array().is_some_and(|open| !open.is_empty()));
            let answers = waiting.flat_map(|run| {
                let times = if fastrand::u32(..5) == 0 { 2 } else { 1 };
                (0..times).map(|_| self.reply(run))
            });
            let won = join_all(answers).await;
            answered += won.into_iter().filter(|won| *won).count();
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Returns `true` if these answers won.
    async fn reply(&self, run: &Value) -> bool {
        let answers: Vec<Value> = run["interrupts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|open| match open["reason"].as_str() {
                Some("unknown_outcome") => json!({"interrupt_id": open["id"], "payload": {"action": "skip"}}),
                _ => {
                    let choice = fastrand::choice(["a", "b"]);
                    json!({"interrupt_id": open["id"], "payload": choice})
                }
            })
            .collect();
        let path = format!("/api/runs/{}/resume", run["id"].as_str().unwrap());
        let key = format!("answer-{}", fastrand::u64(..));
        let (status, answer) = insist(&self.caller, &path, &key, &json!({"answers": answers})).await;
        assert!(matches!(status, 202 | 409), "{status} {answer}");
        status == 202
    }

    /// Begins or ends the faults of the database.
    fn set_faults(&self, on: bool) {
        self.faults.set_rates(if on { rates() } else { Rates::new() });
        self.faults.delay_indexes(if on { INDEX_DELAY } else { Duration::ZERO });
    }

    /// Starts `count` runs, four at once.
    async fn start(&self, round: usize, count: usize) -> Vec<String> {
        let starts = stream::iter(0..count).map(|n| async move {
            let body = json!({"input": script(round * count + n), "orchestration": "plan"});
            let key = format!("run-{round}-{n}");
            let (status, run) = insist(&self.caller, "/api/runs", &key, &body).await;
            assert_eq!(status, 202, "{run}");
            run["id"].as_str().unwrap().to_owned()
        });
        starts.buffer_unordered(4).collect().await
    }

    /// Describes the runs that have not ended.
    async fn left(&self) -> String {
        let left = all(&self.caller, "/api/runs").await;
        let left: Vec<Value> = left.into_iter().filter(|run| !run["completed_at"].is_string()).collect();
        format!("{left:#?}")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_run_ends_once_and_nothing_happens_twice() {
    let count = scaled(8, 300);
    let till = Till::open().await;
    let environment = [("SSRF_ALLOW", &*till.address()), ("LEASE_MS", "1500"), ("LEASE_RENEW_MS", "400")];
    let faults = Faults::default();
    let system = System::start_with(&environment, |options| options.faults = faults.clone()).await;
    let caller = system.sign_up("chaos@example.com").await.with_api_key().await;
    let tenant = caller.get("/api/auth/me").await["tenant_id"].as_str().unwrap().parse().unwrap();
    let url = format!("http://{}/mcp", till.address());
    let server = json!({"name": "till", "url": url, "approval": "never"});
    let (status, added) = insist(&caller, "/api/mcp-servers", "till", &server).await;
    assert_eq!(status, 201, "{added}");
    // The message of a killed worker becomes visible again after an hour and a half, which is too long for a
    // test.
    let queue = &system.stack.deployed().outputs["RunsQueueUrl"];
    let impatient = json!({"QueueUrl": queue, "Attributes": {"VisibilityTimeout": "4"}});
    system.stack.endpoint().json("sqs", "AmazonSQS.SetQueueAttributes", &impatient).await.unwrap();

    let chaos = Chaos { system, caller, faults, tenant };
    chaos.set_faults(true);
    let began = Instant::now();
    let mut runs = Vec::new();
    let mut answered = 0;
    let mut round = 0;
    while round == 0 || began.elapsed() < duration() {
        let started = chaos.start(round, count).await;
        runs.extend(started.iter().cloned());
        // A run without a live message is sent again after a minute and a half. On a busy machine this happens
        // several times.
        let limit = Duration::from_secs(480 + 6 * count as u64);
        answered += tokio::select! {
            _ = async { tokio::join!(chaos.kill(), chaos.duplicate(&started), sweep(&chaos.system)) } => unreachable!(),
            answered = chaos.answer(3 * runs.len()) => answered,
            () = sleep(limit) => {
                chaos.set_faults(false);
                panic!("after {limit:?} there are left: {}", chaos.left().await);
            }
        };
        round += 1;
    }
    let took = began.elapsed();
    chaos.set_faults(false);
    let calls = chaos.faults.calls();
    let met = chaos.faults.met();
    let checked = check(&chaos, &runs, &till.charges()).await;
    crate::feed::check(&chaos.caller, &runs).await;
    audited(&chaos.system).await;
    println!(
        "{} runs in {took:.1?}, {answered} times answered, faults in {calls} calls of the database: {met:?}; {checked:?}",
        runs.len()
    );
    assert!(checked.takeovers > 0 && met.contains_key(&Fault::Contention), "too calm: {checked:?}");
}

/// Returns the time for which new runs are started: that of one round, or `CHAOS_MINUTES`.
fn duration() -> Duration {
    let minutes =
        std::env::var("CHAOS_MINUTES").map_or(0, |minutes| minutes.parse().expect("a number of minutes"));
    Duration::from_secs(60 * minutes)
}

/// Totals over all runs.
#[derive(Debug, Default)]
struct Checked {
    /// Claims after the first of each execution.
    takeovers: u64,
    /// Charges by the tool.
    charged: usize,
    /// Charges with an unknown outcome, about which a person was asked.
    asked: usize,
    /// Runs that ended with a model error.
    failed: usize,
}

/// Checks logs, rows and charges against the guarantees.
async fn check(chaos: &Chaos, started: &[String], charges: &BTreeMap<String, usize>) -> Checked {
    let storage = DynamoStorage::new(chaos.system.store());
    let mut rows: BTreeMap<RunId, (Run, State)> = BTreeMap::new();
    for run in all(&chaos.caller, "/api/runs").await {
        let run: RunId = run["id"].as_str().unwrap().parse().unwrap();
        let key = LogKey { tenant: chaos.tenant, run };
        let log = read_all(&storage, key).await.unwrap();
        let events: Vec<Event> = log.iter().flat_map(Segment::events).collect();
        // Folding refuses a gap, a second end, and an event in a wrong state.
        let state = State::of(&events).unwrap();
        let row = Runs::new(storage.store(), chaos.tenant).get(run).await.unwrap();
        assert!(row.has_ended(), "{run}");
        assert_eq!(row, row.clone().projected(&state), "{run}: the row repeats the log");
        rows.insert(run, (row, state));
    }
    let mut checked = Checked { charged: charges.len(), ..Checked::default() };
    let mut expected = BTreeSet::new();
    for run in started {
        let run: RunId = run.parse().unwrap();
        let (_, state) = &rows[&run];
        let failed = matches!(&state.phase, Phase::Failed { code, .. } if code.starts_with("model_"));
        assert!(failed || state.phase == Phase::Finished(RunOutcome::Success), "{run}: {:?}", state.phase);
        checked.failed += usize::from(failed);
        assert_eq!(state.children.len(), 2, "{run}");
        for child in &state.children {
            let (row, own) = &rows[&child.run];
            assert_eq!((own.parent, row.parent_run_id), (Some(run), Some(run)));
            match (&child.ended, &own.phase) {
                (Some(ChildEnd::Result(text)), Phase::Finished(RunOutcome::Success)) => {
                    assert_eq!(text, &own.answer_text());
                }
                other => panic!("{run} and {} disagree: {other:?}", child.run),
            }
            expected.insert(child.run);
        }
        expected.insert(run);
    }
    assert_eq!(rows.keys().copied().collect::<BTreeSet<_>>(), expected, "no run but those asked for");
    assert!(charges.values().all(|times| *times == 1), "charged more than once: {charges:?}");
    for (_, state) in rows.values() {
        checked.takeovers += u64::from(state.epoch).saturating_sub(1);
        let reasons = state.asked.iter().map(|asked| asked.interrupt.question.reason);
        checked.asked += reasons.filter(|reason| *reason == Reason::UnknownOutcome).count();
    }
    // One charge in each child and one in the last step: each was made, or a person was asked about it.
    assert!(checked.charged + checked.asked >= started.len() * 3, "{checked:?}");
    checked
}
