//! The test server that behaves like Stripe, as a process: it serves the API and sends signed events until
//! they are accepted.
//!
//!   sequent-e2e-stripe SECRET_KEY WEBHOOK_SECRET
//!
//! It prints its address. `POST /control/webhook` with `{"url"}` sets the address of the webhook, and
//! `POST /control/<action>` with `{"id", ...}` performs an action of a person or a bank, see [`Fake`].
//!
//! Each event is sent twice, and waiting events are sent in reverse order, because Stripe promises neither
//! once nor in order.

use std::{
    collections::HashMap,
    io::Write,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Request as HttpRequest, State},
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use sequent_core::{SecretString, Timestamp};
use sequent_stripe::{Method, Request, VERSION, signature, testing::Fake};
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;

/// Polling interval for new events.
const PAUSE: Duration = Duration::from_millis(30);

#[derive(Clone)]
struct Server {
    fake: Fake,
    key: Arc<str>,
    webhook: Arc<Mutex<Option<String>>>,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |name: &str| arguments.next().ok_or_else(|| format!("{name} is missing"));
    let key = argument("SECRET_KEY")?;
    let secret = SecretString::from(argument("WEBHOOK_SECRET")?);
    let server =
        Server { fake: Fake::new("", Timestamp::now().seconds()), key: key.into(), webhook: Arc::default() };
    let router = Router::new()
        .route("/control/all/{object}", get(all))
        .route("/control/events", get(events))
        .route("/control/{action}", post(control))
        .fallback(api)
        .with_state(server.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let mut out = std::io::stdout();
    writeln!(out, "http://{}", listener.local_addr()?)?;
    out.flush()?;
    tokio::spawn(deliver(server, secret));
    axum::serve(listener, router).await?;
    Ok(())
}

/// Serves the routes of Stripe's API.
async fn api(State(server): State<Server>, uri: Uri, headers: HeaderMap, request: HttpRequest) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let refused = |status: StatusCode, message: &str| {
        (status, Json(json!({"error": {"type": "invalid_request_error", "message": message}})))
            .into_response()
    };
    if header("authorization") != format!("Bearer {}", server.key) {
        return refused(StatusCode::UNAUTHORIZED, "Invalid API Key provided");
    }
    if header("stripe-version") != VERSION {
        return refused(StatusCode::BAD_REQUEST, "This server answers in one version");
    }
    let is_get = request.method() == "GET";
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap_or_default();
    let form = if is_get { uri.query().unwrap_or_default().as_bytes() } else { &body };
    let answer = server.fake.answer(&Request {
        method: if is_get { Method::Get } else { Method::Post },
        path: uri.path().to_owned(),
        form: form_urlencoded::parse(form).into_owned().collect(),
        idempotency_key: Some(header("idempotency-key").to_owned()).filter(|key| !key.is_empty()),
    });
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [("request-id", "req_fake")], Json(answer.body)).into_response()
}

async fn all(State(server): State<Server>, Path(object): Path<String>) -> Json<Vec<Value>> {
    Json(server.fake.all(&object))
}

async fn events(State(server): State<Server>) -> Json<Vec<Value>> {
    Json(server.fake.events())
}

/// Performs an action of a person or a bank.
async fn control(State(server): State<Server>, Path(action): Path<String>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let id = body["id"].as_str().unwrap_or_default();
    let fake = &server.fake;
    let number = |name: &str| body[name].as_i64().unwrap_or_default();
    let is = |name: &str| body[name] != false;
    let done = match action.as_str() {
        "webhook" => {
            let url = body["url"].as_str().map(str::to_owned);
            *server.webhook.lock().unwrap_or_else(PoisonError::into_inner) = url;
            Some(String::new())
        }
        "price" => {
            fake.add_price(id, number("unit_amount"), is("recurring"));
            Some(String::new())
        }
        "pay" => fake.pay(id, is("at_once")).map(|()| String::new()),
        "renew" => fake.renew(id, is("paid")).map(|()| String::new()),
        "recover" => fake.recover(id).map(|()| String::new()),
        "change_price" => {
            fake.change_price(id, body["price"].as_str().unwrap_or_default()).map(|()| String::new())
        }
        "cancel_at_period_end" => fake.cancel_at_period_end(id, is("ends")).map(|()| String::new()),
        "delete_customer" => fake.delete_customer(id).map(|()| String::new()),
        "refund" => fake.refund(id, number("amount")),
        "dispute" => fake.dispute(id),
        "close_dispute" => fake.close_dispute(id, is("won")).map(|()| String::new()),
        _ => None,
    };
    match done {
        Some(made) => Json(json!({"id": made})).into_response(),
        None => StatusCode::UNPROCESSABLE_ENTITY.into_response(),
    }
}

/// Sends each event until it was accepted twice.
async fn deliver(server: Server, secret: SecretString) {
    // An error means that the process has installed a provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    let mut taken = HashMap::<String, u32>::new();
    loop {
        tokio::time::sleep(PAUSE).await;
        let url = server.webhook.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(url) = url else { continue };
        let mut waiting = server.fake.events();
        waiting.retain(|event| {
            taken.get(event["id"].as_str().unwrap_or_default()).is_none_or(|times| *times < 2)
        });
        // Newest first, which is the reverse of the order in which things happened.
        for event in waiting.iter().rev() {
            let body = event.to_string();
            let header = signature::sign(body.as_bytes(), &secret, Timestamp::now());
            let sent = client
                .post(&url)
                .header(signature::HEADER, header)
                .header("content-type", "application/json");
            let answer = sent.body(body).timeout(Duration::from_secs(10)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                let id = event["id"].as_str().unwrap_or_default();
                server.fake.delivered(id);
                *taken.entry(id.to_owned()).or_default() += 1;
            }
        }
    }
}
