//! Takes what Stripe sends: believes it if it is signed, stores it as a job, and says so.
//!
//! Nothing else happens here, so that the answer is quick and the function needs next to no rights: it can insert jobs
//! and read one secret. An event that comes again finds the job that it led to the first time.

use std::sync::Arc;

use axum::{Router, extract::State};
use bytes::Bytes;
use http::HeaderMap;
use sequent_core::Timestamp;
use sequent_http::{Json, Problem, openapi, openapi::Problems};
use sequent_jobs::{Enqueued, enqueue};
use sequent_payments::SyncInput;
use sequent_stripe::{Event, VERSION, WebhookSecrets, signature};
use sequent_tables::Store;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// What the handler needs.
#[derive(Clone)]
pub struct Webhook {
    store: Store,
    /// Nothing is believed without it.
    secrets: Option<Arc<WebhookSecrets>>,
}

impl Webhook {
    /// Events that are signed with `secrets` become jobs in `store`; without any there are no events.
    #[must_use]
    pub fn new(store: Store, secrets: Option<WebhookSecrets>) -> Self {
        Self { store, secrets: secrets.map(Arc::new) }
    }
}

/// What became of an event.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
struct Received {
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// It is stored, and will be looked into.
    Stored,
    /// It was stored before.
    Known,
    /// It is about nothing that matters here.
    Ignored,
}

/// The function's routes.
pub fn router(webhook: Webhook) -> Router {
    routed().split_for_parts().0.with_state(webhook)
}

/// The function's part of the API's document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    routed().into_openapi()
}

fn routed() -> OpenApiRouter<Webhook> {
    OpenApiRouter::with_openapi(openapi::base()).routes(routes!(receive))
}

/// Receive an event of Stripe.
///
/// For Stripe alone: the header `Stripe-Signature` has to be made with the endpoint's secret, over the body as it is sent,
/// within the last five minutes. Snapshot and thin events of any API version are taken. What an event is about is looked
/// up afterwards, so that neither its order nor its copy of the object matters; the same event has its effect once.
#[utoipa::path(
    post,
    path = "/api/webhooks/stripe",
    operation_id = "receive_stripe_event",
    tag = "billing",
    request_body(content = serde_json::Value, description = "A Stripe event.", content_type = "application/json"),
    security(()),
    responses(
        (status = 200, description = "It is stored, or there is nothing to do.", body = Received),
        (status = 404, description = "The deployment has no billing."),
        (status = 400, description = "It is not signed as it should be (`invalid_signature`), or is no event (`invalid_event`)."),
        Problems
    ),
)]
async fn receive(
    State(webhook): State<Webhook>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Received>, Problem> {
    let now = Timestamp::now();
    let Some(secrets) = &webhook.secrets else {
        return Err(Problem::not_found("Nothing is sold here: this deployment has no billing."));
    };
    let secrets = secrets.get().await.map_err(Problem::unavailable)?;
    let mut signatures = headers.get_all(signature::HEADER).iter();
    let signed = match (signatures.next(), signatures.next()) {
        (Some(one), None) => one.to_str().ok(),
        // Of two headers none is the one that counts.
        _ => None,
    };
    signature::verify(&body, signed, &secrets, now).map_err(|why| {
        Problem::bad_request("invalid_signature", format!("The event is not believed: {why}."))
    })?;
    let event = Event::read(&body).map_err(|why| Problem::bad_request("invalid_event", why.to_string()))?;
    if let Some(version) = event.api_version.as_deref().filter(|version| *version != VERSION) {
        tracing::debug!(version, ours = VERSION, "the endpoint has another API version, which does no harm");
    }
    let (id, event_type) = (event.id.clone(), event.event_type.clone());
    let Some(input) = SyncInput::of(event) else {
        tracing::info!(event = id, event_type, outcome = "ignored", "an event of Stripe");
        return Ok(Json(Received { outcome: Outcome::Ignored }));
    };
    let outcome = match enqueue(&webhook.store, &input.job(), now).await {
        Ok(Enqueued::New(_)) => Outcome::Stored,
        Ok(Enqueued::Existing(_)) => Outcome::Known,
        // Stripe sends it again.
        Err(error) => return Err(Problem::unavailable(error)),
    };
    tracing::info!(event = id, event_type, ?outcome, "an event of Stripe");
    Ok(Json(Received { outcome }))
}
