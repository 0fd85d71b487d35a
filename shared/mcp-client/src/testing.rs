//! An MCP server over minimal HTTP. Its tools behave as their names say: `fail` fails, `break` drops the
//! connection.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A running server. It stops when it is dropped.
pub(super) struct Scripted {
    pub(super) address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    tools: Value,
    sessions: HashSet<String>,
    sessions_started: usize,
    /// The status, code and message for an unknown session.
    unknown_session: (u16, i32, &'static str),
    /// Every message, with its authorization.
    received: Vec<(String, Value)>,
}

impl Scripted {
    pub(super) async fn start(tools: Value) -> Self {
        Self::start_at("127.0.0.1:0", tools).await
    }

    pub(super) async fn start_at(address: &str, tools: Value) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let state = State { tools, unknown_session: (404, -32001, "Session not found"), ..State::default() };
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

    pub(super) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Lists these tools from now on.
    pub(super) fn list(&self, tools: Value) {
        self.state.lock().unwrap().tools = tools;
    }

    /// Ends all sessions, and reports unknown sessions in this way from now on.
    pub(super) fn forget(&self, status: u16, code: i32, message: &'static str) {
        let mut state = self.state.lock().unwrap();
        state.sessions.clear();
        state.unknown_session = (status, code, message);
    }

    /// The number of sessions that were started.
    pub(super) fn sessions_started(&self) -> usize {
        self.state.lock().unwrap().sessions_started
    }

    /// Every message of this method, with its authorization.
    pub(super) fn received(&self, method: &str) -> Vec<(String, Value)> {
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
    let Some((status, session, answer)) =
        respond(&state, &head, &header("mcp-session-id"), &header("authorization"), &body)
    else {
        return; // drops the connection
    };
    let session = session.map(|session| format!("mcp-session-id: {session}\r\n")).unwrap_or_default();
    let answer = answer.map(|answer| answer.to_string()).unwrap_or_default();
    let length = answer.len();
    let response = format!(
        "HTTP/1.1 {status} Scripted\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         {session}connection: close\r\n\r\n{answer}"
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

type Response = (u16, Option<String>, Option<Value>);

fn respond(
    state: &Mutex<State>,
    head: &str,
    session: &str,
    authorization: &str,
    body: &[u8],
) -> Option<Response> {
    let mut state = state.lock().unwrap();
    if !head.starts_with("POST") {
        state.sessions.remove(session);
        return Some((if head.starts_with("DELETE") { 204 } else { 405 }, None, None));
    }
    let message: Value = serde_json::from_slice(body).unwrap();
    state.received.push((authorization.to_owned(), message.clone()));
    let id = &message["id"];
    let result =
        |result: Value| Some((200, None, Some(json!({"jsonrpc": "2.0", "id": id, "result": result}))));
    let error = |status, code: i32, text: &str| {
        let error = json!({"code": code, "message": text});
        Some((status, None, Some(json!({"jsonrpc": "2.0", "id": id, "error": error}))))
    };
    if message["method"] == "initialize" {
        state.sessions_started += 1;
        let session = format!("session-{}", state.sessions_started);
        state.sessions.insert(session.clone());
        let (_, _, answer) = result(json!({
            "protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
            "serverInfo": {"name": "scripted", "version": "1"},
        }))?;
        return Some((200, Some(session), answer));
    }
    if !state.sessions.contains(session) {
        let (status, code, text) = state.unknown_session;
        return error(status, code, text);
    }
    let text = |text: &str, is_error: bool| {
        result(json!({"content": [{"type": "text", "text": text}], "isError": is_error}))
    };
    match (message["method"].as_str()?, message["params"]["name"].as_str()) {
        ("tools/list", _) => result(json!({"tools": state.tools})),
        ("tools/call", Some("break" | "break-reading")) => None,
        ("tools/call", Some("fail")) => text("The note is locked.", true),
        ("tools/call", Some("refuse")) => error(200, -32602, "no such note"),
        ("tools/call", Some("overload")) => error(503, -32603, "later"),
        ("tools/call", Some(_)) => text(&message["params"]["arguments"].to_string(), false),
        _ => Some((202, None, None)),
    }
}
