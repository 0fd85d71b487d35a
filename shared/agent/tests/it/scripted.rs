//! A model server whose answers a test computes from the requests, and which keeps their bytes.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

/// An answer of the server.
pub(crate) enum Answer {
    /// A call of this tool.
    Call(&'static str),
    Text(String),
    /// A text that ends for this reason.
    Ended(String, &'static str),
    /// An error with status 503.
    Overloaded,
    /// An error with status 400.
    Refusal(&'static str),
}

/// A server with OpenAI's protocol.
pub(crate) struct ScriptedServer {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl ScriptedServer {
    /// Starts a server that answers request number `n` with `answer(n, request)`. It counts a token for three bytes.
    pub(crate) fn start(answer: impl Fn(usize, &Value) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = requests.clone();
        // The thread ends with the process of the test.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.unwrap());
                let body = read(&mut reader);
                let number = {
                    let mut log = log.lock().unwrap();
                    log.push(body.clone());
                    log.len() - 1
                };
                let request = serde_json::from_slice(&body).unwrap();
                let tokens = body.len() / 3;
                let response = render(answer(number, &request), number, tokens);
                // A client that was lost does not read it.
                let _ = reader.get_mut().write_all(response.as_bytes());
            }
        });
        Self { url, requests }
    }

    /// The bodies of the requests so far.
    pub(crate) fn requests(&self) -> Vec<Vec<u8>> {
        self.requests.lock().unwrap().clone()
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Vec<u8> {
    let mut line = String::new();
    let mut length = 0;
    while reader.read_line(&mut line).unwrap() > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    body
}

fn render(answer: Answer, number: usize, tokens: usize) -> String {
    let (delta, finish_reason) = match answer {
        Answer::Refusal(message) => {
            let body = json!({"error": {"message": message, "type": "invalid_request_error"}}).to_string();
            return head("400 Bad Request", "application/json", body.len()) + &body;
        }
        Answer::Overloaded => {
            let body = json!({"error": {"message": "Try again later."}}).to_string();
            return head("503 Service Unavailable", "application/json", body.len()) + &body;
        }
        Answer::Call(name) => {
            let function = json!({"name": name, "arguments": "{}"});
            let call =
                json!({"index": 0, "id": format!("call_{number}"), "type": "function", "function": function});
            (json!({"role": "assistant", "tool_calls": [call]}), "tool_calls")
        }
        Answer::Text(text) => (json!({"role": "assistant", "content": text}), "stop"),
        Answer::Ended(text, reason) => (json!({"role": "assistant", "content": text}), reason),
    };
    let usage = json!({"prompt_tokens": tokens, "completion_tokens": 5, "total_tokens": tokens + 5});
    let chunks = [
        json!({"choices": [{"index": 0, "delta": delta}]}),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": finish_reason}]}),
        json!({"choices": [], "usage": usage}),
    ];
    let frames: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    let body = format!("{frames}data: [DONE]\n\n");
    head("200 OK", "text/event-stream", body.len()) + &body
}

fn head(status: &str, media_type: &str, length: usize) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    )
}
