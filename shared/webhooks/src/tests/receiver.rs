//! A receiver of events: an HTTP server on loopback whose paths behave well or badly, and one that nothing may reach.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sequent_core::Timestamp;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::sleep,
};

use crate::signature::{self, SignedHeaders, SigningSecret};

/// The pause of a late answer.
const LATE: Duration = Duration::from_millis(30);

/// A request as it was received.
#[derive(Debug, Clone)]
pub(super) struct ReceivedEvent {
    pub(super) path: String,
    pub(super) id: String,
    pub(super) timestamp: String,
    pub(super) signature: String,
    pub(super) body: String,
}

impl ReceivedEvent {
    /// Verifies the request as a receiver would at the time of the attempt, which is simulated.
    pub(super) fn is_signed_with(&self, secret: &SigningSecret) -> bool {
        let headers = SignedHeaders {
            id: Some(&self.id),
            timestamp: Some(&self.timestamp),
            signature: Some(&self.signature),
        };
        let at = Timestamp::from_millis(self.timestamp.parse::<i64>().unwrap() * 1000);
        signature::verify(headers, self.body.as_bytes(), [secret], at) == Ok(self.id.as_str())
    }
}

/// A receiver. Its paths are `/ok`, `/late`, `/flaky/N` (which fails N times for each id), `/hangs`, `/fails`, `/asks` (for an
/// hour), `/gone`, and `/redirects`.
#[derive(Clone)]
pub(super) struct Receiver {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    events: Vec<ReceivedEvent>,
    attempts: HashMap<String, u32>,
    connections: usize,
    redirect: String,
    /// Answers of `/switch`, which begins with failures.
    is_well: bool,
}

impl Receiver {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self { address: listener.local_addr().unwrap(), state: Arc::default() };
        let serving = receiver.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let receiver = serving.clone();
                receiver.state().connections += 1;
                tokio::spawn(async move { receiver.serve(stream).await });
            }
        });
        receiver
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn redirect_to(&self, url: String) {
        self.state().redirect = url;
    }

    /// Has `/switch` accept events from now on.
    pub(super) fn recover(&self) {
        self.state().is_well = true;
    }

    pub(super) fn connections(&self) -> usize {
        self.state().connections
    }

    pub(super) fn events(&self) -> Vec<ReceivedEvent> {
        self.state().events.clone()
    }

    /// Number of requests by id that a path received.
    pub(super) fn received_at(&self, path: &str) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for event in self.state().events.iter().filter(|event| event.path == path) {
            *counts.entry(event.id.clone()).or_default() += 1;
        }
        counts
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(&self, mut stream: TcpStream) {
        let Some(event) = read(&mut stream).await else { return };
        let attempt = {
            let mut state = self.state();
            state.events.push(event.clone());
            let attempts = state.attempts.entry(format!("{} {}", event.path, event.id)).or_default();
            *attempts += 1;
            *attempts
        };
        let answer = match event.path.as_str() {
            "/hangs" => return sleep(Duration::from_secs(3600)).await,
            "/late" => {
                sleep(LATE).await;
                "200 OK\r\n".to_owned()
            }
            "/fails" => "500 Internal Server Error\r\n".to_owned(),
            "/asks" => "503 Service Unavailable\r\nretry-after: 3600\r\n".to_owned(),
            "/gone" => "410 Gone\r\n".to_owned(),
            "/redirects" => format!("302 Found\r\nlocation: {}\r\n", self.state().redirect),
            "/switch" if !self.state().is_well => "502 Bad Gateway\r\n".to_owned(),
            path => match path.strip_prefix("/flaky/").map(|times| times.parse::<u32>().unwrap()) {
                Some(times) if attempt <= times => "429 Too Many Requests\r\n".to_owned(),
                _ => "204 No Content\r\n".to_owned(),
            },
        };
        let answer = format!("HTTP/1.1 {answer}content-length: 0\r\nconnection: close\r\n\r\n");
        // The sender may have given up.
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
    }
}

/// Reads a whole request. Returns `None` if it breaks off.
async fn read(stream: &mut TcpStream) -> Option<ReceivedEvent> {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
        };
        if body.len() < header("content-length")?.parse().ok()? {
            continue;
        }
        return Some(ReceivedEvent {
            path: head.split(' ').nth(1)?.to_owned(),
            id: header(signature::ID)?,
            timestamp: header(signature::TIMESTAMP)?,
            signature: header(signature::SIGNATURE)?,
            body: body.to_owned(),
        });
    }
}
