//! Telling events: a delivery of each event for each webhook that wants it, and a job that delivers.

use std::{collections::HashSet, time::Duration};

use sequent_core::{DeliveryId, TenantId, Timestamp, pace::scaled_to};
use sequent_jobs::NewJob;
use sequent_tables::{
    Cancelled, Error as TableError, Label, Retry, Row, Store, Transaction, Update, Write, attribute, key,
};
use serde::{Deserialize, de::IgnoredAny};

use crate::{
    DeliverWebhook, DeliverWebhookInput, Error, EventType, WebhookEvent,
    delivery::{StoredDelivery, delivery_id},
    webhook::{DeliveryTurn, StoredWebhook},
};

/// Deliveries of one transaction: each is two of its 100 writes.
const AT_ONCE: usize = 40;
/// Time after which a job that has the turn and has not given it on counts as lost, with a margin: it gives it on at least
/// every few minutes. Two jobs at a time do no harm.
const LOST: Duration = Duration::from_secs(900);
const SHORTEST_LOST: Duration = Duration::from_secs(60);

/// The write of the webhook's row.
const WEBHOOK: Label = Label::new("webhook");
/// The insertion of a delivery.
const DELIVERY: Label = Label::new("delivery");

/// Tells events to the webhooks of a tenant. Returns the number of new deliveries. An event that was told before adds none.
///
/// The webhooks are read strongly consistent: a webhook that was created before the event gets it.
///
/// # Errors
/// If the table fails. Some of the events may be told then, and telling all of them again tells the others.
pub async fn tell(
    store: &Store,
    tenant: TenantId,
    events: &[WebhookEvent],
    now: Timestamp,
) -> Result<usize, Error> {
    let rows: Vec<WebhookRow> = store.every(key::webhooks(tenant)).await?;
    let mut told = 0;
    for row in rows {
        let WebhookRow::Known(webhook) = row else {
            tracing::error!(%tenant, "could not read the row of a webhook; it is told nothing, and the others are");
            continue;
        };
        let wanted: Vec<&WebhookEvent> = events.iter().filter(|event| webhook.wants(event)).collect();
        for events in wanted.chunks(AT_ONCE) {
            let telling = Telling { store, tenant, now };
            told += Box::pin(telling.add((*webhook).clone(), events.to_vec())).await?.len();
        }
    }
    Ok(told)
}

/// The row of a webhook. One that this build cannot read must not keep the others from being told.
#[derive(Deserialize)]
#[serde(untagged)]
enum WebhookRow {
    Known(Box<StoredWebhook>),
    Unknown(IgnoredAny),
}

impl StoredWebhook {
    fn wants(&self, event: &WebhookEvent) -> bool {
        let is_own_test = || event.data["webhook_id"] == self.webhook.id.to_string();
        self.webhook.enabled
            && match event.event_type {
                EventType::Test => is_own_test(),
                event_type => self.webhook.events.contains(&event_type),
            }
    }

    /// Returns `true` if no job is about to deliver: none has the turn, it begins later, or it was lost.
    fn needs_job(&self, now: Timestamp) -> bool {
        self.turn.is_none_or(|turn| {
            let at = Timestamp::from_millis(turn.at);
            at > now || now.since(at) > scaled_to(LOST, SHORTEST_LOST)
        })
    }
}

/// Adds deliveries to a webhook.
pub(crate) struct Telling<'a> {
    pub(crate) store: &'a Store,
    pub(crate) tenant: TenantId,
    pub(crate) now: Timestamp,
}

impl Telling<'_> {
    /// Adds the deliveries of `events`, with the next numbers. Leaves out those that exist, and adds none if the webhook was
    /// disabled or deleted meanwhile. Returns the new deliveries.
    pub(crate) async fn add(
        &self,
        mut webhook: StoredWebhook,
        mut events: Vec<&WebhookEvent>,
    ) -> Result<Vec<StoredDelivery>, Error> {
        let mut tries = Retry::CONTENDED.tries();
        loop {
            let added = self.numbered(&webhook, &events);
            if added.is_empty() || !webhook.webhook.enabled {
                return Ok(Vec::new());
            }
            let transaction = self.transaction(&webhook, &added)?;
            let cancelled = match self.store.commit_within(transaction, &mut tries).await {
                Ok(()) => return Ok(added),
                Err(cancelled) => cancelled,
            };
            if cancelled.refused(DELIVERY) {
                // The rest is another transaction, which is worth a try at once.
                let known = self.known(&webhook, &events).await?;
                events.retain(|event| !known.contains(&delivery_id(webhook.webhook.id, event.id)));
            } else if !cancelled.any_refused() || !tries.pause().await {
                return Err(cancelled.into());
            }
            webhook = match self.reread(&cancelled, &webhook).await? {
                Some(webhook) => webhook,
                None => return Ok(Vec::new()),
            };
        }
    }

    /// Returns the deliveries with their numbers.
    fn numbered(&self, webhook: &StoredWebhook, events: &[&WebhookEvent]) -> Vec<StoredDelivery> {
        let version = &webhook.webhook.api_version;
        let numbered = (webhook.seq + 1..).zip(events);
        numbered
            .map(|(seq, event)| StoredDelivery::new(webhook.webhook.id, version, event, seq, self.now))
            .collect()
    }

    fn transaction(
        &self,
        webhook: &StoredWebhook,
        added: &[StoredDelivery],
    ) -> Result<Transaction, TableError> {
        let count = added.len() as u64;
        let (update, job) = queueing(self.tenant, webhook, count, self.now);
        let update = update.set("seq", webhook.seq + count).when(attribute("seq").equals(webhook.seq));
        let mut transaction = Transaction::new().write(update).label(WEBHOOK);
        for row in job {
            transaction = transaction.write(Write::insert(row));
        }
        for delivery in added {
            transaction = transaction
                .write(Write::insert(delivery.row(self.tenant)?))
                .label(DELIVERY)
                .write(Write::put(delivery.queue_entry(self.tenant, self.now)?));
        }
        Ok(transaction)
    }

    /// Returns the deliveries of these events that exist.
    async fn known(
        &self,
        webhook: &StoredWebhook,
        events: &[&WebhookEvent],
    ) -> Result<HashSet<DeliveryId>, TableError> {
        let id = webhook.webhook.id;
        let keys: Vec<_> = events
            .iter()
            .map(|event| key::webhook_delivery(self.tenant, id, delivery_id(id, event.id)))
            .collect();
        let rows: Vec<StoredDelivery> = self.store.get_many(&keys).await?;
        Ok(rows.into_iter().map(|row| row.delivery.id).collect())
    }

    /// Returns the webhook as it is now. Returns `None` if it was deleted.
    async fn reread(
        &self,
        cancelled: &Cancelled,
        webhook: &StoredWebhook,
    ) -> Result<Option<StoredWebhook>, TableError> {
        match cancelled.found(WEBHOOK) {
            Some(found) => Ok(Some(found)),
            None => self.store.get(&key::webhook(self.tenant, webhook.webhook.id)).await,
        }
    }
}

/// The update of a webhook whose queue gets `added` deliveries, and the rows of the job that delivers them, if none is about to.
/// The update requires that the webhook is as it was read.
pub(crate) fn queueing(
    tenant: TenantId,
    webhook: &StoredWebhook,
    added: u64,
    now: Timestamp,
) -> (Update, Vec<Row>) {
    let update = Update::of(&key::webhook(tenant, webhook.webhook.id))
        .set("queued", webhook.queued + added)
        .when(attribute("queued").equals(webhook.queued))
        .when(attribute("enabled").equals(true));
    if !webhook.needs_job(now) {
        return (update, Vec::new());
    }
    let job = delivery_job(tenant, webhook);
    (update.set("turn", DeliveryTurn { job: job.id, at: now.millis() }), job.rows(now))
}

/// A job that delivers for a webhook.
pub(crate) fn delivery_job(tenant: TenantId, webhook: &StoredWebhook) -> NewJob {
    NewJob::of::<DeliverWebhook>(tenant, &DeliverWebhookInput { webhook_id: webhook.webhook.id })
}
