//! Traces of runs, as a collector receives them from the whole stack.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use sequent_tables::SecretName;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::{
    background::{create, until},
    system::{PATIENCE, System, check_ended, is_terminal, read_events},
};

/// A collector of OpenTelemetry: it keeps the spans of the requests that it accepts.
#[derive(Clone, Default)]
struct Collector {
    /// Requests that it refuses before it accepts one.
    failures: Arc<AtomicU32>,
    /// It answers after this many milliseconds.
    delay: Arc<AtomicU32>,
    attempts: Arc<AtomicU32>,
    spans: Arc<Mutex<Vec<Value>>>,
}

impl Collector {
    /// Returns the collector and its address.
    async fn open() -> (Self, String) {
        let collector = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let routes = Router::new().route("/v1/traces", post(receive)).with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (collector, url)
    }

    /// Waits for a trace that has a span of this run. Returns its spans by their ids.
    async fn trace_of(&self, run: &str) -> BTreeMap<String, Value> {
        let received = async {
            loop {
                let spans = self.spans.lock().unwrap().clone();
                let of_run = spans.into_iter().filter(|span| attribute(span, "sequent.run.id") == run);
                let id = |span: &Value| span["spanId"].as_str().unwrap().to_owned();
                let of_run: BTreeMap<String, Value> = of_run.map(|span| (id(&span), span)).collect();
                if !of_run.is_empty() {
                    return of_run;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, received).await.unwrap_or_else(|_| panic!("no trace of {run}"))
    }
}

async fn receive(
    State(collector): State<Collector>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    collector.attempts.fetch_add(1, Ordering::SeqCst);
    sleep(Duration::from_millis(collector.delay.load(Ordering::SeqCst).into())).await;
    if headers.get("authorization").is_none_or(|value| value != "Basic cGs6c2s=") {
        return (StatusCode::UNAUTHORIZED, "invalid credentials".to_owned());
    }
    let fails = |left: u32| left.checked_sub(1);
    if collector.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fails).is_ok() {
        return (StatusCode::SERVICE_UNAVAILABLE, String::new());
    }
    let request: Value = serde_json::from_slice(&body).unwrap();
    let spans = request["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
    collector.spans.lock().unwrap().extend(spans.iter().cloned());
    (StatusCode::OK, "{}".to_owned())
}

fn attribute<'a>(span: &'a Value, key: &str) -> &'a str {
    let attributes = span["attributes"].as_array().unwrap();
    let found = attributes.iter().find(|attribute| attribute["key"] == key);
    found.and_then(|attribute| attribute["value"]["stringValue"].as_str()).unwrap_or_default()
}

/// The names of the spans, sorted.
fn names(spans: &BTreeMap<String, Value>) -> Vec<&str> {
    let mut names: Vec<&str> = spans.values().map(|span| span["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

async fn start(url: &str) -> System {
    let system = System::start_with(&[], |options| {
        options.parameters.insert("TraceEndpoint".to_owned(), format!("{url} contents"));
        options.time_scale = 10;
    })
    .await;
    let headers = json!({"headers": "Authorization=Basic cGs6c2s="});
    system.secrets().insert_if_missing(SecretName::Traces, &headers).await.unwrap();
    system
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traces_of_a_run_and_its_children_reach_a_collector_that_fails_at_first() {
    let (collector, url) = Collector::open().await;
    collector.failures.store(2, Ordering::SeqCst);
    let system = start(&url).await;
    let ada = system.sign_up("ada@example.com").await;
    let step =
        |id: &str| json!({"id": id, "title": id, "instructions": "/demo tokens=3", "independent": true});
    let last = json!({"id": "sum", "title": "sum", "instructions": "Add them up."});
    // The arguments of a directive contain no spaces.
    let plan = json!({"steps": [step("east"), step("west"), last]}).to_string().replace(' ', "\\u0020");
    let input = format!("Look.\n/demo tokens=1 tool=write_plan args={plan}\n/demo tokens=3");
    let run = create(&ada, &json!({"input": input, "orchestration": "plan"})).await;
    let run = run["id"].as_str().unwrap().to_owned();
    until(&ada, &run, |run| run["completed_at"].is_string()).await;
    let log = ada.log(&run).await;
    check_ended(&run, &log);

    let spans = collector.trace_of(&run).await;
    assert!(collector.attempts.load(Ordering::SeqCst) > 2, "it was asked again");
    let count = |kind: &str| log.iter().filter(|event| event["type"] == kind).count();
    let of = |word: &str| names(&spans).iter().filter(|name| name.starts_with(word)).count();
    assert_eq!(of("chat "), count("USAGE_RECORDED"), "{:?}", names(&spans));
    assert_eq!(of("step "), count("STEP_STARTED"), "{:?}", names(&spans));
    let root = spans.values().find(|span| span["parentSpanId"].is_null()).unwrap();
    assert!(attribute(root, "gen_ai.input.messages").contains("tool=write_plan"));

    let started = log.iter().filter(|event| event["type"] == "SUBAGENT_STARTED");
    for child in started.map(|event| event["subagentRunId"].as_str().unwrap()) {
        let below = collector.trace_of(child).await;
        let traces: BTreeSet<&str> =
            below.values().chain(spans.values()).map(|span| span["traceId"].as_str().unwrap()).collect();
        assert_eq!(traces.len(), 1, "a child is in the trace of its parent");
        let top = below.values().find(|span| !below.contains_key(span["parentSpanId"].as_str().unwrap()));
        let parent = top.unwrap()["parentSpanId"].as_str().unwrap();
        assert_eq!(attribute(&spans[parent], "sequent.child.run.id"), child);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_hangs_harms_no_run_and_gets_the_trace_later() {
    let (collector, url) = Collector::open().await;
    collector.delay.store(60_000, Ordering::SeqCst);
    let system = start(&url).await;
    let ada = system.sign_up("ada@example.com").await;
    let mut runs = Vec::new();
    for _ in 0..3 {
        let sent = ada.send(&json!({"message": {"content": "Hello"}})).await;
        runs.push(sent.headers()["x-run-id"].to_str().unwrap().to_owned());
        let events = read_events(sent).await.events;
        assert!(events.last().is_some_and(is_terminal), "{events:?}");
    }
    let asked = async {
        while collector.attempts.load(Ordering::SeqCst) == 0 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, asked).await.expect("the collector is asked while it hangs");
    collector.delay.store(0, Ordering::SeqCst);
    for run in &runs {
        let spans = collector.trace_of(run).await;
        assert_eq!(names(&spans)[1], "invoke_agent", "{:?}", names(&spans));
    }
}
