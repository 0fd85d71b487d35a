//! A receiver is told of runs and verifies that, also if the worker is killed while the receiver takes its time.

use std::{
    future::pending,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, routing::post};
use http::HeaderMap;
use sequent_core::Timestamp;
use sequent_webhooks::signature::{self, SignedHeaders, SigningSecret};
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::timeout};

use crate::{
    background::{create, instances},
    system::{Caller, PATIENCE, System},
};

/// A server that keeps what it receives.
#[derive(Clone)]
struct EventReceiver {
    address: SocketAddr,
    state: Arc<ReceiverState>,
}

#[derive(Default)]
struct ReceiverState {
    requests: Mutex<Vec<(HeaderMap, Bytes)>>,
    /// Requests are kept, and not answered.
    hangs: AtomicBool,
}

impl EventReceiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self { address: listener.local_addr().unwrap(), state: Arc::default() };
        let router = Router::new().route("/events", post(receive)).with_state(Arc::clone(&receiver.state));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        receiver
    }

    /// The payloads of all requests, each of which the secret must have signed.
    fn payloads(&self, secret: &SigningSecret) -> Vec<Value> {
        let requests = self.state.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let verified = requests.iter().map(|(headers, body)| {
            let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
            let signed = SignedHeaders {
                id: header(signature::ID),
                timestamp: header(signature::TIMESTAMP),
                signature: header(signature::SIGNATURE),
            };
            let payload: Value = serde_json::from_slice(body).unwrap();
            let id = signature::verify(signed, body, [secret], Timestamp::now()).unwrap();
            assert_eq!(payload["id"], id);
            payload
        });
        verified.collect()
    }

    /// Waits for events of this type about this run, and returns them.
    async fn told(&self, secret: &SigningSecret, event: &str, run: &str, times: usize) -> Vec<Value> {
        let look = async {
            loop {
                let mut payloads = self.payloads(secret);
                payloads.retain(|payload| payload["type"] == event && payload["data"]["run_id"] == run);
                if payloads.len() >= times {
                    return payloads;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("{event} of {run} was not told"))
    }
}

async fn receive(State(state): State<Arc<ReceiverState>>, headers: HeaderMap, body: Bytes) {
    state.requests.lock().unwrap_or_else(PoisonError::into_inner).push((headers, body));
    if state.hangs.load(Ordering::SeqCst) {
        pending::<()>().await;
    }
}

/// Creates a webhook. Returns its path and its secret.
async fn subscribe(caller: &Caller, receiver: &EventReceiver) -> (String, SigningSecret) {
    let new = json!({"url": format!("http://{}/events", receiver.address),
        "events": ["run.started", "run.finished", "run.failed"]});
    let answer = caller.request("POST", "/api/webhooks").json(&new).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let webhook: Value = answer.json().await.unwrap();
    let secret = SigningSecret::parse(&webhook["secret"].as_str().unwrap().into()).unwrap();
    (format!("/api/webhooks/{}", webhook["id"].as_str().unwrap()), secret)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_is_told_of_a_run_once_more_if_the_worker_is_killed() {
    let receiver = EventReceiver::start().await;
    let address = receiver.address.to_string();
    let environment = [("SSRF_ALLOW", &*address), ("LEASE_MS", "1500"), ("LEASE_RENEW_MS", "400")];
    let system = System::start(&environment).await;
    let caller = system.sign_up("told@example.com").await;
    let (webhook, secret) = subscribe(&caller, &receiver).await;

    let run = create(&caller, &json!({"input": "/demo tokens=5 rate=0"})).await;
    let run = run["id"].as_str().unwrap();
    let started = receiver.told(&secret, "run.started", run, 1).await;
    let finished = receiver.told(&secret, "run.finished", run, 1).await;
    assert_eq!(finished[0]["data"]["status"], "success");
    assert_ne!(started[0]["id"], finished[0]["id"]);

    // A streamed run is the owner from its creation on.
    let sent = caller.send(&json!({"message": {"content": "/demo tokens=5 rate=0"}})).await;
    let streamed = sent.headers()["x-run-id"].to_str().unwrap().to_owned();
    sent.bytes().await.unwrap();
    receiver.told(&secret, "run.started", &streamed, 1).await;
    receiver.told(&secret, "run.finished", &streamed, 1).await;

    receiver.state.hangs.store(true, Ordering::SeqCst);
    let run = create(&caller, &json!({"input": "/demo tokens=5 rate=0"})).await;
    let run = run["id"].as_str().unwrap();
    let held = receiver.told(&secret, "run.finished", run, 1).await;
    for (pid, _) in instances(&system, "JobWorkerFunction") {
        system.stack.kill(pid);
    }
    receiver.state.hangs.store(false, Ordering::SeqCst);
    let told = receiver.told(&secret, "run.finished", run, 2).await;
    assert!(told.iter().all(|payload| payload["id"] == held[0]["id"]), "{told:?}");

    let all = async {
        loop {
            let list = caller.get(&format!("{webhook}/deliveries")).await;
            let deliveries = list["items"].as_array().unwrap().clone();
            if deliveries.iter().all(|delivery| delivery["status"] == "delivered") {
                return deliveries;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let all = timeout(PATIENCE, all).await.expect("every delivery ends");
    let mut seqs: Vec<u64> = all.iter().map(|delivery| delivery["seq"].as_u64().unwrap()).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6], "started and finished, of three runs");
}
