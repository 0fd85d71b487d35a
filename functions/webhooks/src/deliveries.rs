//! The deliveries of a webhook: listed, read, and sent again.

use axum::{extract::State, response::IntoResponse};
use http::StatusCode;
use sequent_core::{DeliveryId, Timestamp, WebhookId};
use sequent_http::{Caller, Json, Limit, ListResponse, Path, Problem, Query, openapi::Problems};
use sequent_webhooks::{DeliveryQuery, DeliveryStatus, WebhookDelivery, WebhookDeliveryDetails};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::App;

/// Query parameters of the list of deliveries.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeliveriesQuery {
    /// Only deliveries with this status.
    status: Option<DeliveryStatus>,
    /// Maximum number of items; 50 if not given.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Option<Limit>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

type WebhookDeliveryList = ListResponse<WebhookDelivery>;

/// List the deliveries of a webhook.
///
/// Deliveries are kept for 30 days. Those with the status `failed` were attempted ten times in three days, or their webhook was
/// disabled: send them again when the receiver works. A page of delivered ones may have fewer items than `limit`.
#[utoipa::path(
    get,
    path = "/api/webhooks/{id}/deliveries",
    operation_id = "list_webhook_deliveries",
    tag = "webhooks",
    params(("id" = WebhookId, Path, description = "The id of the webhook."), DeliveriesQuery),
    responses(
        (status = 200, description = "One page, newest first; pending ones by the time of their next attempt.", body = WebhookDeliveryList),
        (status = 404, description = "The tenant has no such webhook."),
        Problems
    ),
)]
pub(crate) async fn list_deliveries(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<WebhookId>,
    Query(query): Query<DeliveriesQuery>,
) -> Result<impl IntoResponse, Problem> {
    let secret = app.vault.get().await?;
    let DeliveriesQuery { status, limit, cursor } = &query;
    let query = DeliveryQuery { status: *status, cursor: cursor.as_deref(), limit: limit.map(Limit::get) };
    let page = app.webhooks.deliveries(caller.tenant, id, query, secret.cursor()).await?;
    Ok(Json(ListResponse::new(page, secret.cursor())))
}

/// Get a delivery with its payload and its attempts.
#[utoipa::path(
    get,
    path = "/api/webhooks/{id}/deliveries/{delivery}",
    operation_id = "get_webhook_delivery",
    tag = "webhooks",
    params(
        ("id" = WebhookId, Path, description = "The id of the webhook."),
        ("delivery" = DeliveryId, Path, description = "The id of the delivery."),
    ),
    responses(
        (status = 200, description = "The delivery.", body = WebhookDeliveryDetails),
        (status = 404, description = "The tenant has no such webhook, or it has no such delivery."),
        Problems
    ),
)]
pub(crate) async fn get_delivery(
    State(app): State<App>,
    Caller(caller): Caller,
    Path((id, delivery)): Path<(WebhookId, DeliveryId)>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Json(app.webhooks.delivery(caller.tenant, id, delivery).await?))
}

/// Send a delivery again.
///
/// The delivery must have ended. It is sent with the same id and the same payload, and has all its attempts ahead.
#[utoipa::path(
    post,
    path = "/api/webhooks/{id}/deliveries/{delivery}/redeliver",
    operation_id = "redrive_webhook_delivery",
    tag = "webhooks",
    params(
        ("id" = WebhookId, Path, description = "The id of the webhook."),
        ("delivery" = DeliveryId, Path, description = "The id of the delivery."),
    ),
    responses(
        (status = 202, description = "The delivery, which is sent as soon as possible.", body = WebhookDelivery),
        (status = 404, description = "The tenant has no such webhook, or it has no such delivery."),
        (status = 409, description = "The delivery has not ended (`delivery_pending`), or the webhook is disabled (`webhook_disabled`)."),
        Problems
    ),
)]
pub(crate) async fn redeliver(
    State(app): State<App>,
    Caller(caller): Caller,
    Path((id, delivery)): Path<(WebhookId, DeliveryId)>,
) -> Result<impl IntoResponse, Problem> {
    let again = app.webhooks.redeliver(caller.tenant, id, delivery, Timestamp::now());
    Ok((StatusCode::ACCEPTED, Json(Box::pin(again).await?)))
}
