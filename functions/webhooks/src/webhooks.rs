//! Creating, reading, changing, testing and deleting webhooks.

use std::collections::BTreeSet;

use axum::{extract::State, response::IntoResponse};
use http::{StatusCode, header::LOCATION};
use sequent_core::{Timestamp, WebhookId};
use sequent_http::{Caller, Json, Path, Problem, Reauthenticated, openapi::Problems};
use sequent_webhooks::{EventType, NewWebhook, Webhook, WebhookChange, WebhookDelivery};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::{App, secret::WebhookWithSecret};

const MAX_URL: usize = 2048;
const MAX_DESCRIPTION: usize = 200;

/// A webhook to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateWebhook {
    /// The address that events are sent to: https, on the public internet, on one of the ports 80, 443, 8080 and 8443.
    #[schema(format = "uri", max_length = 2048, example = "https://example.com/sequent")]
    url: String,
    /// The types of the events that are sent.
    #[schema(min_items = 1)]
    events: BTreeSet<EventType>,
    /// A note for people.
    #[serde(default)]
    #[schema(max_length = 200)]
    description: Option<String>,
    /// Events are sent to the address.
    #[serde(default = "yes")]
    #[schema(default = true)]
    enabled: bool,
}

const fn yes() -> bool {
    true
}

/// Changes of a webhook. What is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeWebhook {
    /// The new address, under the same rules.
    #[serde(default)]
    #[schema(format = "uri", max_length = 2048)]
    url: Option<String>,
    /// Other types of events.
    #[serde(default)]
    #[schema(min_items = 1)]
    events: Option<BTreeSet<EventType>>,
    /// Another note. Null removes it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 200)]
    description: Option<Option<String>>,
    /// False ends the sending: queued deliveries fail when they are due. True begins it again.
    #[serde(default)]
    enabled: Option<bool>,
}

/// Tells null from a missing member.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// The webhooks of a tenant.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookList {
    /// At most ten webhooks, oldest first.
    items: Vec<Webhook>,
}

/// List the webhooks of the tenant.
#[utoipa::path(
    get,
    path = "/api/webhooks",
    operation_id = "list_webhooks",
    tag = "webhooks",
    responses((status = 200, description = "All webhooks, oldest first.", body = WebhookList), Problems),
)]
pub(crate) async fn list_webhooks(
    State(app): State<App>,
    Caller(caller): Caller,
) -> Result<impl IntoResponse, Problem> {
    Ok(Json(WebhookList { items: app.webhooks.list(caller.tenant).await? }))
}

/// Create a webhook.
///
/// The response has the secret with which the receiver verifies deliveries. It is not shown again. A webhook receives events
/// from its creation on.
#[utoipa::path(
    post,
    path = "/api/webhooks",
    operation_id = "create_webhook",
    tag = "webhooks",
    request_body = CreateWebhook,
    responses(
        (status = 201, description = "The webhook and its secret.", body = WebhookWithSecret,
         headers(("Location" = String, description = "The path of the webhook."))),
        (status = 409, description = "There are ten webhooks (`webhooks_limit`)."),
        (status = 422, description = "The address is not allowed (`validation_failed`)."),
        Problems
    ),
)]
pub(crate) async fn create_webhook(
    State(app): State<App>,
    Reauthenticated(caller): Reauthenticated,
    Json(body): Json<CreateWebhook>,
) -> Result<impl IntoResponse, Problem> {
    check(Some(&body.url), Some(&body.events), body.description.as_deref())?;
    let CreateWebhook { url, events, description, enabled } = body;
    let new = NewWebhook { url, description, events, enabled };
    let creating = app.webhooks.create(caller.tenant, caller.user, new, Timestamp::now());
    let (webhook, secret) = Box::pin(creating).await?;
    let location = [(LOCATION, format!("/api/webhooks/{}", webhook.id))];
    Ok((StatusCode::CREATED, location, Json(WebhookWithSecret::new(webhook, &secret))))
}

/// Get a webhook by its id.
#[utoipa::path(
    get,
    path = "/api/webhooks/{id}",
    operation_id = "get_webhook",
    tag = "webhooks",
    params(("id" = WebhookId, Path, description = "The id of the webhook.")),
    responses(
        (status = 200, description = "The webhook.", body = Webhook),
        (status = 404, description = "The tenant has no such webhook."),
        Problems
    ),
)]
pub(crate) async fn get_webhook(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<WebhookId>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Json(app.webhooks.get(caller.tenant, id).await?))
}

/// Change a webhook.
///
/// The secret stays. A change of the address or the events concerns deliveries that have not been sent yet, too.
#[utoipa::path(
    patch,
    path = "/api/webhooks/{id}",
    operation_id = "change_webhook",
    tag = "webhooks",
    params(("id" = WebhookId, Path, description = "The id of the webhook.")),
    request_body = ChangeWebhook,
    responses(
        (status = 200, description = "The changed webhook.", body = Webhook),
        (status = 404, description = "The tenant has no such webhook."),
        (status = 422, description = "The address is not allowed (`validation_failed`)."),
        Problems
    ),
)]
pub(crate) async fn change_webhook(
    State(app): State<App>,
    Reauthenticated(caller): Reauthenticated,
    Path(id): Path<WebhookId>,
    Json(body): Json<ChangeWebhook>,
) -> Result<impl IntoResponse, Problem> {
    let description = body.description.as_ref().and_then(Option::as_deref);
    check(body.url.as_deref(), body.events.as_ref(), description)?;
    let ChangeWebhook { url, events, description, enabled } = body;
    let change = WebhookChange { url, description, events, enabled };
    Ok(Json(app.webhooks.change(caller.tenant, id, change, Timestamp::now()).await?))
}

/// Delete a webhook with its deliveries.
#[utoipa::path(
    delete,
    path = "/api/webhooks/{id}",
    operation_id = "delete_webhook",
    tag = "webhooks",
    params(("id" = WebhookId, Path, description = "The id of the webhook.")),
    responses(
        (status = 204, description = "Nothing more is sent. The deliveries are deleted within minutes."),
        (status = 404, description = "The tenant has no such webhook."),
        Problems
    ),
)]
pub(crate) async fn delete_webhook(
    State(app): State<App>,
    Reauthenticated(caller): Reauthenticated,
    Path(id): Path<WebhookId>,
) -> Result<impl IntoResponse, Problem> {
    Box::pin(app.webhooks.delete(caller.tenant, id, Timestamp::now())).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Send a test event to a webhook.
///
/// The event has the type `webhook.test`. It is delivered like any other.
#[utoipa::path(
    post,
    path = "/api/webhooks/{id}/test",
    operation_id = "send_webhook_test",
    tag = "webhooks",
    params(("id" = WebhookId, Path, description = "The id of the webhook.")),
    responses(
        (status = 202, description = "The delivery, which is sent as soon as possible.", body = WebhookDelivery),
        (status = 404, description = "The tenant has no such webhook."),
        (status = 409, description = "The webhook is disabled (`webhook_disabled`)."),
        Problems
    ),
)]
pub(crate) async fn test_webhook(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<WebhookId>,
) -> Result<impl IntoResponse, Problem> {
    let delivery = Box::pin(app.webhooks.test(caller.tenant, id, Timestamp::now())).await?;
    Ok((StatusCode::ACCEPTED, Json(delivery)))
}

fn check(
    url: Option<&str>,
    events: Option<&BTreeSet<EventType>>,
    description: Option<&str>,
) -> Result<(), Problem> {
    let invalid = |at: &str, why: String| Err(Problem::invalid("The webhook is not allowed.").at(at, why));
    if url.is_some_and(|url| url.len() > MAX_URL) {
        return invalid("/url", format!("must have at most {MAX_URL} bytes"));
    }
    if events.is_some_and(BTreeSet::is_empty) {
        return invalid("/events", "must have at least one item".to_owned());
    }
    if events.is_some_and(|events| events.contains(&EventType::Test)) {
        return invalid("/events", "must not have webhook.test, which each webhook receives".to_owned());
    }
    if description.is_some_and(|text| text.chars().count() > MAX_DESCRIPTION) {
        return invalid("/description", format!("must have at most {MAX_DESCRIPTION} characters"));
    }
    Ok(())
}
