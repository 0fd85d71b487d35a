//! A small shop whose orders an HTTP tool reads and refunds. It accepts only requests that are signed by Standard Webhooks, and
//! refunds once for each `Idempotency-Key`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use sequent_core::Timestamp;
use sequent_webhooks::signature::{self, SignedHeaders, SigningSecret};
use serde_json::{Value, json};
use tokio::sync::watch;

/// The value of `authorization` that the shop requires.
pub const TOKEN: &str = "Bearer shop-token-4f1c";

/// A shop. Clones are the same shop.
#[derive(Debug, Clone)]
pub struct Shop(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    desk: Mutex<Desk>,
    /// The shop answers refunds.
    open: watch::Sender<bool>,
}

/// The state of a shop.
#[derive(Debug, Default)]
struct Desk {
    secret: Option<SigningSecret>,
    received: Vec<ShopRequest>,
    /// The answer to each refund, by its `Idempotency-Key`.
    refunds: BTreeMap<String, Value>,
}

/// A request that the shop has received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShopRequest {
    /// The method and the path.
    pub line: String,
    /// The header `idempotency-key` as it was sent.
    pub key: String,
    /// The id of the verified signature. `None` if the request is not signed by the secret.
    pub signed: Option<String>,
    /// The header `authorization` as it was sent.
    pub authorization: String,
}

impl Default for Shop {
    fn default() -> Self {
        Self(Arc::new(Inner { desk: Mutex::default(), open: watch::Sender::new(true) }))
    }
}

impl Shop {
    /// Accepts requests that are signed with this secret from now on.
    pub fn trust(&self, secret: SigningSecret) {
        self.desk().secret = Some(secret);
    }

    /// Answers refunds from now on, or receives them without an answer.
    pub fn open(&self, is_open: bool) {
        self.0.open.send_replace(is_open);
    }

    /// The requests that were received.
    #[must_use]
    pub fn received(&self) -> Vec<ShopRequest> {
        self.desk().received.clone()
    }

    /// The number of refunds.
    #[must_use]
    pub fn refunds(&self) -> usize {
        self.desk().refunds.len()
    }

    /// The routes of the shop: `GET /orders/{id}` and `POST /orders/{id}/refunds`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/orders/{id}", get(order))
            .route("/orders/{id}/refunds", post(refund))
            .with_state(self.clone())
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request. Returns its key, or the refusal if it is not signed or has the wrong token.
    fn receive(
        &self,
        line: String,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<String, (StatusCode, Json<Value>)> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let mut desk = self.desk();
        let signed = SignedHeaders {
            id: header(signature::ID),
            timestamp: header(signature::TIMESTAMP),
            signature: header(signature::SIGNATURE),
        };
        let id = signature::verify(signed, body, desk.secret.iter(), Timestamp::now()).ok();
        let request = ShopRequest {
            line,
            key: header("idempotency-key").unwrap_or_default().to_owned(),
            signed: id.map(str::to_owned),
            authorization: header("authorization").unwrap_or_default().to_owned(),
        };
        desk.received.push(request.clone());
        if request.signed.is_none() {
            let problem = json!({"error": "the request is not signed by the secret of the tool"});
            return Err((StatusCode::UNAUTHORIZED, Json(problem)));
        }
        if request.authorization != TOKEN {
            let problem = json!({"error": "the token is wrong", "sent": request.authorization});
            return Err((StatusCode::FORBIDDEN, Json(problem)));
        }
        Ok(request.key)
    }
}

async fn order(
    State(shop): State<Shop>,
    Path(id): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    match shop.receive(format!("{method} {uri}"), &headers, b"") {
        Ok(_) if id == "404" => {
            (StatusCode::NOT_FOUND, Json(json!({"error": "there is no such order"}))).into_response()
        }
        Ok(_) => Json(json!({"order": {"id": id, "state": "sent", "total_cents": 4200}})).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

async fn refund(
    State(shop): State<Shop>,
    Path(id): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let key = match shop.receive(format!("{method} {uri}"), &headers, &body) {
        Ok(key) => key,
        Err(refusal) => return refusal.into_response(),
    };
    let answer = {
        let mut desk = shop.desk();
        let number = desk.refunds.len() + 1;
        let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
        let new = || json!({"refund": {"number": number, "order": id, "reason": asked["reason"]}});
        desk.refunds.entry(key).or_insert_with(new).clone()
    };
    let mut open = shop.0.open.subscribe();
    // An error means that the shop is gone, and then nothing is answered.
    let _ = open.wait_for(|is_open| *is_open).await;
    Json(answer).into_response()
}
