//! The load of a tenant that does its worst: every kind of request, and each more often than a limit allows. Its pace does not
//! depend on the answers, as that of many clients does not.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use futures::future::join_all;
use http::{Method, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::MissedTickBehavior};

use crate::{client::Client, exports::sha256, fanout::planned};

/// Runs that stream for the whole time to a client that has left. The other slots are for runs that end.
const LONG_RUNS: usize = 3;
/// Requests of a kind that wait for an answer at the same time. More would only start processes on a machine that is too
/// slow already, where Lambda adds instances.
const ABREAST: usize = 4;
/// Bytes of an upload.
const UPLOAD: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Turn,
    Run,
    Follower,
    Upload,
    SignIn,
    McpCall,
    Export,
    List,
}

/// The pause between two requests of a kind. The limits of a minute are 120 for turns, runs, MCP calls and exports together,
/// 600 for the two requests of uploads, 1,200 for lists and followers, and 30 for wrong passwords.
const PACE: [(Kind, Duration); 8] = [
    (Kind::Turn, Duration::from_millis(400)),
    (Kind::Run, Duration::from_millis(2000)),
    (Kind::Follower, Duration::from_millis(500)),
    (Kind::Upload, Duration::from_millis(180)),
    (Kind::SignIn, Duration::from_millis(1000)),
    (Kind::McpCall, Duration::from_millis(1000)),
    (Kind::Export, Duration::from_millis(1000)),
    (Kind::List, Duration::from_millis(45)),
];

/// The answers to requests of a kind.
#[derive(Debug, Clone, Copy, Default)]
struct Answers {
    accepted: u64,
    /// Refused by a limit, or because the password is wrong.
    refused: u64,
    /// Server errors, and requests without an answer.
    failed: u64,
}

/// The tenant, and the answers that it got.
pub(crate) struct NoisyTenant {
    client: Client,
    /// Address of the user whose password is guessed.
    victim: String,
    /// A run that lasts, and its project.
    long: Option<(String, String)>,
    requests: AtomicU64,
    answers: Mutex<BTreeMap<Kind, Answers>>,
}

impl NoisyTenant {
    pub(crate) fn new(client: Client, victim: &Client) -> Self {
        Self {
            client,
            victim: victim.email.clone(),
            long: None,
            requests: AtomicU64::default(),
            answers: Mutex::default(),
        }
    }

    /// Starts the long runs, and leaves them.
    pub(crate) async fn with_long_runs(mut self) -> anyhow::Result<Self> {
        for _ in 0..LONG_RUNS {
            let answer = self.start("/demo tokens=100000 rate=1").await?;
            let id =
                |name: &str| answer.headers().get(name).and_then(|id| id.to_str().ok()).map(str::to_owned);
            self.long = id("x-run-id").zip(id("x-project-id"));
        }
        Ok(self)
    }

    /// Sends requests of all kinds for this time.
    pub(crate) async fn work(self: Arc<Self>, time: Duration) {
        let end = Instant::now() + time;
        join_all(PACE.map(|(kind, pause)| tokio::spawn(self.clone().repeat(kind, pause, end)))).await;
    }

    async fn repeat(self: Arc<Self>, kind: Kind, pause: Duration, end: Instant) {
        let mut ticks = tokio::time::interval(pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut pending = JoinSet::new();
        while Instant::now() < end {
            ticks.tick().await;
            while pending.try_join_next().is_some() {}
            if pending.len() < ABREAST {
                let tenant = self.clone();
                pending.spawn(async move { tenant.ask(kind).await });
            }
        }
    }

    async fn ask(&self, kind: Kind) {
        let answer = match kind {
            Kind::Turn => self.start("/demo tokens=300 rate=0").await.map(|answer| answer.status()),
            Kind::Run => self.post("/api/runs", &planned(5)).await,
            Kind::Follower => self.follow().await,
            Kind::Upload => self.upload().await,
            Kind::SignIn => self.guess().await,
            Kind::McpCall => self.call_tool().await,
            Kind::Export => self.export().await,
            Kind::List => self.status(Method::GET, "/api/runs?limit=100", &[], None).await,
        };
        let mut all = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = all.entry(kind).or_default();
        match answer {
            Ok(status) if status.is_success() => answers.accepted += 1,
            Ok(status) if status.is_client_error() => answers.refused += 1,
            Ok(_) | Err(_) => answers.failed += 1,
        }
    }

    /// Starts a streamed run. The client leaves when the headers have arrived.
    async fn start(&self, content: &str) -> anyhow::Result<Response<Incoming>> {
        let body = json!({"message": {"content": content}, "model": "demo"});
        self.send(Method::POST, "/api/chat/send", &[], Some(&body)).await
    }

    async fn follow(&self) -> anyhow::Result<StatusCode> {
        let (run, _) = self.long.as_ref().context("no long run")?;
        let path = format!("/api/runs/{run}/events");
        Ok(self.send(Method::GET, &path, &[("accept", "text/event-stream")], None).await?.status())
    }

    async fn upload(&self) -> anyhow::Result<StatusCode> {
        let bytes: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(UPLOAD).collect();
        let offer = json!({"sha256": sha256(&bytes), "size": UPLOAD, "title": "Noise",
            "media_type": "application/octet-stream"});
        let answer = self.send(Method::POST, "/api/artifacts/uploads", &[], Some(&offer)).await?;
        let status = answer.status();
        let offered = answer.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            return Ok(status);
        }
        let offered: Value = serde_json::from_slice(&offered)?;
        self.client.put(&offered["put"], bytes).await?;
        let id = offered["id"].as_str().context("an offer without an id")?;
        self.status(Method::POST, &format!("/api/artifacts/uploads/{id}/complete"), &[], None).await
    }

    async fn guess(&self) -> anyhow::Result<StatusCode> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let body = json!({"email": self.victim, "password": "a wrong guess of the password"});
        let stranger = self.client.signed_out();
        Ok(stranger.send(Method::POST, "/api/auth/login", &[], Some(&body)).await?.status())
    }

    async fn call_tool(&self) -> anyhow::Result<StatusCode> {
        let call = json!({"name": "start_run", "arguments": {"input": "/demo tokens=20 rate=0"}});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call});
        let headers =
            [("accept", "application/json, text/event-stream"), ("mcp-protocol-version", "2025-11-25")];
        self.status(Method::POST, "/mcp", &headers, Some(&body)).await
    }

    async fn export(&self) -> anyhow::Result<StatusCode> {
        let (_, project) = self.long.as_ref().context("no long run")?;
        self.post("/api/exports", &json!({"project_id": project, "format": "zip"})).await
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<StatusCode> {
        self.status(Method::POST, path, &[], Some(body)).await
    }

    /// Sends a request, reads the answer, and returns its status.
    async fn status(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        json: Option<&Value>,
    ) -> anyhow::Result<StatusCode> {
        let answer = self.send(method, path, headers, json).await?;
        let status = answer.status();
        answer.into_body().collect().await?;
        Ok(status)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        json: Option<&Value>,
    ) -> anyhow::Result<Response<Incoming>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.client.send(method, path, headers, json).await
    }

    /// Returns the number of requests to the API.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Returns the answers by kind.
    pub(crate) fn summary(&self) -> String {
        let all = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let parts = all.iter().map(|(kind, Answers { accepted, refused, failed })| {
            let failed = if *failed > 0 { format!(" {failed} failed") } else { String::new() };
            format!("{kind:?} {accepted} of {}{failed}", accepted + refused)
        });
        format!("accepted: {}", parts.collect::<Vec<_>>().join(", "))
    }
}
