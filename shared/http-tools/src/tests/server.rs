//! An HTTP server with scripted answers, which keeps what it receives.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A running server. It stops when it is dropped.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    state: Arc<Mutex<ServerState>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct ServerState {
    /// The next answers. The last one is repeated.
    answers: VecDeque<Scripted>,
    received: Vec<Received>,
}

/// The way in which a request is answered.
#[derive(Clone)]
pub(super) enum Scripted {
    /// With a status line, headers and a body.
    With(&'static str, &'static str, String),
    /// The connection is closed after the request.
    Closed,
    /// There is no answer.
    Silent,
}

/// A request as it was received.
#[derive(Debug, Clone)]
pub(super) struct Received {
    pub(super) line: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

impl Server {
    pub(super) async fn start(answers: impl IntoIterator<Item = Scripted>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = ServerState { answers: answers.into_iter().collect(), received: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, state, task }
    }

    pub(super) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.state.lock().unwrap().received.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Scripted {
    pub(super) fn json(status: &'static str, body: &str) -> Self {
        Self::With(status, "content-type: application/json", body.to_owned())
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<ServerState>>) {
    let Some(request) = read(&mut stream).await else { return };
    let answer = {
        let mut state = state.lock().unwrap();
        state.received.push(request);
        let next = state.answers.pop_front().unwrap();
        if state.answers.is_empty() {
            state.answers.push_back(next.clone());
        }
        next
    };
    match answer {
        Scripted::With(status, headers, body) => {
            let head = format!("HTTP/1.1 {status}\r\n{headers}\r\ncontent-length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
        }
        Scripted::Closed => {}
        Scripted::Silent => std::future::pending().await,
    }
}

async fn read(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let (head, end) = loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            break (String::from_utf8(bytes[..end].to_vec()).unwrap(), end + 4);
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let mut lines = head.split("\r\n");
    let line = lines.next()?.to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    while bytes.len() < end + length {
        stream.read_buf(&mut bytes).await.ok()?;
    }
    Some(Received { line, headers, body: String::from_utf8(bytes[end..].to_vec()).unwrap() })
}
