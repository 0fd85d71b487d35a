//! The calls of the API that a chat needs.

use std::path::PathBuf;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sse_stream::SseStream;

pub(crate) struct Api {
    url: String,
    token: SecretString,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// The events of a streamed response.
pub(crate) type Events = SseStream<Incoming>;

impl Api {
    pub(crate) fn new(url: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { url: url.trim_end_matches('/').to_owned(), token: SecretString::default(), client }
    }

    /// Signs in the demo user of this machine. If the stack does not know it yet, signs it up.
    pub(crate) async fn sign_in(&mut self) -> anyhow::Result<()> {
        let user = demo_user()?;
        let mut answer = self.call(Method::POST, "/api/auth/login", &[], Some(&user)).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            answer = self.call(Method::POST, "/api/auth/register", &[], Some(&user)).await?;
        }
        let body = body(accepted(answer).await?).await?;
        self.token =
            body["access_token"].as_str().context("the answer holds no access_token")?.to_owned().into();
        Ok(())
    }

    /// Sends a message. Returns the events of the answer, the run's id and the project's id.
    pub(crate) async fn send(
        &self,
        message: &str,
        project: Option<&str>,
    ) -> anyhow::Result<(Events, String, String)> {
        let mut request = json!({"message": {"content": message}});
        if let Some(project) = project {
            request["project_id"] = json!(project);
        }
        let key = format!("chat-{:032x}", fastrand::u128(..));
        let headers = [("idempotency-key", key.as_str())];
        let answer =
            accepted(self.call(Method::POST, "/api/chat/send", &headers, Some(&request)).await?).await?;
        let header = |name: &str| {
            let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
            value.map(str::to_owned).with_context(|| format!("the answer has no {name} header"))
        };
        let run = header("x-run-id")?;
        let project = header("x-project-id")?;
        Ok((SseStream::new(answer.into_body()), run, project))
    }

    /// Returns the events after the event `after`. Returns `None` if the run has ended and there are none.
    pub(crate) async fn resume(&self, run: &str, after: u64) -> anyhow::Result<Option<Events>> {
        let after = after.to_string();
        let headers = [("last-event-id", after.as_str()), ("accept", "text/event-stream")];
        let answer = self.call(Method::GET, &format!("/api/runs/{run}/events"), &headers, None).await?;
        let answer = accepted(answer).await?;
        Ok((answer.status() != StatusCode::NO_CONTENT).then(|| SseStream::new(answer.into_body())))
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        json: Option<&Value>,
    ) -> anyhow::Result<Response<Incoming>> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !self.token.expose_secret().is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token.expose_secret()));
        }
        let body = match json {
            Some(json) => {
                request = request.header("content-type", "application/json");
                Full::from(json.to_string())
            }
            None => Full::default(),
        };
        Ok(self.client.request(request.body(body)?).await?)
    }
}

/// Returns the answer if it is a success, else an error of one readable line.
async fn accepted(answer: Response<Incoming>) -> anyhow::Result<Response<Incoming>> {
    if answer.status().is_success() {
        return Ok(answer);
    }
    let status = answer.status();
    let problem = body(answer).await.unwrap_or_default();
    let text =
        ["detail", "title", "message"].iter().find_map(|name| problem[name].as_str()).unwrap_or_default();
    bail!("{status} {text}")
}

async fn body(answer: Response<Incoming>) -> anyhow::Result<Value> {
    let bytes = answer.into_body().collect().await?.to_bytes();
    Ok(serde_json::from_slice(&bytes)?)
}

/// Returns the demo user of this checkout. Its random password is stored in the stack's data folder.
fn demo_user() -> anyhow::Result<Value> {
    let root = sequent_local::Options::repository();
    let dir = std::env::var_os("SEQUENT_DATA").map_or_else(|| root.join(".local"), PathBuf::from);
    let path = dir.join("demo-user.json");
    if let Ok(text) = std::fs::read_to_string(&path) {
        return serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()));
    }
    let mut bytes = [0_u8; 24];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
        .ok()
        .context("the system gave no random bytes for a password")?;
    let password: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let user = json!({"email": format!("demo-{}@example.com", &password[..8]), "password": &password[8..]});
    std::fs::create_dir_all(&dir)?;
    write_private(&path, &user.to_string()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(user)
}

fn write_private(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
