//! A proxy between the functions and the emulator that fails as DynamoDB does.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    response::Response,
};
use reqwest::Client;

/// Delay of a silent call, longer than any caller waits.
const HANGS: Duration = Duration::from_secs(30);

/// Rates of faults, per thousand calls of the database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    /// Refused before any effect.
    pub(crate) throttled: u32,
    /// Executed, and answered with an internal error.
    pub(crate) ambiguous: u32,
    /// Executed, and not answered.
    pub(crate) silent: u32,
}

/// The endpoint that functions use in place of the emulator.
#[derive(Clone)]
pub(crate) struct Faults(Arc<Inner>);

struct Inner {
    address: SocketAddr,
    rates: Rates,
    emulator: OnceLock<String>,
    on: AtomicBool,
    client: Client,
    calls: AtomicUsize,
    failed: AtomicUsize,
}

impl Faults {
    /// Listens on a port. Requests are served once the emulator is known.
    pub(crate) async fn listen(rates: Rates) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default(); // another test of the process was first
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let faults = Self(Arc::new(Inner {
            address: listener.local_addr().unwrap(),
            rates,
            emulator: OnceLock::new(),
            on: AtomicBool::new(false),
            client: Client::new(),
            calls: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
        }));
        let router = Router::new().fallback(serve).with_state(faults.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        faults
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// Begins to serve, without faults at first.
    pub(crate) fn stand_before(&self, emulator: &str) {
        self.0.emulator.set(emulator.trim_end_matches('/').to_owned()).expect("the emulator is set once");
    }

    /// Switches faults on or off.
    pub(crate) fn set(&self, on: bool) {
        self.0.on.store(on, Ordering::Relaxed);
    }

    /// Returns the number of calls of the database, and of failed calls.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.0.calls.load(Ordering::Relaxed), self.0.failed.load(Ordering::Relaxed))
    }
}

async fn serve(State(faults): State<Faults>, request: Request) -> Result<Response, Infallible> {
    let Inner { rates, on, calls, failed, .. } = &*faults.0;
    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
    if !on.load(Ordering::Relaxed) || !target.is_some_and(|target| target.starts_with("DynamoDB_")) {
        return Ok(faults.forward(request).await);
    }
    calls.fetch_add(1, Ordering::Relaxed);
    let dice = fastrand::u32(..1000);
    let throttled = rates.throttled;
    let ambiguous = throttled + rates.ambiguous;
    if dice < ambiguous + rates.silent {
        failed.fetch_add(1, Ordering::Relaxed);
    }
    if dice < throttled {
        return Ok(error(400, "ThrottlingException"));
    }
    let answer = faults.forward(request).await;
    if dice < ambiguous {
        return Ok(error(500, "InternalServerError"));
    }
    if dice < ambiguous + rates.silent {
        tokio::time::sleep(HANGS).await;
    }
    Ok(answer)
}

impl Faults {
    async fn forward(&self, request: Request) -> Response {
        let Some(emulator) = self.0.emulator.get() else { return error(503, "ServiceUnavailable") };
        let (head, body) = request.into_parts();
        let Ok(body) = to_bytes(body, usize::MAX).await else { return error(400, "SerializationException") };
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let forwarded =
            self.0.client.request(head.method, format!("{emulator}{path}")).headers(head.headers).body(body);
        let Ok(answer) = forwarded.send().await else { return error(503, "ServiceUnavailable") };
        let mut response = Response::builder().status(answer.status());
        for (name, value) in answer.headers().iter().filter(|(name, _)| *name != "transfer-encoding") {
            response = response.header(name, value);
        }
        match answer.bytes().await {
            Ok(bytes) => response.body(Body::from(bytes)).unwrap(),
            Err(_) => error(503, "ServiceUnavailable"),
        }
    }
}

fn error(status: u16, code: &str) -> Response {
    let body = format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"injected"}}"#);
    let response = Response::builder().status(status).header("content-type", "application/x-amz-json-1.0");
    response.body(Body::from(Bytes::from(body))).unwrap()
}
