//! An MCP server over minimal HTTP, for tests. Its tools behave as their names say: `fail` fails, `break` drops the
//! connection. A test may script the answers to any method, byte by byte.

#![expect(clippy::unwrap_used, reason = "a failed step should panic at its line")]

mod authority;

pub use authority::Authority;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::OwnedMutexGuard,
    task::JoinHandle,
};

/// A running server. It stops when it is dropped.
#[derive(Debug)]
pub struct Scripted {
    /// The address that it listens at.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

/// An HTTP response that a test has scripted.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    content_type: &'static str,
    body: String,
    /// A header besides those that every response has.
    header: Option<(&'static str, String)>,
}

#[derive(Debug, Default)]
struct State {
    /// The authorization server whose tokens are required.
    authority: Option<Authority>,
    tools: Value,
    capabilities: Value,
    /// The next replies to each method. The last one is repeated.
    scripts: HashMap<&'static str, VecDeque<Reply>>,
    sessions: HashSet<String>,
    sessions_started: usize,
    /// The status, code and message for an unknown session.
    unknown_session: (u16, i32, &'static str),
    /// Every message, with its authorization.
    received: Vec<(String, Value)>,
    /// Held while no response to a renewal of tokens is sent.
    renewals: Arc<tokio::sync::Mutex<()>>,
}

impl Reply {
    /// A response with these bytes. `$ID` in the body becomes the id of the request.
    pub fn raw(status: u16, content_type: &'static str, body: impl Into<String>) -> Self {
        Self { status, content_type, body: body.into(), header: None }
    }

    /// A response with this result.
    #[must_use]
    pub fn result(result: &Value) -> Self {
        Self::raw(200, "application/json", format!(r#"{{"jsonrpc":"2.0","id":$ID,"result":{result}}}"#))
    }

    /// A stream with this result.
    #[must_use]
    pub fn event(result: &Value) -> Self {
        let message = format!(r#"{{"jsonrpc":"2.0","id":$ID,"result":{result}}}"#);
        Self::raw(200, "text/event-stream", format!(": ping\n\nevent: message\ndata: {message}\n\n"))
    }

    fn error(status: u16, code: i32, text: &str) -> Self {
        let error = json!({"code": code, "message": text});
        Self::raw(status, "application/json", format!(r#"{{"jsonrpc":"2.0","id":$ID,"error":{error}}}"#))
    }
}

impl Scripted {
    /// Starts a server with these tools.
    pub async fn start(tools: Value) -> Self {
        Self::start_at("127.0.0.1:0", tools).await
    }

    /// Starts a server at an address.
    pub async fn start_at(address: &str, tools: Value) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let unknown_session = (404, -32001, "Session not found");
        let state = State { tools, capabilities: json!({"tools": {}}), unknown_session, ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let address = listener.local_addr().unwrap();
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, state, task }
    }

    /// Returns the URL of its endpoint.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Lists these tools from now on.
    pub fn list(&self, tools: Value) {
        self.state.lock().unwrap().tools = tools;
    }

    /// States these capabilities from now on.
    pub fn state_capabilities(&self, capabilities: Value) {
        self.state.lock().unwrap().capabilities = capabilities;
    }

    /// Replies to a method in this way from now on.
    pub fn script(&self, method: &'static str, replies: impl IntoIterator<Item = Reply>) {
        self.state.lock().unwrap().scripts.insert(method, replies.into_iter().collect());
    }

    /// Requires tokens of an authorization server at the same address from now on.
    pub fn require_sign_in(&self) {
        self.state.lock().unwrap().authority = Some(Authority::at(&format!("http://{}", self.address)));
    }

    /// Changes or asks the authorization server.
    pub fn authority<T>(&self, with: impl FnOnce(&mut Authority) -> T) -> T {
        with(self.state.lock().unwrap().authority.as_mut().unwrap())
    }

    /// Sends no response to a renewal of tokens until the guard is dropped. The authorization server carries it out before.
    pub async fn hold_renewals(&self) -> OwnedMutexGuard<()> {
        let renewals = Arc::clone(&self.state.lock().unwrap().renewals);
        renewals.lock_owned().await
    }

    /// Ends all sessions, and reports unknown sessions in this way from now on.
    pub fn forget(&self, status: u16, code: i32, message: &'static str) {
        let mut state = self.state.lock().unwrap();
        state.sessions.clear();
        state.unknown_session = (status, code, message);
    }

    /// Returns the number of sessions that were started.
    #[must_use]
    pub fn sessions_started(&self) -> usize {
        self.state.lock().unwrap().sessions_started
    }

    /// Returns every message of this method, with its authorization.
    #[must_use]
    pub fn received(&self, method: &str) -> Vec<(String, Value)> {
        let state = self.state.lock().unwrap();
        state.received.iter().filter(|(_, message)| message["method"] == method).cloned().collect()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let Some((head, body)) = request(&mut stream).await else { return };
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(':'));
        lines
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map_or("", |(_, value)| value.trim())
            .to_owned()
    };
    let reply = respond(&state, &head, &header("mcp-session-id"), &header("authorization"), &body);
    let renewals = Arc::clone(&state.lock().unwrap().renewals);
    if String::from_utf8_lossy(&body).contains("grant_type=refresh_token") {
        drop(renewals.lock().await);
    }
    let Some(Reply { status, content_type, body, header }) = reply else {
        return; // drops the connection
    };
    let header = header.map(|(name, value)| format!("{name}: {value}\r\n")).unwrap_or_default();
    let length = body.len();
    let response = format!(
        "HTTP/1.1 {status} Scripted\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\
         {header}connection: close\r\n\r\n{body}"
    );
    let _ = stream.write_all(response.as_bytes()).await; // the client may have disconnected
}

async fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let lower = head.to_ascii_lowercase();
            let length = lower.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
            let length = length.map_or(0, |length| length.trim().parse::<usize>().unwrap());
            if bytes.len() >= end + 4 + length {
                return Some((head, bytes[end + 4..].to_vec()));
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

fn respond(
    state: &Mutex<State>,
    head: &str,
    session: &str,
    authorization: &str,
    body: &[u8],
) -> Option<Reply> {
    let mut state = state.lock().unwrap();
    if let Some(authority) = &mut state.authority {
        let line = head.lines().next()?.rsplit_once(' ')?.0;
        let reply = authority.reply(line, body).or_else(|| authority.challenge(authorization));
        if reply.is_some() {
            return reply;
        }
    }
    if !head.starts_with("POST") {
        state.sessions.remove(session);
        return Some(Reply::raw(if head.starts_with("DELETE") { 204 } else { 405 }, "text/plain", ""));
    }
    let message: Value = serde_json::from_slice(body).unwrap();
    state.received.push((authorization.to_owned(), message.clone()));
    let reply = reply(&mut state, session, &message)?;
    Some(Reply { body: reply.body.replace("$ID", &message["id"].to_string()), ..reply })
}

fn reply(state: &mut State, session: &str, message: &Value) -> Option<Reply> {
    let method = message["method"].as_str()?;
    let scripted = state
        .scripts
        .get_mut(method)
        .and_then(|replies| if replies.len() > 1 { replies.pop_front() } else { replies.front().cloned() });
    if method == "initialize" {
        state.sessions_started += 1;
        let session = format!("session-{}", state.sessions_started);
        state.sessions.insert(session.clone());
        let start = json!({"protocolVersion": "2025-11-25", "capabilities": state.capabilities,
            "serverInfo": {"name": "scripted", "version": "1"}});
        let reply = scripted.unwrap_or_else(|| Reply::result(&start));
        return Some(Reply { header: Some(("mcp-session-id", session)), ..reply });
    }
    if !state.sessions.contains(session) {
        let (status, code, text) = state.unknown_session;
        return Some(Reply::error(status, code, text));
    }
    if scripted.is_some() {
        return scripted;
    }
    let text = |text: &str, is_error: bool| {
        Reply::result(&json!({"content": [{"type": "text", "text": text}], "isError": is_error}))
    };
    Some(match (method, message["params"]["name"].as_str()) {
        ("tools/list", _) => Reply::result(&json!({"tools": state.tools})),
        ("tools/call", Some("break" | "break-reading")) => return None,
        ("tools/call", Some("fail")) => text("The note is locked.", true),
        ("tools/call", Some("refuse")) => Reply::error(200, -32602, "no such note"),
        ("tools/call", Some("overload")) => Reply::error(503, -32603, "later"),
        ("tools/call", Some(_)) => text(&message["params"]["arguments"].to_string(), false),
        (_, _) if message.get("id").is_some() => Reply::error(200, -32601, "Method not found"),
        _ => Reply::raw(202, "text/plain", ""),
    })
}
