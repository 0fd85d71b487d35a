//! A cancel ends a run in every phase, with its children and jobs.

use std::time::Duration;

use crate::{
    background::{create, instances, until},
    system::{Caller, PATIENCE, System, check_ended, of_kind, read_events, scaled},
};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::mpsc,
    time::{Instant, timeout},
};

/// Message of a run that lasts longer than these tests wait: more than an hour.
const LONG: &str = "/demo tokens=100000 rate=20";

/// Cancels the run, checks the state after its end, and returns the time from the response to the end.
async fn cancel(caller: &Caller, run: &str, what: &str) -> Duration {
    let answer = caller.request("POST", &format!("/api/runs/{run}/cancel")).send().await.unwrap();
    let status = answer.status().as_u16();
    let shown: Value = answer.json().await.unwrap();
    let answered = Instant::now();
    assert!([200, 202].contains(&status), "{what}: {status} {shown}");
    if status == 200 {
        assert_eq!(shown["status"], "cancelled", "{what}: the response shows the ended run");
    }
    until(caller, run, |run| run["completed_at"].is_string()).await;
    let taken = answered.elapsed();
    check_cancelled(caller, run, what).await;
    let again = caller.request("POST", &format!("/api/runs/{run}/cancel")).send().await.unwrap();
    assert_eq!(again.status(), 200, "{what}: a second cancel changes nothing");
    check_cancelled(caller, run, what).await;
    taken
}

async fn check_cancelled(caller: &Caller, run: &str, what: &str) {
    let log = caller.log(run).await;
    check_ended(run, &log);
    assert_eq!(log.last().unwrap()["outcome"]["type"], "cancelled", "{what}");
    assert_eq!(of_kind(&log, "CANCEL_REQUESTED").len(), 1, "{what}");
    let opened = of_kind(&log, "STEP_STARTED").len();
    let closed = of_kind(&log, "STEP_FINISHED").len();
    assert_eq!(opened, closed, "{what}: no step stays open");
    assert_eq!(caller.get(&format!("/api/runs/{run}")).await["status"], "cancelled", "{what}");
}

/// Checks that the project of an ended run accepts the next message at once.
async fn project_is_free(caller: &Caller, of: &Value) {
    let body = json!({"input": "/demo tokens=2 rate=0", "project_id": of["project_id"]});
    let next = create(caller, &body).await;
    let next = until(caller, next["id"].as_str().unwrap(), |run| run["completed_at"].is_string()).await;
    assert_eq!(next["status"], "success", "{next}");
}

/// Waits until the log contains an event of this type.
pub(crate) async fn logged(caller: &Caller, run: &str, kind: &str) {
    let look = async {
        while of_kind(&caller.log(run).await, kind).is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("{run}: no {kind}"));
}

fn id(run: &Value) -> &str {
    run["id"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_model_speaks() {
    let system = System::start(&[]).await;
    let caller = system.sign_up("speaks@example.com").await;
    let mut times = Vec::new();
    for round in 0..scaled(3, 20) {
        let sent = caller.send(&json!({"message": {"content": LONG}})).await;
        let run = sent.headers()["x-run-id"].to_str().unwrap().to_owned();
        let received = tokio::spawn(read_events(sent));
        logged(&caller, &run, "TEXT_MESSAGE_CONTENT").await;
        times.push(cancel(&caller, &run, &format!("streamed {round}")).await);
        let received = timeout(PATIENCE, received).await.expect("the stream ends with the run").unwrap();
        assert!(!received.broke);
        assert_eq!(received.events, caller.log(&run).await, "and has shown all of it");

        let run = create(&caller, &json!({"input": LONG})).await;
        logged(&caller, id(&run), "TEXT_MESSAGE_CONTENT").await;
        times.push(cancel(&caller, id(&run), &format!("in the background {round}")).await);
        project_is_free(&caller, &run).await;
    }
    // A model that sends nothing.
    let run = create(&caller, &json!({"input": "/demo delay_first=900000"})).await;
    until(&caller, id(&run), |run| run["status"] == "running").await;
    times.push(cancel(&caller, id(&run), "before the first word").await);
    println!("ends after the answer: {times:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_tool_runs() {
    let (silent, mut called) = silent().await;
    let system = System::start(&[("SSRF_ALLOW", &silent)]).await;
    let caller = system.sign_up("tool@example.com").await;
    let fetch = format!("tool=web_fetch args={}", json!({"url": format!("http://{silent}/")}));
    let twice = format!("/demo tokens=2 rate=0 {fetch} {fetch}\n/demo tokens=2 rate=0");
    for (what, input, calls) in [
        ("one call", format!("/demo tokens=2 rate=0 {fetch}\n/demo tokens=2 rate=0"), 1),
        ("two calls at once", twice, 2),
    ] {
        let run = create(&caller, &json!({"input": input})).await;
        for _ in 0..calls {
            timeout(PATIENCE, called.recv()).await.expect("the tool is called").unwrap();
        }
        let taken = cancel(&caller, id(&run), what).await;
        println!("{what}: it ended {taken:?} after the answer");
        let log = caller.log(id(&run)).await;
        assert_eq!(of_kind(&log, "TOOL_CALL_RESULT").len(), 0, "the run did not wait for the result");
        assert_eq!(of_kind(&log, "USAGE_RECORDED").len(), 1, "the model was not called again");
        project_is_free(&caller, &run).await;
    }
}

/// Starts a server that accepts connections and never responds. The receiver gets one item per connection.
async fn silent() -> (String, mpsc::UnboundedReceiver<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (called, calls) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
            let _ = called.send(()); // the test may be over
        }
    });
    (address, calls)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_children_work() {
    let system = System::start(&[]).await;
    let caller = system.sign_up("children@example.com").await;
    let step = |id: &str| json!({"id": id, "title": id, "instructions": LONG, "independent": true});
    let plan = json!({"steps": [step("east"), step("west"), step("north")]});
    let plan = plan.to_string().replace(' ', "\\u0020");
    let body = json!({"input": format!("Go.\n/demo tokens=1 rate=0 tool=write_plan args={plan}"), "orchestration": "plan"});
    let busy = || {
        let workers = instances(&system, "AgentWorkerFunction").into_iter();
        workers.filter(|(_, state)| state == "busy").count()
    };
    // The parent's owner waits for some seconds before it hands the run over.
    for (what, handed_over) in [("as soon as they speak", false), ("the parent has been handed over", true)] {
        let run = create(&caller, &body).await;
        let children = children(&caller, id(&run), 3).await;
        for child in &children {
            logged(&caller, child, "TEXT_MESSAGE_CONTENT").await;
        }
        let only_children_work = async {
            while handed_over && busy() != children.len() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, only_children_work).await.unwrap_or_else(|_| panic!("{} workers", busy()));
        let taken = cancel(&caller, id(&run), what).await;
        let cancelled = Instant::now();
        for child in &children {
            until(&caller, child, |run| run["completed_at"].is_string()).await;
            check_cancelled(&caller, child, &format!("{what}, a child")).await;
        }
        println!("{what}: it ended {taken:?} after the answer, its children {:?} later", cancelled.elapsed());
        let log = caller.log(id(&run)).await;
        assert_eq!(of_kind(&log, "SUBAGENT_ERROR").len(), 3, "the log has the end of each child");
        project_is_free(&caller, &run).await;
    }
}

/// Waits until the run has `count` children and returns them.
async fn children(caller: &Caller, run: &str, count: usize) -> Vec<String> {
    let look = async {
        loop {
            let log = caller.log(run).await;
            let started = of_kind(&log, "SUBAGENT_STARTED");
            if started.len() == count {
                let ids = started.iter().map(|event| event["subagentRunId"].as_str().unwrap().to_owned());
                return ids.collect();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, look).await.expect("the children are started")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_it_waits_for_a_person() {
    let system = System::start(&[]).await;
    let caller = system.sign_up("person@example.com").await;
    let ask = "/demo tokens=2 rate=0 tool=ask_user args={\"question\":\"Which?\"}\n/demo tokens=2 rate=0";
    let run = create(&caller, &json!({"input": ask})).await;
    let waiting = until(&caller, id(&run), |run| run["status"] == "interrupted").await;
    let taken = cancel(&caller, id(&run), "waiting for a person").await;
    println!("it ended {taken:?} after the answer");
    let answers =
        json!({"answers": [{"interrupt_id": waiting["interrupts"][0]["id"], "payload": "the other"}]});
    let late = caller.request("POST", &format!("/api/runs/{}/resume", id(&run))).json(&answers);
    let late = late.send().await.unwrap();
    assert_eq!(late.status(), 409);
    assert_eq!(late.json::<Value>().await.unwrap()["code"], "run_ended");
    check_cancelled(&caller, id(&run), "an answer too late").await;
    project_is_free(&caller, &run).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_it_is_queued() {
    let system = System::start(&[]).await;
    let caller = system.sign_up("queued@example.com").await;
    let first = create(&caller, &json!({"input": LONG})).await;
    let behind = json!({"input": "/demo tokens=2 rate=0", "project_id": first["project_id"], "on_conflict": "enqueue"});
    let second = create(&caller, &behind).await;
    let third = create(&caller, &behind).await;
    logged(&caller, id(&first), "TEXT_MESSAGE_CONTENT").await;
    let behind = cancel(&caller, id(&second), "behind another run").await;
    assert_eq!(caller.get(&format!("/api/runs/{}", id(&third))).await["status"], "pending");
    let before = cancel(&caller, id(&first), "before another run").await;
    println!("they ended {behind:?} and {before:?} after the answer");
    let third = until(&caller, id(&third), |run| run["completed_at"].is_string()).await;
    assert_eq!(third["status"], "success", "the run behind both gets its turn");
}

/// Delivery, claim and cancel race in every order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_or_while_a_worker_picks_it_up() {
    let system = System::start(&[]).await;
    let caller = system.sign_up("picked@example.com").await;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut untouched = 0;
    let mut times = Vec::new();
    for round in 0..scaled(12, 100) {
        let run = create(&caller, &json!({"input": LONG})).await;
        tokio::time::sleep(Duration::from_millis(random.u64(..250))).await;
        times.push(cancel(&caller, id(&run), &format!("picked up {round}")).await);
        let log = caller.log(id(&run)).await;
        untouched += usize::from(of_kind(&log, "USAGE_RECORDED").is_empty());
        if round % 4 == 0 {
            project_is_free(&caller, &run).await;
        }
    }
    times.sort();
    println!("{untouched} of {} had not begun, ends after the answer: {times:?}", times.len());
}
