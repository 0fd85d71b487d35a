//! Runs that last far longer than an invocation: each is handed over, one client reads all of it, and no step
//! happens twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    background::{create, epochs, until},
    system::{Caller, System, check_ended, count_responses, of_kind, read_events, scaled, texts},
};
use sequent_local::Options;
use serde_json::{Value, json};
use tokio::time::Instant;

/// Tokens of every response, too few for the demo to quote its input.
const TOKENS: usize = 16;

/// The amount of work in a run.
struct Load {
    /// Timeout of the functions in seconds.
    timeout: usize,
    /// Responses of the direct runs, and tokens per second.
    responses: usize,
    rate: usize,
}

impl Load {
    fn now() -> Self {
        Self { timeout: scaled(20, 30), responses: scaled(22, 90), rate: scaled(16, 8) }
    }

    /// Returns a script of responses that each cite a source named after `of`, and of one conclusion.
    fn script(&self, of: &str, responses: usize) -> String {
        let cite = |n| {
            let source = json!({"url": format!("https://{of}.test/{n}"), "title": "t"});
            format!("/demo tokens={TOKENS} rate={} tool=cite_source args={source}\n", self.rate)
        };
        let conclusion = format!("/demo tokens={TOKENS} rate={}", self.rate);
        (1..responses).map(cite).chain([conclusion]).collect()
    }

    /// Returns a plan with two steps for child runs and three sequential steps. It takes about as long as a
    /// direct run.
    fn plan(&self) -> String {
        let step = |id: &str, independent: bool, responses| json!({"id": id, "title": id, "instructions": self.script(id, responses), "independent": independent});
        let part = self.responses / 4;
        let steps = [
            step("east", true, part),
            step("west", true, part),
            step("first", false, part),
            step("second", false, part),
            step("third", false, part),
        ];
        let plan = json!({"steps": steps}).to_string().replace(' ', "\\u0020");
        format!("Do it.\n/demo tokens={TOKENS} rate=0 tool=write_plan args={plan}")
    }
}

/// Changes the timeout of the functions that execute runs.
fn impatient(options: &mut Options, timeout: usize) {
    let text = std::fs::read_to_string(&options.template).unwrap();
    let longest = "\n      Timeout: 900\n";
    assert_eq!(text.matches(longest).count(), 4, "chat, agent-worker, job-worker and audit");
    let text = text.replace(longest, &format!("\n      Timeout: {timeout}\n"));
    options.template = options.data_dir.with_file_name("template.yaml");
    std::fs::write(&options.template, text).unwrap();
}

/// Watches the functions that execute runs until `done`. Returns the durations of their invocations.
async fn watch<T>(system: &System, done: impl Future<Output = T>) -> (T, BTreeMap<String, Vec<Duration>>) {
    let mut done = std::pin::pin!(done);
    let mut invocations = BTreeMap::new();
    let came = loop {
        for one in system.stack.instances() {
            // The time of an invocation counts from its assignment to a process, which may have to start
            // first.
            let executes = ["ChatFunction", "AgentWorkerFunction"].contains(&one.function.as_str())
                && one.state == "busy";
            if let Some(id) = one.request_id.filter(|_| executes) {
                let now = Instant::now();
                invocations.entry((one.function, id)).or_insert((now, now)).1 = now;
            }
        }
        tokio::select! {
            came = &mut done => break came,
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
        }
    };
    let mut by_function = BTreeMap::<_, Vec<_>>::new();
    for ((function, _), (first, last)) in invocations {
        by_function.entry(function).or_default().push(last - first);
    }
    (came, by_function)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_of_many_invocations_does_every_step_once_and_one_client_follows_it() {
    let load = Load::now();
    let system = System::start_with(&[], |options| impatient(options, load.timeout)).await;
    let caller = system.sign_up("long@example.com").await;
    let began = Instant::now();
    let all = async {
        tokio::join!(foreground(&caller, &load), background(&caller, &load), planned(&caller, &load))
    };
    let ((fore, back, planned), invocations) = watch(&system, all).await;
    let taken = began.elapsed();
    println!("{taken:?} under a timeout of {} s; owners and connections:", load.timeout);
    println!("streamed {fore:?}, in the background {back:?}, with a plan {planned:?}");
    let timeout = Duration::from_secs(load.timeout as u64);
    assert!(taken > timeout, "no invocation could have done it");
    for (function, times) in invocations {
        let longest = times.iter().max().unwrap();
        println!("{function}: {} invocations, the longest took {longest:?}", times.len());
        // An invocation that is killed takes its whole timeout.
        assert!(*longest < timeout - Duration::from_millis(500), "{function} ends in good order");
    }
}

/// Reads the answer to a message from the response and then by reconnecting. Returns the number of owners and
/// connections.
async fn foreground(caller: &Caller, load: &Load) -> (usize, usize) {
    let message = load.script("fore", load.responses);
    let sent = caller.send(&json!({"message": {"content": message}})).await;
    assert_eq!(sent.status(), 200);
    let run = sent.headers()["x-run-id"].to_str().unwrap().to_owned();
    let first = read_events(sent).await;
    assert!(!first.broke, "it ends in good order");
    let (log, connections) = read_on(caller, &run, first.events).await;
    check_steps(&log, "fore", load.responses);
    assert!(epochs(&log) > 1, "no invocation did it all");
    (epochs(&log), connections + 1)
}

/// Executes a background run.
async fn background(caller: &Caller, load: &Load) -> (usize, usize) {
    let run = create(caller, &json!({"input": load.script("back", load.responses)})).await;
    let (log, connections) = read_on(caller, run["id"].as_str().unwrap(), Vec::new()).await;
    check_steps(&log, "back", load.responses);
    assert!(epochs(&log) > 1, "no invocation did it all");
    (epochs(&log), connections)
}

/// Executes a run with a plan and children.
async fn planned(caller: &Caller, load: &Load) -> (usize, usize) {
    let run = create(caller, &json!({"input": load.plan(), "orchestration": "plan"})).await;
    let (log, connections) = read_on(caller, run["id"].as_str().unwrap(), Vec::new()).await;
    let part = load.responses / 4;
    for (kind, field) in [("STEP_STARTED", "stepName"), ("STEP_FINISHED", "stepName")] {
        let mut names: Vec<&str> =
            of_kind(&log, kind).iter().map(|step| step[field].as_str().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, ["east", "first", "second", "third", "west"], "{kind} once each");
    }
    let children = of_kind(&log, "SUBAGENT_STARTED");
    assert_eq!((children.len(), of_kind(&log, "SUBAGENT_FINISHED").len()), (2, 2));
    for child in children {
        let child_run = child["subagentRunId"].as_str().unwrap();
        let row = until(caller, child_run, |row| row["completed_at"].is_string()).await;
        assert_eq!(row["status"], "success");
        let log = caller.log(child_run).await;
        check_ended(child_run, &log);
        check_steps(&log, child["name"].as_str().unwrap(), part);
    }
    for step in ["first", "second", "third"] {
        assert_eq!(cited(&log, step), once(step, part), "{step}");
    }
    // The plan, three steps and the conclusion.
    assert_eq!(count_responses(&log), 2 + 3 * part);
    results_once(&log);
    (epochs(&log), connections)
}

/// Reads the run to its end by reconnecting, and compares the received events with the log and the row.
/// Returns the log and the number of connections.
async fn read_on(caller: &Caller, run: &str, mut received: Vec<Value>) -> (Vec<Value>, usize) {
    let (connections, broken) = caller.read(run, &mut received).await;
    assert_eq!(broken, 0, "every stream ended in good order");
    let log = caller.log(run).await;
    assert_eq!(received, log, "the received events are the log");
    check_ended(run, &log);
    assert_eq!(log.last().unwrap()["outcome"]["type"], "success");
    let row = until(caller, run, |row| row["completed_at"].is_string()).await;
    assert_eq!(row["status"], "success");
    (log, connections)
}

/// Checks that every response, result and source exists once and is complete.
fn check_steps(log: &[Value], of: &str, responses: usize) {
    assert_eq!(count_responses(log), responses, "{of}: no response came twice");
    assert_eq!(cited(log, of), once(of, responses), "{of}: every source once and in order");
    results_once(log);
    let texts = texts(log);
    assert_eq!(texts.len(), responses, "{of}");
    assert!(
        texts.iter().all(|text| text.starts_with("This is the demo provider: ")
            && text.split_whitespace().count() == TOKENS),
        "{of}: every response is whole: {texts:?}"
    );
}

/// Returns the sources cited for a part, in order.
fn cited(log: &[Value], of: &str) -> Vec<String> {
    let urls =
        of_kind(log, "SOURCE_CITED").into_iter().map(|event| event["url"].as_str().unwrap().to_owned());
    urls.filter(|url| url.starts_with(&format!("https://{of}.test/"))).collect()
}

fn once(of: &str, responses: usize) -> Vec<String> {
    (1..responses).map(|n| format!("https://{of}.test/{n}")).collect()
}

/// Checks that no call has a second result.
fn results_once(log: &[Value]) {
    let calls: Vec<&Value> =
        of_kind(log, "TOOL_CALL_RESULT").iter().map(|event| &event["toolCallId"]).collect();
    let distinct: BTreeSet<&str> = calls.iter().map(|call| call.as_str().unwrap()).collect();
    assert_eq!(distinct.len(), calls.len(), "no call has two results");
}
