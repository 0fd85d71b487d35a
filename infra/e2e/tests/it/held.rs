//! A model that stops in the middle of an answer until the test lets it go on: an OpenAI-compatible server in the test's
//! process. What happens during a run then depends on other events, and not on time.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::Response,
    routing::post,
};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, time::timeout};

use crate::system::{PATIENCE, System};

/// Lines of an answer before the place where it stops.
const LINES: usize = 300;
/// The rest of an answer.
const REST: &str = "The rest.";
/// Connections of a client that must have been cut before its answer goes on.
const CUTS: usize = 2;

/// The server. It holds the answer to a message that contains `hold=` and a key of letters and digits, and answers any
/// other message at once.
#[derive(Clone)]
pub(crate) struct HeldModel {
    address: SocketAddr,
    gates: Arc<Mutex<BTreeMap<String, Gate>>>,
}

/// The place in the answers to the messages with one key.
#[derive(Clone, Default)]
struct Gate {
    /// Number of requests that have reached it.
    asked: watch::Sender<usize>,
    /// Number of cut connections.
    cuts: watch::Sender<usize>,
}

impl HeldModel {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let model = Self { address: listener.local_addr().unwrap(), gates: Arc::default() };
        let router = Router::new()
            .route("/v1/chat/completions", post(complete))
            .route("/cuts/{key}", post(cut))
            .with_state(model.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        model
    }

    /// Starts a system in which this model answers, and whose functions also get `env`.
    pub(crate) async fn system(&self, env: &[(&str, &str)]) -> System {
        let url = format!("http://{}/v1", self.address);
        let usual = [
            ("OPENAI_BASE_URL", url.as_str()),
            ("MODEL_FIRST_TOKEN_TIMEOUT_MS", "600000"),
            ("MODEL_IDLE_TIMEOUT_MS", "600000"),
        ];
        System::start(&usual.into_iter().chain(env.iter().copied()).collect::<Vec<_>>()).await
    }

    /// Returns the whole answer to a message with a key.
    pub(crate) fn answer() -> String {
        (0..LINES).map(line).chain([REST.to_owned()]).collect()
    }

    /// Waits until as many requests wait in the middle of their answers, or have waited there.
    pub(crate) async fn asked(&self, key: &str, times: usize) {
        let mut asked = self.gate(key).asked.subscribe();
        let waiting = timeout(PATIENCE, asked.wait_for(|asked| *asked >= times)).await;
        waiting.unwrap_or_else(|_| panic!("the model is not asked {times} times about {key}")).unwrap();
    }

    /// Lets the answers with this key go on, those of later requests included.
    pub(crate) fn release(&self, key: &str) {
        self.gate(key).cuts.send_replace(usize::MAX);
    }

    /// Returns the address to which a client reports each cut. After two, its answer goes on.
    pub(crate) fn cut_url(&self, key: &str) -> String {
        format!("http://{}/cuts/{key}", self.address)
    }

    fn gate(&self, key: &str) -> Gate {
        self.gates.lock().unwrap().entry(key.to_owned()).or_default().clone()
    }
}

async fn cut(State(model): State<HeldModel>, Path(key): Path<String>) {
    model.gate(&key).cuts.send_modify(|cuts| *cuts = cuts.saturating_add(1));
}

async fn complete(State(model): State<HeldModel>, Json(request): Json<Value>) -> Response<Body> {
    let gate = key(&request).map(|key| model.gate(&key));
    let first = stream::iter(0..LINES).map(|number| chunk(json!({"content": line(number)}), None));
    let rest = stream::once(async move {
        if let Some(gate) = gate {
            gate.asked.send_modify(|asked| *asked += 1);
            gate.cuts.subscribe().wait_for(|cuts| *cuts >= CUTS).await.unwrap();
        }
        let end = chunk(json!({}), Some("stop"));
        format!("{}{end}data: [DONE]\n\n", chunk(json!({"content": REST}), None))
    });
    let body = Body::from_stream(first.chain(rest).map(Ok::<_, Infallible>));
    Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
}

/// Returns the key in the last message of a person. A request for the name of a conversation is not held.
fn key(request: &Value) -> Option<String> {
    let messages = request["messages"].as_array().unwrap();
    if messages[0].to_string().contains("You name conversations.") {
        return None;
    }
    let said = messages.iter().rfind(|message| message["role"] == "user")?["content"].to_string();
    let (_, rest) = said.split_once("hold=")?;
    Some(rest.chars().take_while(char::is_ascii_alphanumeric).collect())
}

fn chunk(delta: Value, finish: Option<&str>) -> String {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
    let chunk = json!({"id": "1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]});
    format!("data: {chunk}\n\n")
}

/// A line with characters of two, three and four bytes.
fn line(number: usize) -> String {
    format!("{number}: Brücke → 東京 🚆\n")
}
