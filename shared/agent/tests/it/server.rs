//! A model server that gives prepared answers and records what it was asked.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
};

use sequent_agent::Engine;
use sequent_model::{Client, Config, config::Endpoint};
use serde_json::Value;

use crate::bench::Bench;

/// A server of models, at one address for all protocols.
pub(crate) struct ModelServer {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl ModelServer {
    /// Starts a server that answers request `n` with answer `n`, and later requests with the last one. An answer is a whole
    /// HTTP response.
    pub(crate) fn start<A: Into<Vec<u8>>>(answers: Vec<A>) -> Self {
        let answers: Vec<Vec<u8>> = answers.into_iter().map(Into::into).collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        // The thread ends with the process of the test.
        std::thread::spawn(move || {
            for (stream, n) in listener.incoming().zip(0..) {
                let mut reader = BufReader::new(stream.unwrap());
                log.lock().unwrap().push(read(&mut reader));
                let answer = answers.get(n).or(answers.last()).unwrap();
                reader.get_mut().write_all(answer).unwrap();
            }
        });
        Self { url, asked }
    }

    /// The bodies of the requests.
    pub(crate) fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn forget(&self) {
        self.asked.lock().unwrap().clear();
    }

    /// A bench whose providers are this server. A failed request is not repeated.
    pub(crate) async fn bench(&self, adjust: impl FnOnce(&mut Config)) -> Bench {
        let bench = Bench::new().await;
        let endpoint = Endpoint::new(&self.url, Some("test-key".into())).unwrap();
        let mut config = Config::demo();
        config.openai = Some(endpoint.clone());
        config.anthropic = Some(endpoint);
        config.demo_tokens_per_second = 0;
        config.retry.attempts = 1;
        adjust(&mut config);
        Bench { engine: Engine { models: Client::new(config), ..bench.engine.clone() }, ..bench }
    }
}

fn read(reader: &mut impl BufRead) -> Value {
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
    serde_json::from_slice(&body).unwrap()
}

/// A stream of these events, each of which is JSON. The name of an event is its field `type`.
pub(crate) fn streamed(events: &[Value]) -> String {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let events = events.iter().map(|event| match event["type"].as_str() {
        Some(name) => format!("event: {name}\ndata: {event}\n\n"),
        None => format!("data: {event}\n\n"),
    });
    std::iter::once(head.to_owned()).chain(events).collect()
}

/// A stream of chat completions with these deltas.
pub(crate) fn completion(deltas: &[Value], finish_reason: &str) -> String {
    let chunk = |delta: &Value| serde_json::json!({"choices": [{"index": 0, "delta": delta}]});
    let end = serde_json::json!({"choices": [{"index": 0, "delta": {}, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5}});
    streamed(&deltas.iter().map(chunk).chain([end]).collect::<Vec<_>>())
}
