//! Shared by the tests: a [`System`] per test, and a [`Caller`] with an account on it.

use std::time::{Duration, Instant};

use futures::StreamExt;
use reqwest::{Client, RequestBuilder, Response};
use sequent_local::{Options, Stack, iam::Denials, logs::Logs};
use sequent_tables::{SecretTable, Store, Tables, testing};
use serde_json::{Value, json};
use sse_stream::{Sse, SseStream};

/// Time limit for anything that must happen eventually, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// Returns the size of a test: `soak` if `E2E_SCALE=soak` is set, as `scripts/soak` does.
pub(crate) fn scaled(short: usize, soak: usize) -> usize {
    if std::env::var("E2E_SCALE").is_ok_and(|scale| scale == "soak") { soak } else { short }
}

/// A stack with its own temporary data folder.
pub(crate) struct System {
    /// The running stack of the test.
    pub(crate) stack: Stack,
    client: Client,
    _data: tempfile::TempDir,
    _allowed: AllAllowed,
}

/// Fails the test at its end if a function was denied something by its role. A function may have tolerated that.
struct AllAllowed(Denials);

impl Drop for AllAllowed {
    fn drop(&mut self) {
        let denied = self.0.list();
        assert!(
            denied.is_empty() || std::thread::panicking(),
            "roles in template.yaml are wrong: {denied:#?}"
        );
    }
}

impl System {
    /// Starts a stack whose functions get `env` in addition to the template's variables.
    pub(crate) async fn start(env: &[(&str, &str)]) -> Self {
        Self::start_with(env, |_| {}).await
    }

    /// Starts a stack with changed options. The folder around `data_dir` is removed with the system.
    pub(crate) async fn start_with(env: &[(&str, &str)], adjust: impl FnOnce(&mut Options)) -> Self {
        // The client sets up TLS although it only uses plain HTTP to loopback.
        let _ = rustls::crypto::ring::default_provider().install_default(); // another test of the process was first
        let data = tempfile::tempdir().unwrap();
        let mut options = Options::new(&Options::repository());
        options.data_dir = data.path().join("data");
        options.port = 0;
        // The check of the emulator has a test of its own. Here it would take a third of each start.
        options.gate = None;
        options.logs = Logs::silent();
        options.env.extend(env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        options.env.insert("RATE_LIMIT_PER_MINUTE".into(), "read=0,write=0,chat=0,auth=0".into());
        adjust(&mut options);
        let stack = Stack::start(options).await.expect("the stack starts");
        let allowed = AllAllowed(stack.denials());
        Self { stack, client: Client::new(), _data: data, _allowed: allowed }
    }

    /// Returns the names of the tables.
    pub(crate) fn tables(&self) -> Tables {
        let outputs = &self.stack.deployed().outputs;
        let name = |output: &str| outputs[output].as_str().into();
        Tables { main: name("MainTableName"), events: name("EventsTableName") }
    }

    /// Returns a store over the tables, in which requests meet no faults.
    pub(crate) fn store(&self) -> Store {
        testing::deployed(self.stack.endpoint().url(), self.tables())
    }

    /// Returns the rows and segments that contain the word.
    pub(crate) async fn places_of(&self, word: &str) -> Vec<String> {
        let store = self.store();
        let mut rows = testing::all_rows(&store).await;
        rows.extend(testing::all_segments(&store).await);
        rows.iter().map(|row| format!("{row:?}")).filter(|text| text.contains(word)).collect()
    }

    /// Returns the table of secrets, in which requests meet no faults.
    pub(crate) fn secrets(&self) -> SecretTable {
        let table = &self.stack.deployed().environments["AuthFunction"]["SECRETS_TABLE"];
        let tables = Tables { main: table.as_str().into(), events: table.as_str().into() };
        SecretTable::new(testing::deployed(self.stack.endpoint().url(), tables))
    }

    /// Registers a user with this address.
    pub(crate) async fn sign_up(&self, email: &str) -> Caller {
        let body = json!({"email": email, "password": "correct horse battery staple"});
        let url = format!("{}/api/auth/register", self.stack.origin_url());
        let response = self.client.post(url).json(&body).send().await.unwrap();
        let answer: Value = response.json().await.unwrap();
        let token = answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        let origin = self.stack.origin_url().trim_end_matches('/').to_owned();
        Caller { client: self.client.clone(), origin, token }
    }
}

/// A user with an access token or an API key.
#[derive(Clone)]
pub(crate) struct Caller {
    client: Client,
    origin: String,
    token: String,
}

/// Events received over one connection.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// The data of every complete frame with an id, in order.
    pub(crate) events: Vec<Value>,
    /// `true` if the connection broke instead of ending.
    pub(crate) broke: bool,
}

impl Caller {
    /// Returns the same user with an API key, which outlives the quarter of an hour of an access token.
    pub(crate) async fn with_api_key(&self) -> Self {
        let scopes =
            ["projects:read", "projects:write", "chat", "runs:read", "runs:write", "account", "approvals"];
        let request = self.request("POST", "/api/auth/api-keys");
        let answer = request.json(&json!({"name": "test", "scopes": scopes})).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        let key = answer["key"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        Self { token: key, ..self.clone() }
    }

    /// Returns the same user with another token.
    pub(crate) fn with_token(&self, token: String) -> Self {
        Self { token, ..self.clone() }
    }

    /// Returns a request with the caller's credential.
    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = method.parse().unwrap();
        self.client.request(method, format!("{}{path}", self.origin)).bearer_auth(&self.token)
    }

    /// Reads a JSON response. Repeats the request if the function's process is killed during it, as a client
    /// would.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE {
            let request = self.request("GET", path).header("accept", "application/json");
            if let Ok(answer) = request.send().await
                && !answer.status().is_server_error()
                && let Ok(json) = answer.json().await
            {
                return json;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{path} is not answered");
    }

    /// Sends a message and returns the open stream.
    pub(crate) async fn send(&self, body: &Value) -> Response {
        self.request("POST", "/api/chat/send").json(body).send().await.unwrap()
    }

    /// Follows a run after the events in `received` until it ends, through every broken connection.
    pub(crate) async fn follow(&self, run: &str, mut received: Vec<Value>, patience: Duration) -> Vec<Value> {
        let path = format!("/api/runs/{run}/events");
        let follow = async {
            while !received.last().is_some_and(is_terminal) {
                let after = received.last().map_or(0, |event| event["seq"].as_u64().unwrap());
                let request = self.request("GET", &path).header("last-event-id", after.to_string());
                match request.send().await {
                    Ok(response) if response.status() == 200 => {
                        received.extend(read_events(response).await.events)
                    }
                    _ => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        };
        tokio::time::timeout(patience, follow).await.unwrap_or_else(|_| panic!("{run} did not end"));
        received
    }

    /// Reads a run after the events in `received` to its end as a browser does, through every cut and question.
    /// Returns the number of connections, and the number of broken ones.
    pub(crate) async fn read(&self, run: &str, received: &mut Vec<Value>) -> (usize, usize) {
        let path = format!("/api/runs/{run}/events");
        let mut connections = 0;
        let mut broken = 0;
        while !received.last().is_some_and(is_end) {
            let after = received.last().map_or(0, |event| event["seq"].as_u64().unwrap());
            let request = self.request("GET", &path).header("last-event-id", after.to_string());
            connections += 1;
            match request.send().await {
                Ok(response) if response.status() == 200 => {
                    let more = read_events(response).await;
                    broken += usize::from(more.broke);
                    received.extend(more.events);
                }
                // There is nothing to read until the run's question is answered.
                Ok(response) if response.status() == 204 => {
                    tokio::time::sleep(Duration::from_millis(50)).await
                }
                _ => {
                    broken += 1;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        (connections, broken)
    }

    /// Reads the whole log by pages.
    pub(crate) async fn log(&self, run: &str) -> Vec<Value> {
        let mut log = Vec::new();
        let mut after = Some(0);
        while let Some(from) = after {
            let page = self.get(&format!("/api/runs/{run}/events?after={from}&limit=50")).await;
            log.extend(page["events"].as_array().unwrap_or_else(|| panic!("{page}")).clone());
            after = page["next_after"].as_u64();
        }
        log
    }
}

/// Reads the events of a stream to its end, or to where it breaks. An incomplete event at the end is left
/// out.
pub(crate) async fn read_events(response: Response) -> Received {
    let mut received = Received::default();
    let mut frames = SseStream::from_bytes_stream(response.bytes_stream());
    while let Some(frame) = frames.next().await {
        match frame {
            Ok(Sse { id: Some(_), data: Some(data), .. }) => {
                received.events.push(serde_json::from_str(&data).unwrap());
            }
            Ok(_) => {}
            Err(sse_stream::Error::Body(_)) => {
                received.broke = true;
                break;
            }
            Err(error) => panic!("not an event stream: {error}"),
        }
    }
    received
}

/// Returns `true` if the event closes its run's log.
pub(crate) fn is_terminal(event: &Value) -> bool {
    matches!(event["type"].as_str(), Some("RUN_FINISHED" | "RUN_ERROR"))
}

/// Returns `true` if the event is the last of a run, so that the run does not wait for a person.
pub(crate) fn is_end(event: &Value) -> bool {
    is_terminal(event) && event["outcome"]["type"] != "interrupt"
}

/// Checks the log of an ended run: no gap, no duplicate, and one end, which is the last event.
pub(crate) fn check_ended(run: &str, log: &[Value]) {
    let seqs: Vec<u64> = log.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=log.len() as u64).collect::<Vec<_>>(), "{run}: no gap, no duplicate");
    assert_eq!(log.iter().filter(|event| is_end(event)).count(), 1, "{run}: one end");
    assert!(log.last().is_some_and(is_end), "{run}: nothing follows the end");
}

/// Returns the events of a type.
pub(crate) fn of_kind<'a>(log: &'a [Value], kind: &str) -> Vec<&'a Value> {
    log.iter().filter(|event| event["type"] == kind).collect()
}

/// Returns the number of responses of models in a log. The calls of processes that were killed are on the bill, too, and are
/// none.
pub(crate) fn count_responses(log: &[Value]) -> usize {
    of_kind(log, "USAGE_RECORDED").iter().filter(|usage| usage["finishReason"] != "abandoned").count()
}

/// Returns the answer in a log: the text of every message that was not abandoned.
pub(crate) fn answer(log: &[Value]) -> String {
    texts(log).concat()
}

/// Returns the texts of a log's messages, without abandoned ones.
pub(crate) fn texts(log: &[Value]) -> Vec<String> {
    let abandoned: Vec<&Value> =
        of_kind(log, "MESSAGE_ABANDONED").iter().map(|event| &event["messageId"]).collect();
    let mut texts: Vec<(&Value, String)> = Vec::new();
    for event in of_kind(log, "TEXT_MESSAGE_CONTENT") {
        let id = &event["messageId"];
        let delta = event["delta"].as_str().unwrap();
        match texts.last_mut().filter(|(last, _)| *last == id) {
            Some((_, text)) => text.push_str(delta),
            None if abandoned.contains(&id) => {}
            None => texts.push((id, delta.to_owned())),
        }
    }
    texts.into_iter().map(|(_, text)| text).collect()
}
