//! The job `export_trace` with a collector that accepts, refuses, fails and hangs.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sequent_core::{RunId, TenantId, Timestamp};
use sequent_event::{
    Body,
    testing::{GeneratedLog, task},
};
use sequent_jobs::{Delivery, Job, JobStatus, Jobs, Registry, Worked, Worker, enqueue};
use sequent_runlog::{DynamoStorage, LogKey, Settings, create};
use sequent_tables::{SecretName, SecretTable, Store, testing};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{Collector, ExportTrace};

/// A response: its status line and further headers, and its body.
type Answer = (&'static str, &'static str);

/// A collector with a list of answers, the last of which it repeats. Without any, it never answers.
struct TestCollector {
    url: String,
    received: Arc<Mutex<Vec<(String, Value)>>>,
    connections: Arc<AtomicUsize>,
    hangs: bool,
}

impl TestCollector {
    async fn open(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let hangs = answers.is_empty();
        let connections = Arc::new(AtomicUsize::new(0));
        let kept = Arc::clone(&received);
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let at = counted.fetch_add(1, Ordering::SeqCst);
                let Some((head, body)) = answers.get(at).or(answers.last()) else {
                    held.push(stream);
                    continue;
                };
                let mut bytes = Vec::new();
                let request = loop {
                    let mut part = [0; 4096];
                    let read = stream.read(&mut part).await.unwrap();
                    bytes.extend_from_slice(&part[..read]);
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    if let Some((head, body)) = text.split_once("\r\n\r\n")
                        && let Ok(body) = serde_json::from_str::<Value>(body)
                    {
                        break (head.to_lowercase(), body);
                    }
                };
                kept.lock().unwrap().push(request);
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { url, received, connections, hangs }
    }

    fn requests(&self) -> Vec<(String, Value)> {
        self.received.lock().unwrap().clone()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn spans(request: &Value) -> &Vec<Value> {
    request["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap()
}

/// A table with an ended run, and a worker that sends its trace.
struct Bench {
    store: Store,
    worker: Worker,
    run: LogKey,
}

impl Bench {
    async fn new(collector: &TestCollector, headers: Option<&str>) -> Self {
        let store = testing::store().await;
        let secrets = SecretTable::new(store.clone());
        if let Some(headers) = headers {
            secrets.insert_if_missing(SecretName::Traces, &json!({"headers": headers})).await.unwrap();
        }
        let endpoint = collector.url.parse().unwrap();
        // Long enough for an answer of a busy machine, except where there is none.
        let patience = if collector.hangs { Duration::from_millis(100) } else { Duration::from_secs(60) };
        let sender = Collector::new(endpoint, &secrets).within(patience);
        let kinds = Registry::new().with(ExportTrace::new(Some(sender)));
        let worker = Worker::new(kinds, DynamoStorage::new(store.clone()), Settings::default());
        Self { store, worker, run: LogKey { tenant: TenantId::new(), run: RunId::new() } }
    }

    /// Stores the log of a run with this number of model calls, and enqueues its job.
    async fn ended_run(&self, calls: usize) -> Delivery {
        let mut log = GeneratedLog::new(vec![task()]);
        (0..calls).for_each(|_| log.advance(0));
        log.end(0);
        let bodies: Vec<Body> = log.events.iter().filter_map(|event| event.body().cloned()).collect();
        let storage = DynamoStorage::new(self.store.clone());
        create(&storage, self.run, Settings::default(), bodies, None).await.unwrap();
        self.enqueue().await
    }

    async fn enqueue(&self) -> Delivery {
        let job = ExportTrace::job(self.run);
        enqueue(&self.store, &job, Timestamp::now()).await.unwrap();
        Delivery { tenant_id: job.tenant, job_id: job.id }
    }

    async fn work(&self, delivery: Delivery) -> Worked {
        Box::pin(self.worker.work(delivery, None)).await.unwrap()
    }

    async fn job(&self, delivery: Delivery) -> Job {
        Jobs::new(&self.store, delivery.tenant_id).get(delivery.job_id).await.unwrap()
    }
}

#[tokio::test]
async fn the_trace_of_a_run_is_sent_once_with_the_headers_of_the_operator() {
    let collector = TestCollector::open(vec![("200 OK", "{}")]).await;
    let bench = Bench::new(&collector, Some("Authorization=Basic cGs6c2s=,x-version=4")).await;
    let delivery = bench.ended_run(2).await;
    assert_eq!(bench.enqueue().await, delivery, "a run has one job");
    assert_eq!(bench.work(delivery).await, Worked::Success);
    assert_eq!(bench.work(delivery).await, Worked::Nothing);
    let [(head, body)] = &collector.requests()[..] else { panic!("{:?}", collector.requests()) };
    for header in ["post /v1/traces ", "authorization: basic cgs6c2s=", "x-version: 4", "application/json"] {
        assert!(head.contains(header), "{head}");
    }
    assert_eq!(spans(body).len(), 3);
    let expected = format!("{:032x}", bench.run.run.bits());
    assert!(spans(body).iter().all(|span| span["traceId"] == expected.as_str()), "{body}");
    let job = bench.job(delivery).await;
    assert!(job.result.unwrap().starts_with("3 spans of the first "), "{:?}", job.warnings);
}

#[tokio::test]
async fn a_collector_that_is_busy_is_asked_again_and_not_before_it_wants_to_be() {
    let collector =
        TestCollector::open(vec![("503 Service Unavailable\r\nretry-after: 120", ""), ("200 OK", "{}")])
            .await;
    let bench = Bench::new(&collector, None).await;
    let delivery = bench.ended_run(1).await;
    let before = Timestamp::now();
    assert_eq!(bench.work(delivery).await, Worked::Again);
    let job = bench.job(delivery).await;
    assert_eq!(job.status, JobStatus::Pending);
    assert!(job.not_before.unwrap() >= before + Duration::from_secs(120), "{job:?}");
    assert!(job.error.unwrap().message.contains("503"));
}

#[tokio::test]
async fn a_trace_that_is_refused_fails_its_job_and_no_header_is_shown() {
    let collector = TestCollector::open(vec![("401 Unauthorized", "invalid credentials")]).await;
    let bench = Bench::new(&collector, Some("Authorization=Basic c2VjcmV0")).await;
    let delivery = bench.ended_run(1).await;
    assert_eq!(bench.work(delivery).await, Worked::Failed);
    let why = bench.job(delivery).await.error.unwrap();
    assert_eq!(why.message, "The collector refuses the trace (401 Unauthorized).");

    let bench = Bench::new(&collector, Some("Author ization=Basic c2VjcmV0")).await;
    let delivery = bench.ended_run(1).await;
    assert_eq!(bench.work(delivery).await, Worked::Failed);
    let why = bench.job(delivery).await.error.unwrap();
    assert!(why.message.contains("secret `traces`") && !why.message.contains("c2VjcmV0"), "{why:?}");
}

#[tokio::test]
async fn spans_that_are_refused_for_good_are_told_and_not_sent_again() {
    let partial = r#"{"partialSuccess":{"rejectedSpans":"1","errorMessage":"too old"}}"#;
    let collector = TestCollector::open(vec![("200 OK", partial)]).await;
    let bench = Bench::new(&collector, None).await;
    let delivery = bench.ended_run(1).await;
    assert_eq!(bench.work(delivery).await, Worked::Success);
    assert_eq!(collector.connections(), 1);
    assert_eq!(bench.job(delivery).await.warnings, ["The collector has refused 1 spans: too old"]);
}

#[tokio::test]
async fn a_request_that_is_too_large_is_divided() {
    let collector = TestCollector::open(vec![("413 Content Too Large", ""), ("200 OK", "{}")]).await;
    let bench = Bench::new(&collector, None).await;
    let delivery = bench.ended_run(3).await;
    assert_eq!(bench.work(delivery).await, Worked::Success);
    let sizes: Vec<usize> = collector.requests().iter().map(|(_, body)| spans(body).len()).collect();
    assert_eq!(sizes, [4, 2, 2]);
}

#[tokio::test]
async fn a_span_that_is_too_large_alone_is_told() {
    let collector = TestCollector::open(vec![("413 Content Too Large", "")]).await;
    let bench = Bench::new(&collector, None).await;
    let delivery = bench.ended_run(1).await;
    assert_eq!(bench.work(delivery).await, Worked::Success);
    assert_eq!(bench.job(delivery).await.warnings.len(), 2);
}

#[tokio::test]
async fn a_collector_that_hangs_or_is_gone_holds_up_one_job_and_not_the_others() {
    let gone = TestCollector { url: gone().await, ..TestCollector::open(Vec::new()).await };
    let hanging = TestCollector::open(Vec::new()).await;
    for (collector, expected) in [(gone, "cannot be reached"), (hanging, "did not answer in time")] {
        let bench = Bench::new(&collector, None).await;
        let first = bench.ended_run(1).await;
        assert_eq!(bench.work(first).await, Worked::Again);
        assert_eq!(bench.job(first).await.error.unwrap().message, format!("The collector {expected}."));
        let connections = collector.connections();
        let others = Bench { run: LogKey { run: RunId::new(), ..bench.run }, ..bench };
        let second = others.ended_run(1).await;
        assert_eq!(others.work(second).await, Worked::Again);
        let why = others.job(second).await.error.unwrap().message;
        assert_eq!(why, "The collector did not answer another request a moment ago.");
        assert_eq!(collector.connections(), connections);
    }
}

/// The address of a port that refuses connections.
async fn gone() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}/v1/traces", listener.local_addr().unwrap())
}

#[tokio::test]
async fn nothing_is_sent_of_a_run_that_was_deleted() {
    let collector = TestCollector::open(vec![("200 OK", "{}")]).await;
    let bench = Bench::new(&collector, None).await;
    let delivery = bench.enqueue().await;
    assert_eq!(bench.work(delivery).await, Worked::Success);
    assert_eq!(bench.job(delivery).await.result.as_deref(), Some("The run was deleted."));
    assert_eq!(collector.connections(), 0);
}
