//! A client of the API: requests, and event streams with the arrival time of each event.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Instant,
};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client as Http, connect::HttpConnector},
    rt::TokioExecutor,
};
use sequent_core::{TenantId, UserId};
use serde_json::{Value, json};

/// Number of the next user, for a unique address.
static SIGNED_UP: AtomicU32 = AtomicU32::new(0);

/// A client, signed in or not.
#[derive(Clone)]
pub(crate) struct Client {
    http: Http<HttpConnector, Full<Bytes>>,
    base: String,
    token: String,
    /// Address of the user, or nothing.
    pub(crate) email: String,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) user: Option<UserId>,
}

/// The events of a streamed response.
pub(crate) struct Stream {
    body: Incoming,
    text: String,
    arrived: Instant,
    pub(crate) project: Option<String>,
}

/// One server-sent event with its arrival time.
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
    /// Arrival of the last byte.
    pub(crate) at: Instant,
}

impl Client {
    /// Returns a client that reuses connections, as browsers and SDKs do.
    pub(crate) fn new(base: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let http = Http::builder(TokioExecutor::new()).build(connector);
        Self {
            http,
            base: base.trim_end_matches('/').to_owned(),
            token: String::new(),
            email: String::new(),
            tenant: None,
            user: None,
        }
    }

    /// Returns the same client without a credential.
    pub(crate) fn signed_out(&self) -> Self {
        Self { token: String::new(), ..self.clone() }
    }

    /// Signs up a user with a new tenant.
    pub(crate) async fn sign_up(base: &str) -> anyhow::Result<Self> {
        let number = SIGNED_UP.fetch_add(1, Ordering::Relaxed);
        let email = format!("bench{number}@example.com");
        let user = json!({"email": email, "password": "a password for one run of the bench"});
        let mut client = Self::new(base);
        let tokens = client.json(Method::POST, "/api/auth/register", Some(&user)).await?;
        client.sign_in(&tokens)?;
        client.email = email;
        Ok(client)
    }

    /// Uses the credential that `register` returned.
    fn sign_in(&mut self, tokens: &Value) -> anyhow::Result<()> {
        let text = |value: &Value| value.as_str().map(str::to_owned).context("the answer lacks a field");
        self.token = text(&tokens["access_token"])?;
        self.tenant = Some(text(&tokens["user"]["tenant_id"])?.parse()?);
        self.user = Some(text(&tokens["user"]["id"])?.parse()?);
        Ok(())
    }

    /// Sends a request, and fails if it is refused.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        json: Option<&Value>,
    ) -> anyhow::Result<Response<Incoming>> {
        let answer = self.send(method, path, headers, json).await?;
        if !answer.status().is_success() {
            let status = answer.status();
            let body = answer.into_body().collect().await?.to_bytes();
            bail!("{path}: {status} {}", String::from_utf8_lossy(&body));
        }
        Ok(answer)
    }

    /// Sends a request, and returns the response, which may be a refusal.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        json: Option<&Value>,
    ) -> anyhow::Result<Response<Incoming>> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        let body = match json {
            Some(json) => {
                request = request.header("content-type", "application/json");
                Full::from(json.to_string())
            }
            None => Full::default(),
        };
        Ok(self.http.request(request.body(body)?).await?)
    }

    pub(crate) async fn json(
        &self,
        method: Method,
        path: &str,
        json: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let answer = self.call(method, path, &[], json).await?;
        Ok(serde_json::from_slice(&answer.into_body().collect().await?.to_bytes())?)
    }

    /// Uploads bytes with the link that the API returned.
    pub(crate) async fn put(&self, offered: &Value, bytes: Vec<u8>) -> anyhow::Result<()> {
        let mut request =
            Request::builder().method(Method::PUT).uri(offered["url"].as_str().context("no address")?);
        for (name, value) in offered["headers"].as_object().into_iter().flatten() {
            request = request.header(name, value.as_str().unwrap_or_default());
        }
        let answer = self.http.request(request.body(Full::from(bytes))?).await?;
        ensure!(answer.status().is_success(), "the upload is refused: {}", answer.status());
        Ok(())
    }

    pub(crate) async fn stream(&self, path: &str, json: &Value) -> anyhow::Result<Stream> {
        let answer = self.call(Method::POST, path, &[], Some(json)).await?;
        let project =
            answer.headers().get("x-project-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(Stream { body: answer.into_body(), text: String::new(), arrived: Instant::now(), project })
    }
}

impl Stream {
    /// Returns the next event, or `None` at the end. Both servers end lines with LF.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Event>> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let event = parse(&self.text[..end], self.arrived);
                self.text.drain(..end + 2);
                if event.data.is_empty() {
                    continue;
                }
                return Ok(Some(event));
            }
            let Some(frame) = self.body.frame().await.transpose()? else { return Ok(None) };
            if let Ok(data) = frame.into_data() {
                self.arrived = Instant::now();
                // Chunks end at frames, and the content is ASCII, so no character is split.
                self.text.push_str(&String::from_utf8_lossy(&data));
            }
        }
    }
}

fn parse(text: &str, at: Instant) -> Event {
    let field = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
    };
    Event { name: field("event:"), data: field("data:"), at }
}
