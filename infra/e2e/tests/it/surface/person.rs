//! A user with an account, and requests with arbitrary credentials.

use reqwest::{Client, Response, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

use super::Call;
use crate::system::{PATIENCE, System};

/// Name and value of a request header.
pub(crate) type Header = (&'static str, String);

/// A user with two sessions.
pub(crate) struct Person {
    client: Client,
    origin: String,
    pub(crate) email: String,
    pub(crate) token: String,
    pub(crate) refresh_token: String,
    /// Response to the registration: tokens, user and tenant.
    pub(crate) account: Value,
}

impl Person {
    /// Registers a user with this address.
    pub(crate) async fn sign_up(system: &System, email: &str) -> Self {
        let mut person = Self {
            client: Client::new(),
            origin: system.stack.origin_url().trim_end_matches('/').to_owned(),
            email: email.to_owned(),
            token: String::new(),
            refresh_token: String::new(),
            account: Value::Null,
        };
        person.account = person.enter("register").await;
        let text = |name: &str| person.account[name].as_str().unwrap().to_owned();
        (person.token, person.refresh_token) = (text("access_token"), text("refresh_token"));
        person
    }

    /// Signs in from another device.
    pub(crate) async fn sign_in(&self) -> Value {
        self.enter("login").await
    }

    async fn enter(&self, door: &str) -> Value {
        let body = json!({"email": self.email, "password": "correct horse battery staple"});
        let answer = self.read("POST", &Call::to(format!("/api/auth/{door}")).body(body), &[]).await;
        assert!(answer.status.is_success(), "{door}: {answer:?}");
        answer.json()
    }

    /// Returns the header with the access token.
    pub(crate) fn bearer(&self) -> Vec<Header> {
        vec![("authorization", format!("Bearer {}", self.token))]
    }

    /// Sends a call with any credential and returns when the response begins.
    pub(crate) async fn send(&self, method: &str, call: &Call, credential: &[Header]) -> Response {
        let mut request =
            self.client.request(method.parse().unwrap(), format!("{}{}", self.origin, call.path));
        for (name, value) in call.headers.iter().chain(credential) {
            request = request.header(*name, value);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let answer = tokio::time::timeout(PATIENCE, request.send()).await;
        answer.unwrap_or_else(|_| panic!("{method} {}: no answer", call.path)).unwrap()
    }

    /// Sends a call and reads the whole response. The stream of the live run of [`Belongings`](super::Belongings) would never
    /// end: receiving it is a fault.
    pub(crate) async fn read(&self, method: &str, call: &Call, credential: &[Header]) -> Answer {
        let response = self.send(method, call, credential).await;
        let status = response.status();
        let headers = response.headers().clone();
        let body = tokio::time::timeout(PATIENCE, response.text()).await;
        let body = body.unwrap_or_else(|_| panic!("{method} {}: the answer does not end", call.path));
        Answer { status, headers, body: body.unwrap() }
    }

    /// Reads a page or an object of the user's own.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let call = Call::to(path).header("accept", "application/json");
        let answer = self.read("GET", &call, &self.bearer()).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
        answer.json()
    }

    /// Creates an object of the user's own.
    pub(crate) async fn post(&self, call: Call) -> Answer {
        let answer = self.read("POST", &call, &self.bearer()).await;
        assert!(answer.status.is_success(), "{answer:?}");
        answer
    }
}

/// A response with its whole body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// Parses the body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Returns everything that distinguishes this response for a caller: a problem without its request id, or
    /// the fact of success.
    pub(crate) fn shape(&self) -> Value {
        let mut shape = json!({ "status": self.status.as_u16() });
        if !self.status.is_success() {
            shape["problem"] = self.json();
            shape["problem"].as_object_mut().unwrap().remove("instance");
        }
        shape
    }

    /// Returns the text of a header.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}")).to_str().unwrap()
    }
}
