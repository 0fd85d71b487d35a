//! Receives events of Stripe: verifies the signature, stores the event as a job, and answers.
//!
//! The function does nothing else, so it answers quickly and needs few permissions: it can insert jobs and
//! read one secret. An event that Stripe sends again finds the job of the first delivery.

use std::sync::Arc;

use axum::{Router, extract::State};
use bytes::Bytes;
use http::HeaderMap;
use sequent_core::{Code, Timestamp};
use sequent_http::{Json, Problem, openapi, openapi::Problems};
use sequent_jobs::{Enqueued, enqueue};
use sequent_payments::SyncInput;
use sequent_stripe::{Event, VERSION, WebhookSecrets, signature};
use sequent_tables::Store;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The state of the handler.
#[derive(Clone)]
pub struct App {
    store: Store,
    /// The signing secrets. Without them the deployment has no billing.
    secrets: Option<Arc<WebhookSecrets>>,
}

impl App {
    /// Stores events that are signed with `secrets` as jobs in `store`. Without secrets the route answers
    /// 404.
    #[must_use]
    pub fn new(store: Store, secrets: Option<WebhookSecrets>) -> Self {
        Self { store, secrets: secrets.map(Arc::new) }
    }
}

/// The response to an event.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
struct WebhookReceipt {
    outcome: WebhookOutcome,
}

/// `stored`: a job handles the event. `known`: the event was stored before. `ignored`: the event has no
/// effect here.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum WebhookOutcome {
    Stored,
    Known,
    Ignored,
}

/// The routes of the function.
pub fn router(app: App) -> Router {
    routed().split_for_parts().0.with_state(app)
}

/// The function's part of the API description.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    routed().into_openapi()
}

fn routed() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::base()).routes(routes!(receive_stripe_event))
}

/// Receive an event of Stripe.
///
/// Only Stripe calls this route. The header `Stripe-Signature` must be made with the secret of the endpoint,
/// over the body as it is sent, within the last five minutes. Snapshot and thin events of any API version are
/// accepted. The object of an event is read from Stripe afterwards, so neither the order of events nor their
/// copies of objects matter. Each event takes effect once.
#[utoipa::path(
    post,
    path = "/api/webhooks/stripe",
    operation_id = "receive_stripe_event",
    tag = "billing",
    request_body(content = serde_json::Value, description = "A Stripe event.", content_type = "application/json"),
    security(()),
    responses(
        (status = 200, description = "The event is stored, or has no effect.", body = WebhookReceipt),
        (status = 404, description = "The deployment has no billing."),
        (status = 400, description = "The signature is not valid (`invalid_signature`), or the body is not an event (`invalid_event`)."),
        Problems
    ),
)]
async fn receive_stripe_event(
    State(app): State<App>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<WebhookReceipt>, Problem> {
    let now = Timestamp::now();
    let Some(secrets) = &app.secrets else {
        return Err(Problem::not_found("This deployment has no billing."));
    };
    let secrets = secrets.get().await.map_err(Problem::unavailable)?;
    let signature = only_signature(&headers);
    signature::verify(&body, signature, &secrets, now).map_err(|reason| {
        Problem::new(Code::InvalidSignature, format!("The signature of the event is not valid: {reason}."))
    })?;
    let event = Event::read(&body).map_err(|reason| Problem::new(Code::InvalidEvent, reason.to_string()))?;
    if let Some(version) = event.api_version.as_deref().filter(|version| *version != VERSION) {
        tracing::debug!(
            version,
            ours = VERSION,
            "the webhook endpoint has another API version, which is harmless"
        );
    }
    let id = event.id.clone();
    let event_type = event.event_type.clone();
    let outcome = match SyncInput::of(event) {
        Some(input) => store(&app, &input, now).await?,
        None => WebhookOutcome::Ignored,
    };
    tracing::info!(event = id, event_type, ?outcome, "received an event of Stripe");
    Ok(Json(WebhookReceipt { outcome }))
}

/// Returns the signature if the request has exactly one. Of two headers neither can be trusted.
fn only_signature(headers: &HeaderMap) -> Option<&str> {
    let mut signatures = headers.get_all(signature::HEADER).iter();
    let signature = signatures.next()?;
    if signatures.next().is_some() { None } else { signature.to_str().ok() }
}

async fn store(app: &App, input: &SyncInput, now: Timestamp) -> Result<WebhookOutcome, Problem> {
    // After an error Stripe sends the event again.
    Ok(match enqueue(&app.store, &input.job(), now).await? {
        Enqueued::New(_) => WebhookOutcome::Stored,
        Enqueued::Existing(_) => WebhookOutcome::Known,
    })
}
