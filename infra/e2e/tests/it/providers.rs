//! Providers behind the whole system: a public OpenAI-compatible server as a process, which responds, fails,
//! sends garbage, hangs and is killed.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::once::all;
use crate::system::{Caller, System, answer, is_terminal, read_events};
use reqwest::Client;
use serde_json::{Value, json};

/// The provider refuses every other key, and no response of ours may contain it.
pub(crate) const KEY: &str = "e2e.provider.key-5f1c";
const MODEL: &str = "house-model";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_openai_compatible_server_answers_through_the_whole_system() {
    let provider = Provider::start(0, KEY);
    let mut settings = provider.settings();
    settings.push(("MODEL_ABILITIES", json!({MODEL: {"tools": false}}).to_string()));
    let system = System::start(&borrowed(&settings)).await;
    let caller = system.sign_up("provider@example.com").await;

    let log = send(&caller, None, "hello").await;
    let said = fixture("hello");
    assert_eq!(answer(&log), said, "the stored answer is the provider's, byte for byte");
    let usage = log.iter().find(|event| event["type"] == "USAGE_RECORDED").unwrap();
    let expected = json!({"provider": "openai", "model": MODEL, "inputTokens": 1000, "outputTokens": 200,
        "estimated": null, "finishReason": "stop", "costMicroUsd": 1000 * 2 + 200 * 8});
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&usage[name], value, "{name} in {usage}");
    }
    let row = row(&caller, &log).await;
    assert_eq!(row["usage"], json!({"input_tokens": 1000, "output_tokens": 200}));
    assert_eq!(row["cost"], json!({"micro_usd": 3600, "incomplete": false}));
    let project = row["project_id"].as_str().unwrap().to_owned();

    // A failure before the first token is retried, and the client does not notice.
    let log = send(&caller, Some(&project), "hiccup").await;
    assert_eq!(log.last().unwrap()["outcome"]["type"], "success", "{log:?}");
    let mut asked = provider.asked().await;
    // The job that names the conversation runs at any time.
    asked.retain(|request| !request["body"].to_string().contains("You name conversations."));
    let status = |at: usize| asked[asked.len() - at]["response"]["status"].as_u64().unwrap();
    assert_eq!((asked.len(), status(2), status(1)), (3, 503, 200));
    let messages = asked.last().unwrap()["body"]["messages"].as_array().unwrap();
    assert!(messages[0]["role"] == "system", "the instructions come first: {messages:?}");
    let sent: Vec<_> =
        messages[1..].iter().map(|turn| (turn["role"].clone(), turn["content"].clone())).collect();
    let conversation = [("user", "hello"), ("assistant", &said), ("user", "hiccup")];
    assert_eq!(sent, conversation.map(|(role, content)| (json!(role), json!(content))));
    let body = &asked.last().unwrap()["body"];
    assert_eq!(
        (&body["model"], body.get("tools")),
        (&json!(MODEL), None),
        "the operator says that it has no tools"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_fails_ends_the_run_clearly_and_nothing_is_lost() {
    let mut service = Service::start();
    let system = System::start(&borrowed(&service.provider().settings())).await;
    let caller = system.sign_up("failures@example.com").await;
    let project = row(&caller, &send(&caller, None, "first").await).await["project_id"].clone();
    let project = project.as_str().unwrap();
    let mut conversation =
        vec![turn("user", "first", "complete"), turn("assistant", &fixture(""), "complete")];
    let cases = [
        (Fault::Chaos(json!({"rateLimitRate": 1})), "limited", "model_rate_limited"),
        (Fault::Chaos(json!({"dropRate": 1})), "dropped", "model_unavailable"),
        (Fault::Chaos(json!({"malformedRate": 1})), "malformed", "model_garbage"),
        (Fault::Chaos(json!({"disconnectRate": 1})), "disconnected", "model_unavailable"),
        (Fault::Chaos(json!({"latencyMs": 30_000})), "slow", "model_timeout"),
        (Fault::Answer, "indiscretion", "model_bad_request"),
        (Fault::Locked, "locked", "model_unauthorized"),
        (Fault::Down, "down", "model_unavailable"),
        (Fault::Answer, "cut", "model_truncated"),
        (Fault::Answer, "silence", "model_timeout"),
        (Fault::Killed, "goodbye", "model_truncated"),
    ];
    for (fault, message, code) in cases {
        let log = match service.befall(&fault).await {
            None => send(&caller, Some(project), message).await,
            Some(victim) => send_and_kill(&caller, project, message, victim).await,
        };
        failed(&caller, &log, code).await;
        conversation.push(turn("user", message, "complete"));
        let partial = answer(&log);
        if ["cut", "silence", "goodbye"].contains(&message) {
            let whole = fixture(message);
            assert!(!partial.is_empty() && partial != whole && whole.starts_with(&partial), "{partial:?}");
            conversation.push(turn("assistant", &partial, "partial"));
        } else {
            assert_eq!(partial, "", "{message}");
        }
        service.restore().await;
        let retried = send(&caller, Some(project), message).await;
        assert_eq!(retried.last().unwrap()["outcome"]["type"], "success", "{message}: {retried:?}");
        conversation.push(turn("user", message, "complete"));
        conversation.push(turn("assistant", &answer(&retried), "complete"));
    }
    let messages = all(&caller, &format!("/api/projects/{project}/messages")).await;
    let read = messages.iter().map(|message| {
        let text = |name: &str| message[name].as_str().unwrap();
        turn(text("role"), text("content"), text("status"))
    });
    assert_eq!(read.collect::<Vec<_>>(), conversation, "every word that was said, in order");
}

/// A fault of the provider before a message.
enum Fault {
    /// The provider's own fault injection.
    Chaos(Value),
    /// The response to this message is the fault.
    Answer,
    /// The provider refuses our key.
    Locked,
    /// The provider is not running.
    Down,
    /// The process is killed in the middle of the response.
    Killed,
}

/// A provider that can be restarted at the same address.
struct Service {
    port: u16,
    running: Option<Provider>,
}

impl Service {
    fn start() -> Self {
        let provider = Provider::start(0, KEY);
        Self { port: provider.port, running: Some(provider) }
    }

    fn provider(&self) -> &Provider {
        self.running.as_ref().unwrap()
    }

    /// Applies the fault. Returns the provider if it is to be killed later.
    async fn befall(&mut self, fault: &Fault) -> Option<Provider> {
        match fault {
            Fault::Chaos(chaos) => self.provider().inject(chaos).await,
            Fault::Answer => {}
            Fault::Locked => self.restart("another key"),
            Fault::Down => drop(self.running.take()),
            Fault::Killed => return self.running.take(),
        }
        None
    }

    /// Removes the fault of the provider.
    async fn restore(&mut self) {
        match &self.running {
            Some(provider) if provider.key == KEY => provider.heal().await,
            _ => self.restart(KEY),
        }
    }

    fn restart(&mut self, key: &str) {
        drop(self.running.take()); // before the next one takes its port
        self.running = Some(Provider::start(self.port, key));
    }
}

type Turn = [String; 3];

fn turn(role: &str, content: &str, status: &str) -> Turn {
    [role, content, status].map(str::to_owned)
}

/// Sends a message and compares the received events with the log.
async fn send(caller: &Caller, project: Option<&str>, message: &str) -> Vec<Value> {
    let sent = caller.send(&json!({"project_id": project, "message": {"content": message}})).await;
    assert_eq!(sent.status(), 200, "{message}");
    let run = sent.headers()["x-run-id"].to_str().unwrap().to_owned();
    let received = read_events(sent).await;
    assert!(!received.broke, "{message}");
    assert_eq!(received.events, caller.log(&run).await, "{message}: the received events are the log");
    received.events
}

/// Sends a message and kills the provider after the first piece of its response.
async fn send_and_kill(caller: &Caller, project: &str, message: &str, provider: Provider) -> Vec<Value> {
    let mut sent = caller.send(&json!({"project_id": project, "message": {"content": message}})).await;
    let run = sent.headers()["x-run-id"].to_str().unwrap().to_owned();
    let mut provider = Some(provider);
    let mut text = String::new();
    while let Some(piece) = sent.chunk().await.unwrap() {
        text.push_str(&String::from_utf8_lossy(&piece));
        if text.contains("TEXT_MESSAGE_CONTENT") {
            drop(provider.take());
        }
    }
    caller.log(&run).await
}

/// Checks that the run failed once with this code, and that its message is clear and reveals no secret.
async fn failed(caller: &Caller, log: &[Value], code: &str) {
    let end = log.last().unwrap();
    assert_eq!(log.iter().filter(|event| is_terminal(event)).count(), 1, "{log:?}");
    assert_eq!((end["type"].as_str(), end["code"].as_str()), (Some("RUN_ERROR"), Some(code)), "{end}");
    let row = row(caller, log).await;
    assert_eq!(row["status"], "error", "{row}");
    assert_eq!(row["error"], json!({"code": code, "message": end["message"]}));
    let message = end["message"].as_str().unwrap();
    assert!(message.len() > 20 && message.ends_with('.'), "a sentence for people: {message}");
    let shown = format!("{row}{}", Value::from(log));
    for secret in [KEY, "Bearer", "127.0.0.1"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

/// Reads the row of the log's run.
async fn row(caller: &Caller, log: &[Value]) -> Value {
    let started = log.iter().find(|event| event["type"] == "RUN_STARTED").unwrap();
    caller.get(&format!("/api/runs/{}", started["runId"].as_str().unwrap())).await
}

fn clients() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("node")
}

/// Returns the scripted response to a message, or the default response.
fn fixture(message: &str) -> String {
    let text = std::fs::read_to_string(clients().join("provider/answers.json")).unwrap();
    let answers: Value = serde_json::from_str(&text).unwrap();
    let mut answers = answers["fixtures"].as_array().unwrap().iter();
    let found = answers.find(|one| one["match"]["userMessage"].as_str().unwrap_or_default() == message);
    found.unwrap()["response"]["content"].as_str().unwrap().to_owned()
}

/// The server process; dropping the value ends it.
pub(crate) struct Provider {
    port: u16,
    key: String,
    process: Child,
    /// Kept open so that the process can write to it.
    _output: BufReader<ChildStdout>,
}

impl Provider {
    /// Starts the server and waits until it listens. Port 0 selects a free port.
    pub(crate) fn start(port: u16, key: &str) -> Self {
        let server = clients().join("node_modules/@copilotkit/aimock/dist/cli.js");
        assert!(server.exists(), "the npm packages are missing: scripts/install node");
        let mut process = Command::new("node")
            .arg(server)
            .args(["--port", &port.to_string(), "--strict", "--validate-on-load", "--fixtures", "provider"])
            .current_dir(clients())
            .env("AIMOCK_API_KEYS", key)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        let mut bound = None;
        while bound.is_none() && output.read_line(&mut line).unwrap() > 0 {
            bound = line.trim().rsplit_once("listening on http://127.0.0.1:").map(|(_, port)| port.parse());
            line.clear();
        }
        let port = bound.expect("the provider prints its address").unwrap();
        Self { port, key: key.to_owned(), process, _output: output }
    }

    /// Returns the deployment's settings for it. The timeouts are short for the test's sake, but long enough
    /// for a busy machine to answer in time.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let prices = json!({MODEL: {"input": 2_000_000, "output": 8_000_000}});
        vec![
            ("OPENAI_BASE_URL", self.url("/v1")),
            ("OPENAI_API_KEY", KEY.to_owned()),
            ("DEFAULT_MODEL", MODEL.to_owned()),
            ("MODEL_PRICES", prices.to_string()),
            ("MODEL_FIRST_TOKEN_TIMEOUT_MS", "10000".to_owned()),
            ("MODEL_IDLE_TIMEOUT_MS", "10000".to_owned()),
            ("MODEL_MAX_ATTEMPTS", "2".to_owned()),
        ]
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Injects faults into the following requests.
    async fn inject(&self, chaos: &Value) {
        let request = Client::new().post(self.url("/__aimock/chaos")).bearer_auth(&self.key).json(chaos);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{chaos}");
    }

    async fn heal(&self) {
        let request = Client::new().delete(self.url("/__aimock/chaos")).bearer_auth(&self.key);
        assert_eq!(request.send().await.unwrap().status(), 200);
    }

    /// Returns the received requests and their responses.
    pub(crate) async fn asked(&self) -> Vec<Value> {
        let request = Client::new().get(self.url("/__aimock/journal")).bearer_auth(&self.key);
        request.send().await.unwrap().json().await.unwrap()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it may have ended by itself
        let _ = self.process.wait();
    }
}

pub(crate) fn borrowed<'a>(settings: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    settings.iter().map(|(name, value)| (*name, value.as_str())).collect()
}
