//! Background runs: the table's stream delivers them, a worker executes them, and a killed worker is
//! replaced.

use std::time::Duration;

use crate::held::HeldModel;
use crate::system::{Caller, PATIENCE, System, answer, is_terminal, read_events};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

/// Starts a background run.
pub(crate) async fn create(caller: &Caller, body: &Value) -> Value {
    let answer = caller.request("POST", "/api/runs").json(body).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    let run: Value = answer.json().await.unwrap();
    assert_eq!(location, format!("/api/runs/{}", run["id"].as_str().unwrap()));
    run
}

/// Polls the run until it fulfils the condition.
pub(crate) async fn until(caller: &Caller, run: &str, what: impl Fn(&Value) -> bool) -> Value {
    let look = async {
        loop {
            let run = caller.get(&format!("/api/runs/{run}")).await;
            if what(&run) {
                return run;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("{run} does not change"))
}

pub(crate) fn epochs(log: &[Value]) -> usize {
    log.iter().filter(|event| event["type"] == "RUN_CLAIMED").count()
}

/// Returns the processes of a function and their states.
pub(crate) fn instances(system: &System, function: &str) -> Vec<(u32, String)> {
    let all = system.stack.instances().into_iter();
    all.filter(|one| one.function == function).map(|one| (one.pid, one.state)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_background_run_is_executed_by_a_worker_and_followed_to_its_end() {
    let system = System::start(&[]).await;
    let caller = system.sign_up("background@example.com").await;
    let whole =
        read_events(caller.send(&json!({"message": {"content": "/demo tokens=60 rate=60"}})).await).await;
    let expected = answer(&whole.events);

    let mut pickups = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        let run = create(&caller, &json!({"input": "/demo tokens=60 rate=60"})).await;
        assert_eq!(run["status"], "pending");
        let id = run["id"].as_str().unwrap();
        // There is no follower yet, so only the worker can have claimed it.
        until(&caller, id, |run| run["status"] != "pending").await;
        pickups.push(begun.elapsed());
        assert!(!instances(&system, "AgentWorkerFunction").is_empty());
        let received = caller.follow(id, Vec::new(), PATIENCE).await;
        assert_eq!(answer(&received), expected);
        assert_eq!(epochs(&received), 1, "the follower did not take the run over");
        assert_eq!(caller.log(id).await, received);
        assert_eq!(until(&caller, id, |run| run["status"] != "running").await["status"], "success");
    }
    pickups.sort();
    println!("from the request to the worker's claim: {pickups:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_request_starts_one_run_and_a_projects_runs_keep_their_order() {
    let system = System::start(&[]).await;
    let caller = system.sign_up("order@example.com").await;
    let body = json!({"input": "/demo tokens=10 rate=30"});
    let keyed = || caller.request("POST", "/api/runs").header("idempotency-key", "once").json(&body).send();
    let (one, other) = tokio::join!(keyed(), keyed());
    let (one, other): (Value, Value) =
        (one.unwrap().json().await.unwrap(), other.unwrap().json().await.unwrap());
    assert_eq!(one["id"], other["id"]);

    let mut runs = vec![one["id"].as_str().unwrap().to_owned()];
    for _ in 0..4 {
        let body = json!({"input": "/demo tokens=5 rate=60", "project_id": one["project_id"], "on_conflict": "enqueue"});
        runs.push(create(&caller, &body).await["id"].as_str().unwrap().to_owned());
    }
    let mut ends = Vec::new();
    for run in &runs {
        let ended = until(&caller, run, |run| run["completed_at"].is_string()).await;
        assert_eq!(ended["status"], "success", "{ended}");
        ends.push((ended["started_at"].clone(), ended["completed_at"].clone()));
    }
    for pair in ends.windows(2) {
        assert!(pair[0].1.as_str() <= pair[1].0.as_str(), "one after the other: {ends:?}");
    }
    assert_eq!(caller.get("/api/runs").await["items"].as_array().unwrap().len(), runs.len());
    assert_eq!(instances(&system, "ChatFunction"), [], "no one streamed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_workers_run_is_found_by_the_sweep_and_continued_by_another() {
    let model = HeldModel::start().await;
    let system = model.system(&[("LEASE_MS", "900"), ("LEASE_RENEW_MS", "250")]).await;
    let caller = system.sign_up("swept@example.com").await;
    let run = create(&caller, &json!({"input": "hold=swept"})).await;
    let id = run["id"].as_str().unwrap();
    model.asked("swept", 1).await;
    assert!(system.stack.kill(busy_worker(&system)));
    model.release("swept");

    // The schedule does this once per minute.
    let scheduler =
        system.stack.runtime().function("SchedulerFunction").expect("the template has it").clone();
    let ended = async {
        loop {
            scheduler.invoke("{}".into()).await.unwrap();
            let run = caller.get(&format!("/api/runs/{id}")).await;
            if run["completed_at"].is_string() {
                return run;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let ended = timeout(PATIENCE, ended).await.expect("another worker continues");
    assert_eq!(ended["status"], "success", "{ended}");
    assert_eq!(instances(&system, "ChatFunction"), [], "and no follower");
    let log = caller.log(id).await;
    assert_eq!(answer(&log), HeldModel::answer());
    assert!(epochs(&log) > 1, "another owner continued");
    assert_eq!(log.iter().filter(|event| is_terminal(event)).count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_workers_run_is_continued_by_the_process_of_a_follower() {
    let model = HeldModel::start().await;
    let system = model.system(&[("LEASE_MS", "900"), ("LEASE_RENEW_MS", "250")]).await;
    let caller = system.sign_up("followed@example.com").await;
    let run = create(&caller, &json!({"input": "hold=followed"})).await;
    let id = run["id"].as_str().unwrap();
    model.asked("followed", 1).await;
    let following = caller.follow(id, Vec::new(), PATIENCE);
    let killing = async {
        for (pid, _) in instances(&system, "AgentWorkerFunction") {
            system.stack.kill(pid);
        }
        model.release("followed");
    };
    let (received, ()) = tokio::join!(following, killing);
    assert_eq!(answer(&received), HeldModel::answer());
    assert!(epochs(&received) > 1, "another owner continued");
    assert_eq!(until(&caller, id, |run| run["completed_at"].is_string()).await["status"], "success");
}

/// With a lease of ten minutes, only an orderly hand-over lets another worker continue in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_asked_to_stop_hands_its_run_over() {
    let model = HeldModel::start().await;
    let system = model.system(&[("LEASE_MS", "600000"), ("LEASE_RENEW_MS", "1000")]).await;
    let caller = system.sign_up("stopped@example.com").await;
    let run = create(&caller, &json!({"input": "hold=stopped"})).await;
    let id = run["id"].as_str().unwrap();
    model.asked("stopped", 1).await;
    let pid = busy_worker(&system).to_string();
    let told = std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert!(told.success());
    model.asked("stopped", 2).await;
    model.release("stopped");
    let ended = until(&caller, id, |run| run["completed_at"].is_string()).await;
    assert_eq!(ended["status"], "success", "{ended}");
    let log = caller.log(id).await;
    assert_eq!((answer(&log), epochs(&log)), (HeldModel::answer(), 2));
    assert_eq!(log.iter().filter(|event| event["type"] == "RUN_ERROR").count(), 0);
}

/// Returns the process that executes the one run.
fn busy_worker(system: &System) -> u32 {
    let workers = instances(system, "AgentWorkerFunction");
    workers.iter().find(|(_, state)| state == "busy").expect("a worker executes it").0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreadable_message_becomes_a_dead_letter_and_delays_no_other() {
    let system = System::start(&[]).await;
    let caller = system.sign_up("poison@example.com").await;
    let endpoint = system.stack.endpoint();
    let outputs = &system.stack.deployed().outputs;
    let queue = &outputs["RunsQueueUrl"];
    let dead = &outputs["RunsDeadLettersUrl"];
    // A failed message is invisible for an hour and a half, which is too long for this test.
    let impatient = json!({"QueueUrl": queue, "Attributes": {"VisibilityTimeout": "1"}});
    endpoint.json("sqs", "AmazonSQS.SetQueueAttributes", &impatient).await.unwrap();
    let poison = json!({"QueueUrl": queue, "MessageBody": "not a message of ours"});
    endpoint.json("sqs", "AmazonSQS.SendMessage", &poison).await.unwrap();

    let run = create(&caller, &json!({"input": "/demo tokens=3 rate=0"})).await;
    let ended = until(&caller, run["id"].as_str().unwrap(), |run| run["completed_at"].is_string()).await;
    assert_eq!(ended["status"], "success");

    let receive = json!({"QueueUrl": dead, "WaitTimeSeconds": 1});
    let arrived = async {
        loop {
            let answer = endpoint.json("sqs", "AmazonSQS.ReceiveMessage", &receive).await.unwrap();
            if let Some(message) = answer["Messages"].as_array().and_then(|messages| messages.first()) {
                return message["Body"].clone();
            }
        }
    };
    assert_eq!(timeout(PATIENCE, arrived).await.expect("five failures are enough"), "not a message of ours");
}

/// MiniStack treats every response to a stream batch as success. The execution environment turns partial
/// failures into errors.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_a_stream_that_fails_in_part_is_not_a_success() {
    let system = System::start(&[]).await;
    let unreadable = json!({"Records": [{"eventSource": "aws:dynamodb", "dynamodb": {"SequenceNumber": "7", "NewImage": 3}}]});
    let change = json!({
        "Keys": {"pk": {"S": "p"}, "sk": {"S": "s"}}, "SequenceNumber": "8", "SizeBytes": 1,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    });
    let fine = json!({"Records": [{
        "eventID": "8", "eventName": "REMOVE", "eventVersion": "1.1", "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1", "dynamodb": change,
    }]});
    let url = format!("{}/2015-03-31/functions/FanoutFunction/invocations", system.stack.control_url());
    let invoke = async |event: &Value, emulator: bool| {
        let request = reqwest::Client::new().post(&url).json(event);
        let request =
            if emulator { request.header("x-amzn-lambda-function-name", "fanout") } else { request };
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let accepted = json!({"batchItemFailures": []});
    assert_eq!(invoke(&unreadable, true).await, (200, accepted.clone()), "the record is a dead letter now");
    let dead_letters = &system.stack.deployed().resources["FanoutDeadLetters"];
    let delete = json!({"QueueUrl": dead_letters});
    system.stack.endpoint().json("sqs", "AmazonSQS.DeleteQueue", &delete).await.unwrap();
    let failed = json!({"batchItemFailures": [{"itemIdentifier": "7"}]});
    assert_eq!(invoke(&unreadable, true).await, (502, failed.clone()));
    assert_eq!(invoke(&unreadable, false).await, (200, failed), "any other caller reads the response");
    assert_eq!(invoke(&fine, true).await, (200, accepted));
}
