//! The configuration of a webhook, and its row.

use std::{collections::BTreeSet, time::Duration};

use sequent_core::{ExposeSecret as _, JobId, TenantId, Timestamp, UserId, WebhookId};
use sequent_identity::Vault;
use sequent_tables::{Error as TableError, Item, decode};
use serde::{Deserialize, Serialize};

use crate::{Error, EventType, signature::SigningSecret};

/// The time for which a replaced secret still signs.
pub const ROTATION: Duration = Duration::from_secs(24 * 3600);

/// A webhook as its tenant sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "plain data")]
pub struct Webhook {
    pub id: WebhookId,
    /// The address that events are sent to.
    pub url: String,
    #[serde(default)]
    pub description: Option<String>,
    /// The types of the events that are sent.
    pub events: BTreeSet<EventType>,
    /// The version of the form of events. It never changes.
    pub api_version: String,
    /// Events are sent. A webhook that is not enabled misses the events of the time, and its queued deliveries fail.
    pub enabled: bool,
    /// The reason for which the service has disabled the webhook. Null if a caller has disabled it, or if it is enabled.
    #[serde(default)]
    pub disabled: Option<DisabledWebhook>,
    /// The time since which no delivery has succeeded. Null if the last one has.
    #[serde(default)]
    pub failing_since: Option<Timestamp>,
    /// The end of the time in which the replaced secret also signs.
    #[serde(default)]
    pub previous_secret_until: Option<Timestamp>,
    /// The user who created it.
    pub user_id: UserId,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A webhook that the service has disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "plain data")]
pub struct DisabledWebhook {
    pub reason: DisableReason,
    pub at: Timestamp,
}

/// The reason for which the service disables a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DisableReason {
    /// The receiver answered with status 410.
    Gone,
    /// A delivery used up its attempts, and none had succeeded for five days.
    Failing,
}

/// A webhook to create.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `Webhook`")]
pub struct NewWebhook {
    pub url: String,
    pub description: Option<String>,
    pub events: BTreeSet<EventType>,
    pub enabled: bool,
}

/// Changes of a webhook. What is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `Webhook`")]
pub struct WebhookChange {
    pub url: Option<String>,
    /// `Some(None)` removes the description.
    pub description: Option<Option<String>>,
    pub events: Option<BTreeSet<EventType>>,
    pub enabled: Option<bool>,
}

/// The row of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredWebhook {
    #[serde(flatten)]
    pub(crate) webhook: Webhook,
    /// The secret, sealed for [`purpose`].
    pub(crate) sealed_secret: String,
    /// The replaced secret, which signs for a while.
    #[serde(default)]
    pub(crate) sealed_previous: Option<String>,
    /// The number of the latest event.
    #[serde(default)]
    pub(crate) seq: u64,
    /// Deliveries that were ever queued. A job that has found the queue empty ends only if it has not changed.
    #[serde(default)]
    pub(crate) queued: u64,
    /// The job that delivers, or will. No other does.
    #[serde(default)]
    pub(crate) turn: Option<DeliveryTurn>,
}

/// The job that has the turn to deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeliveryTurn {
    pub(crate) job: JobId,
    /// The time at which the job begins, in milliseconds.
    pub(crate) at: i64,
}

impl StoredWebhook {
    /// Opens the secrets that sign at `now`, the newest first.
    pub(crate) async fn secrets(
        &self,
        tenant: TenantId,
        vault: &Vault,
        now: Timestamp,
    ) -> Result<Vec<SigningSecret>, Error> {
        let previous = self.webhook.previous_secret_until.filter(|until| now < *until);
        let previous = self.sealed_previous.as_ref().filter(|_| previous.is_some());
        let mut secrets = Vec::new();
        for sealed in [Some(&self.sealed_secret), previous].into_iter().flatten() {
            secrets.push(open(vault, sealed, &purpose(tenant, self.webhook.id)).await?);
        }
        Ok(secrets)
    }
}

/// Returns the job that has the turn to deliver for the webhook of this row. Returns `None` if none has it.
///
/// # Errors
/// If the row does not have its shape.
pub fn delivering_job(webhook: Item) -> Result<Option<JobId>, TableError> {
    let webhook: StoredWebhook = decode(webhook)?;
    Ok(webhook.turn.map(|turn| turn.job))
}

/// Seals a secret, as the credentials of MCP servers are sealed.
pub(crate) async fn seal(vault: &Vault, secret: &SigningSecret, purpose: &str) -> Result<String, Error> {
    Ok(vault.sealing().await?.seal(&secret.text(), purpose)?)
}

pub(crate) async fn open(vault: &Vault, sealed: &str, purpose: &str) -> Result<SigningSecret, Error> {
    let text = vault.sealing_of(sealed).await?.open(sealed, purpose)?;
    debug_assert!(!text.expose_secret().is_empty());
    Ok(SigningSecret::parse(&text)?)
}

/// The purpose that the secrets of a webhook are sealed for.
pub(crate) fn purpose(tenant: TenantId, id: WebhookId) -> String {
    format!("signing secret of {tenant}: {id}")
}
