//! The delivery of an event to a webhook: its state, and its attempts.

use std::time::Duration;

use sequent_core::{DeliveryId, EventId, TenantId, Timestamp, WebhookId};
use sequent_tables::{Error as TableError, Row, derived_id, key};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{EventType, WebhookEvent};

/// The time for which deliveries can be listed, from their event or their failure on.
pub(crate) const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Attempts that a row keeps, the latest.
const KEPT_ATTEMPTS: usize = 20;

/// The delivery of an event to a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "plain data")]
pub struct WebhookDelivery {
    pub id: DeliveryId,
    pub webhook_id: WebhookId,
    /// The id of the event, which is the header `webhook-id` of each attempt.
    pub event_id: EventId,
    pub event_type: EventType,
    /// The number of the event among those of the webhook, from 1 and without gaps. Deliveries arrive in any order.
    pub seq: u64,
    pub status: DeliveryStatus,
    /// The latest attempts, at most 20, oldest first.
    #[serde(default)]
    pub attempts: Vec<DeliveryAttempt>,
    /// The time of the next attempt. Null if the delivery has ended.
    #[serde(default)]
    pub next_attempt_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

/// A delivery with what is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookDeliveryDetails {
    /// The delivery and its attempts.
    #[serde(flatten)]
    pub delivery: WebhookDelivery,
    /// The body of each attempt.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub payload: Value,
}

/// The state of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// An attempt is in progress or follows.
    Pending,
    /// The receiver answered with a status of 200 to 299.
    Delivered,
    /// All attempts failed, or the webhook was disabled.
    Failed,
}

/// An attempt to deliver an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "plain data")]
pub struct DeliveryAttempt {
    pub at: Timestamp,
    /// Milliseconds until the answer, or until the attempt was given up.
    pub duration_ms: u64,
    /// The status of the answer. Null if there was none.
    #[serde(default)]
    pub status: Option<u16>,
    /// The reason for which there was no answer, or the answer is no success.
    #[serde(default)]
    pub error: Option<String>,
    /// The beginning of the answer, at most 500 characters.
    #[serde(default)]
    pub response: Option<String>,
}

/// The row of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredDelivery {
    #[serde(flatten)]
    pub(crate) delivery: WebhookDelivery,
    /// Attempts that failed since the delivery was made or asked for again.
    #[serde(default)]
    pub(crate) failures: u32,
    pub(crate) body: String,
}

/// The row of a delivery in a list: nothing but its key.
#[derive(Debug, Serialize)]
struct ListEntry {}

impl StoredDelivery {
    pub(crate) fn new(
        webhook: WebhookId,
        api_version: &str,
        event: &WebhookEvent,
        seq: u64,
        now: Timestamp,
    ) -> Self {
        let delivery = WebhookDelivery {
            id: delivery_id(webhook, event.id),
            webhook_id: webhook,
            event_id: event.id,
            event_type: event.event_type,
            seq,
            status: DeliveryStatus::Pending,
            attempts: Vec::new(),
            next_attempt_at: Some(now),
            created_at: now,
        };
        Self { delivery, failures: 0, body: event.body(api_version, seq) }
    }

    /// The row. It expires, and with it the memory that the event was told: long after the stream has forgotten it.
    pub(crate) fn row(&self, tenant: TenantId) -> Result<Row, TableError> {
        let WebhookDelivery { id, webhook_id, created_at, .. } = self.delivery;
        let row = Row::new(&key::webhook_delivery(tenant, webhook_id, id), self)?;
        Ok(row.expires_at(created_at + KEPT))
    }

    /// The row in the list of failed deliveries, for a delivery that failed at `now`. The delivery itself is kept as long: one
    /// that was asked for again is older than its failure by any time.
    pub(crate) fn failure(&self, tenant: TenantId, now: Timestamp) -> Result<Row, TableError> {
        let WebhookDelivery { id, webhook_id, .. } = self.delivery;
        Ok(Row::new(&key::webhook_failure(tenant, webhook_id, id), &ListEntry {})?.expires_at(now + KEPT))
    }

    /// The row in the queue. The time of the next attempt is its place.
    pub(crate) fn queue_entry(&self, tenant: TenantId, due: Timestamp) -> Result<Row, TableError> {
        let WebhookDelivery { id, webhook_id, .. } = self.delivery;
        Row::new(&key::queued_delivery(tenant, webhook_id, due, id), &ListEntry {})
    }

    /// Adds an attempt and forgets the oldest one if there are too many.
    pub(crate) fn with_attempt(mut self, attempt: DeliveryAttempt) -> Self {
        let attempts = &mut self.delivery.attempts;
        attempts.push(attempt);
        let surplus = attempts.len().saturating_sub(KEPT_ATTEMPTS);
        attempts.drain(..surplus);
        self
    }

    pub(crate) fn details(self) -> WebhookDeliveryDetails {
        let payload = serde_json::from_str(&self.body).unwrap_or_default();
        WebhookDeliveryDetails { delivery: self.delivery, payload }
    }
}

/// The id of the delivery of an event to a webhook: an event that is met again has the same delivery.
pub(crate) fn delivery_id(webhook: WebhookId, event: EventId) -> DeliveryId {
    DeliveryId::from_bits(derived_id(event.bits(), format!("{event} {webhook}")))
}
