//! Signing secrets, which are shown once.

use axum::{extract::State, response::IntoResponse};
use sequent_core::{ExposeSecret as _, Timestamp, WebhookId};
use sequent_http::{Json, Path, Problem, Reauthenticated, openapi::Problems};
use sequent_webhooks::{Webhook, signature::SigningSecret};
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;

/// A webhook and its new secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookWithSecret {
    #[serde(flatten)]
    webhook: Webhook,
    /// The secret that signs. It is not shown again.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: String,
}

impl WebhookWithSecret {
    pub(crate) fn new(webhook: Webhook, secret: &SigningSecret) -> Self {
        Self { webhook, secret: secret.text().expose_secret().to_owned() }
    }
}

/// Replace the secret of a webhook.
///
/// For a day, deliveries are signed with both secrets, so that the receiver can be changed in the meantime. The secret before
/// the present one signs no longer.
#[utoipa::path(
    post,
    path = "/api/webhooks/{id}/secret",
    operation_id = "replace_webhook_secret",
    tag = "webhooks",
    params(("id" = WebhookId, Path, description = "The id of the webhook.")),
    responses(
        (status = 200, description = "The webhook and its new secret.", body = WebhookWithSecret),
        (status = 404, description = "The tenant has no such webhook."),
        (status = 409, description = "The secret was replaced at the same time (`conflict`)."),
        Problems
    ),
)]
pub(crate) async fn replace_webhook_secret(
    State(app): State<App>,
    Reauthenticated(caller): Reauthenticated,
    Path(id): Path<WebhookId>,
) -> Result<impl IntoResponse, Problem> {
    let (webhook, secret) = Box::pin(app.webhooks.rotate(caller.tenant, id, Timestamp::now())).await?;
    Ok(Json(WebhookWithSecret::new(webhook, &secret)))
}
